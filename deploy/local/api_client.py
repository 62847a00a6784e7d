"""A client of `POST /cdc`."""

import json
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from deploy.local.errors import LocalServerError

# Seconds. A create waits for the source, up to its time-outs; gunicorn gives up after 60.
_TIMEOUT = 65.0


class Refused(LocalServerError):
    """The API answered another code than 200; carries it."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class Api:
    """A client of `POST /cdc`; every call raises Refused for a code that is not 200, OSError when nobody answers."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/cdc"
        self._opener = build_opener(ProxyHandler({}))

    def send(self, request_type: str, **request_data: Any) -> dict[str, Any]:
        """The answer's data."""
        body = json.dumps({"request_type": request_type, "request_data": request_data}).encode()
        request = Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own address
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            content = json.load(answer)
        if content["code"] != 200:
            raise Refused(content["code"], content.get("message", ""))
        return dict(content.get("data", {}))

    def create(self, **request_data: Any) -> str:
        """The id of the task that was made."""
        return str(self.send("create", **request_data)["task_id"])

    def get(self, task_id: str) -> dict[str, Any]:
        return dict(self.send("get", task_id=task_id)["task"])

    def list(self) -> list[dict[str, Any]]:
        return list(self.send("list")["tasks"])

    def pause(self, task_id: str) -> None:
        self.send("pause", task_id=task_id)

    def resume(self, task_id: str) -> None:
        self.send("resume", task_id=task_id)

    def delete(self, task_id: str, *, ignore_not_found: bool = False) -> None:
        self.send("delete", task_id=task_id, ignore_not_found=ignore_not_found)

    def position(self, task_id: str = "") -> dict[str, Any]:
        """`positions`, `op_positions` and `target_positions`, of one task or of all."""
        return self.send("position", task_id=task_id)
