"""What a Milvus' answers mean: try again, never again, or stop the task.

Codes are those of 2.3 and later (`status.code`). Unknown ones are tried again: their text is shown as the reason,
and nothing is given up because of an answer nobody has seen before.
"""

from __future__ import annotations

from typing import Any

import grpc

from cdc_core.errors import CdcError, NoStandby, NotSupported, Refused, TargetUnavailable, TaskStopped
from cdc_core.sink import milvus_tls

COLLECTION_NOT_FOUND = 100
PARTITION_NOT_FOUND = 200
INDEX_NOT_FOUND = 700
DATABASE_NOT_FOUND = 800
ALIAS_NOT_FOUND = 1600
ALIAS_EXISTS = 1602
NO_STANDBY = 1900

_UNAUTHENTICATED_CODES = frozenset({1400, 1401, 1402})
_PERMANENT_CODES = frozenset(
    {
        10,  # not implemented
        COLLECTION_NOT_FOUND,
        102,  # too many collections
        103,  # alias instead of a collection
        PARTITION_NOT_FOUND,
        INDEX_NOT_FOUND,
        702,  # index of another definition exists
        DATABASE_NOT_FOUND,
        801,  # too many databases
        802,  # database name
        1100,  # bad parameter
        1101,
        1303,  # a standby refuses what is not marked as replicated
        ALIAS_NOT_FOUND,
        1601,
        ALIAS_EXISTS,
        1700,  # field not found
        1701,  # field name
        1800,
    }
)
_PERMANENT_TEXTS = (
    "message size too large",
    "different parameters",
    "is loaded, please release it first",
    "not empty",
    "at most one distinct index",
    "collection not found",
    "partition not found",
    "database:",  # "database:<name> not found"
    "alias",
    "invalid",
    "unsupported",
    "not support",
    "exceeds the limit",
    "should be",
    "maximum",
)
"""Of the generic code 65535, in lower case."""

_TRANSIENT_TEXTS = ("getsegmentid failed", "not ready", "unavailable", "deadline", "canceled", "connection", "timeout")
"""They win over the permanent ones, because causes are quoted one inside the other."""

_NEVER_SENT = ("failed to connect", "connection refused", "name resolution", "tcp handshaker shutdown")
"""Of a call without an answer: it never reached the target, so it cannot live on there."""

_GENERIC = 65535
_STANDBY_ADVICE = "the target is no standby: set common.ttMsgEnabled to false in its configuration"
_CREDENTIALS_ADVICE = "the target refuses the credentials: give a user that may write, or its token"


def of_status(what: str, status: Any) -> CdcError | None:
    """The error in a call's answer; None when there is none."""
    if status.code == 0 and status.error_code == 0:
        return None
    code = status.code or _GENERIC
    text = f"{what}: {status.reason or status.detail} (code {code})"
    if code == NO_STANDBY:
        return NoStandby(f"{_STANDBY_ADVICE} ({text})")
    if code in _UNAUTHENTICATED_CODES:
        return TaskStopped(f"{_CREDENTIALS_ADVICE} ({text})")
    if code in _PERMANENT_CODES or (code == _GENERIC and _is_permanent(status.reason)):
        return Refused(text)
    return TargetUnavailable(text)


def of_call(what: str, error: Exception) -> CdcError:
    """The error of a call that got no answer, as gRPC raises it."""
    if not isinstance(error, grpc.RpcError):
        return TargetUnavailable(f"{what}: {error}", unclear=True)  # the channel was closed under the call
    code, details = error.code(), error.details()
    text = f"{what}: {details} ({code.name})"
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return TaskStopped(f"{_CREDENTIALS_ADVICE} ({text})")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NotSupported(f"the target does not know this call; it must be a Milvus 2.3.2 or later ({text})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in (details or ""):
        return Refused(text)
    advice = milvus_tls.advice(details)
    return TargetUnavailable(
        f"{advice} ({text})" if advice else text,
        unclear=not any(part in (details or "").lower() for part in _NEVER_SENT),
    )


def is_missing(status: Any, *codes: int) -> bool:
    """Whether the answer says that one of these kinds of object does not exist."""
    return status.code in codes


def _is_permanent(reason: str) -> bool:
    text = reason.lower()
    return not any(part in text for part in _TRANSIENT_TEXTS) and any(part in text for part in _PERMANENT_TEXTS)
