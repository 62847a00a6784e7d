"""TLS to a Milvus: the files of a `DialConfig`, and what a handshake that failed says."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import grpc

from cdc_core.errors import TaskStopped
from cdc_core.model.connect import DialConfig

_LARGEST = 1 << 20
"""Bytes of a file; those of all of Mozilla's authorities are a fifth of it."""
_NO_CONNECTION = "failed to connect"
# What gRPC's client says of why there is none -> what to do. The first that fits counts.
_ADVICE = {
    "wrong_version_number": "the target speaks no TLS at this address: use http:// and no dial_config, "
    "or switch on its common.security.tlsMode",
    "hostname verification": "give dial_config.server_name a name that is in the target's certificate",
    "certificate has expired": "the target's certificate, or what signed it, has expired: renew it there",
    "certificate": "the target's certificate is signed by nobody that is trusted here: give the file of who signed it, "
    "as dial_config.server_pem_path, or ca_pem_path of two-way TLS",
    # TLS 1.3: a client learns that it was refused only when it reads its first answer.
    "tsi_data_corrupted": "the target wants a certificate of ours (two-way TLS): give dial_config's ca_pem_path, "
    "client_pem_path and client_key_path, signed by an authority that the target trusts",
    "socket closed": "it hangs up at once: if the target speaks TLS, use https:// or dial_config",
}


def credentials(dial: DialConfig) -> grpc.ChannelCredentials:
    """Two-way with a client's key, else one-way; the system's authorities where no file is named.

    :raises TaskStopped: a file cannot be read on this host, or is not what it is given for.
    """
    if dial.client_key_path:
        root = _authorities("ca_pem_path", dial.ca_pem_path)
        return grpc.ssl_channel_credentials(root, *_own_certificate(dial.client_key_path, dial.client_pem_path))
    if dial.server_pem_path:
        return grpc.ssl_channel_credentials(_authorities("server_pem_path", dial.server_pem_path))
    return grpc.ssl_channel_credentials(_authorities("ca_pem_path", dial.ca_pem_path))


def ages(dial: DialConfig) -> tuple[int, ...]:
    """When its files were last changed, ns: a connection keeps what it has read of them, and they may be renewed."""
    names = (dial.server_pem_path, dial.ca_pem_path, dial.client_pem_path, dial.client_key_path)
    return tuple(path.stat().st_mtime_ns for path in map(Path, filter(None, names)) if path.is_file())


def advice(details: str | None) -> str:
    """What to do about a call that failed with these words of gRPC; '' when it was not for TLS."""
    text = (details or "").lower()
    if _NO_CONNECTION not in text:  # "socket closed" under a call is another matter
        return ""
    return next((what for words, what in _ADVICE.items() if words in text), "")


def _authorities(name: str, path: str) -> bytes | None:
    if not path:
        return None
    content = _read(name, path)
    _look(
        lambda: ssl.create_default_context(cafile=path),
        f"dial_config.{name}: {path} holds no certificate that can be read; expected PEM",
    )
    return content


def _own_certificate(key_path: str, pem_path: str) -> tuple[bytes, bytes]:
    """Key and certificate, as gRPC wants them: it says nothing of use when they are wrong."""
    key, pem = _read("client_key_path", key_path), _read("client_pem_path", pem_path)
    _look(
        lambda: ssl.create_default_context().load_cert_chain(pem_path, key_path, password=_no_password),
        f"dial_config.client_pem_path: {pem_path} is no certificate of the key {key_path} (client_key_path); "
        "expected both in PEM, the key without a password",
    )
    return key, pem


def _look(load: Callable[[], object], problem: str) -> None:
    try:
        load()
    except (ssl.SSLError, ValueError) as error:
        raise TaskStopped(f"{problem} ({error})") from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def _read(name: str, path: str) -> bytes:
    """Bounded: who makes a task names the path, and it is read by the API, too."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:  # opening a FIFO may never end, nor reading /proc/kmsg
            raise ValueError("it is no file, or an empty one")
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise TaskStopped(
            f"dial_config.{name}: the target's TLS file {path} cannot be read on this host: {why}"
        ) from error
    return content
