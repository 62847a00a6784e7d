"""Why a Pulsar does not answer us, and which setting to look at."""

from __future__ import annotations

import ssl

import pulsar

from cdc_core.errors import SourceUnavailable
from cdc_core.source.pulsar_cluster import PulsarCluster

_CREDENTIALS = "it refuses the credentials: see CDC_SOURCE_PULSAR_AUTH_PLUGIN and CDC_SOURCE_PULSAR_AUTH_PARAMS"
_NOT_TRUSTED = "its certificate is not trusted: see CDC_SOURCE_PULSAR_CA_CERT, and the host in CDC_SOURCE_MQ"
_TLS = (
    "TLS fails: see CDC_SOURCE_MQ (pulsar+ssl:// or pulsar://), CDC_SOURCE_PULSAR_CA_CERT and the files of "
    "CDC_SOURCE_PULSAR_AUTH_PARAMS"
)
_FILES = "a file cannot be read on this host: see CDC_SOURCE_PULSAR_AUTH_PARAMS"
_CLOSED = "it hangs up: where it speaks TLS, CDC_SOURCE_MQ begins with pulsar+ssl://"


class PulsarRefused(Exception):
    """The broker answers with an error; `code` is a `ServerError` of Pulsar's protocol."""

    AUTHENTICATION, AUTHORIZATION = 3, 4

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def unavailable(cluster: PulsarCluster, error: object) -> SourceUnavailable:
    """The error to raise for this one."""
    advice = _advice(error)
    return SourceUnavailable(
        f"Pulsar at {cluster.url} does not answer: " + (f"{advice} ({error})" if advice else str(error))
    )


def _advice(error: object) -> str:
    if isinstance(error, PulsarRefused) and error.code in (error.AUTHENTICATION, error.AUTHORIZATION):
        return _CREDENTIALS
    if isinstance(error, pulsar.AuthenticationError | pulsar.AuthorizationError):
        return _CREDENTIALS
    if isinstance(error, ssl.SSLCertVerificationError):
        return _NOT_TRUSTED
    if isinstance(error, ssl.SSLError):
        return _TLS
    if isinstance(error, FileNotFoundError | PermissionError):
        return _FILES
    return _CLOSED if isinstance(error, ConnectionAbortedError) else ""
