"""The body of a request: JSON, in bounds."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import Request

from api.errors import RefusedError, TooLargeError, shortened

MAX_BYTES = 8 << 20
"""Positions of thousands of channels fit; nothing sensible is larger."""
_DRAIN_BYTES = 64 << 20
_MAX_DEPTH = 32
_TYPES = ("application/json", "application/x-www-form-urlencoded")
"""The second is what curl says of any body that it is not told about."""


def parse(request: Request) -> dict[str, Any]:
    """The JSON object of the body. :raises RefusedError: it is none; says what was expected."""
    kind = request.mimetype
    if kind and kind not in _TYPES and not kind.endswith("+json"):
        raise RefusedError(f"the Content-Type is {shortened(kind)!r}, expected application/json")
    try:
        body = json.loads(_read(request).decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise RefusedError("the body is not UTF-8, expected JSON") from None
    except RecursionError:
        raise RefusedError("the body is nested too deeply") from None
    except ValueError as error:
        raise RefusedError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RefusedError('the body is no JSON object, expected {"request_type": ..., "request_data": {...}}')
    return without_nulls(body)


def _read(request: Request) -> bytes:
    """The whole body, also when it is sent in chunks and does not tell its length."""
    if (request.content_length or 0) <= MAX_BYTES:
        data = _at_most(request, MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return data
    for _ in range(_DRAIN_BYTES // MAX_BYTES):  # who is still sending does not read our answer
        if not _at_most(request, MAX_BYTES):
            break
    raise TooLargeError(f"the body is larger than {MAX_BYTES >> 20} MiB")


def _at_most(request: Request, size: int) -> bytes:
    """A stream may give less than it is asked for, and nothing only at its end."""
    parts: list[bytes] = []
    while size > 0 and (part := request.stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """`null` is as if it were absent: some clients write it for what is empty. Bounds the depth, too."""
    cleaned: dict[str, Any] = _clean(value, 0)
    return cleaned


def _clean(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise RefusedError("the body is nested too deeply")
    if isinstance(value, dict):
        return {_text(key): _clean(inner, depth + 1) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_clean(inner, depth + 1) for inner in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    r"""JSON can spell half a character (`\ud800`), which is no text: it can be neither stored nor sent."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedError("the body has a text that is no Unicode (a lone surrogate)") from None
    return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
