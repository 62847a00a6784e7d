"""The secrets of a task at rest: encrypted when a key is set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from cdc_core.errors import CdcError

_SEALED = "sealed"
_PATHS = (
    ("target", "milvus", "username"),
    ("target", "milvus", "password"),
    ("target", "milvus", "token"),
    ("target", "kafka", "sasl", "username"),
    ("target", "kafka", "sasl", "password"),
)


class SecretsError(CdcError):
    """What is stored was encrypted with another key, or with one and none is set."""


class Secrets:
    """Takes the secrets out of a stored spec (`TaskSpec.to_dict`) and puts them back."""

    def __init__(self, key: str | None) -> None:
        """`key` is a Fernet key; None stores the secrets as they are. :raises ValueError: it is no such key."""
        self._fernet = Fernet(key) if key else None

    def seal(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The spec for the store: with a key, its secrets are moved into one encrypted text."""
        sealed = deepcopy(dict(spec))
        if self._fernet is None:
            return sealed
        secrets = {".".join(path): parent.pop(path[-1]) for path, parent in _places(sealed) if path[-1] in parent}
        sealed[_SEALED] = self._fernet.encrypt(json.dumps(secrets).encode()).decode()
        return sealed

    def unseal(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The spec as it was. :raises SecretsError: the key is missing or another one."""
        spec = deepcopy(dict(stored))
        text = spec.pop(_SEALED, None)
        if text is None:
            return spec
        task = spec.get("task_id", "")
        if self._fernet is None:
            raise SecretsError(f"the secrets of the task {task} are encrypted: set CDC_SECRET_KEY to their key")
        try:
            secrets = json.loads(self._fernet.decrypt(text.encode()))
        except InvalidToken:
            raise SecretsError(
                f"the secrets of the task {task} were encrypted with another key than the present CDC_SECRET_KEY"
            ) from None
        for path, parent in _places(spec):
            if (name := ".".join(path)) in secrets:
                parent[path[-1]] = secrets[name]
        return spec


def _places(spec: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each path whose parent exists, with that parent."""
    for path in _PATHS:
        parent: Any = spec
        for step in path[:-1]:
            parent = parent.get(step) if isinstance(parent, dict) else None
        if isinstance(parent, dict):
            yield path, parent
