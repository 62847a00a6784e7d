"""Logging: structlog for ours and for the libraries', one line an event, to stderr; secrets never."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from cdc_core.settings import Settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_SECRET_KEY = re.compile(r"password|passwd|secret|token|authorization|credential|sasl", re.IGNORECASE)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_HIDDEN = "***"
_CHATTY = ("kombu", "urllib3", "etcd3", "pyetcd", "grpc", "faker")
"""Libraries whose debug lines would drown ours."""


def configure(level: str, format_: str) -> None:
    """Set up structlog and the standard library's root logger; may be called again."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    set_level(level)


def configure_from(settings: Settings) -> None:
    """`configure`, and tell which names of the settings mean nothing here."""
    configure(settings.log_level, settings.log_format)
    if settings.ignored:
        structlog.get_logger(__name__).warning("these settings have no meaning here", names=list(settings.ignored))


def set_level(level: str) -> None:
    """At runtime. :raises KeyError: it is none of `LEVELS`."""
    logging.getLogger().setLevel(LEVELS[level])


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hide what is filed under a secret's name, and credentials inside of URLs."""
    for key, value in event.items():
        event[key] = _HIDDEN if _SECRET_KEY.search(key) and value else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _URL_CREDENTIALS.sub(f"{_HIDDEN}@", value) if "://" in value else value
    if isinstance(value, dict):
        return {
            key: _HIDDEN if _SECRET_KEY.search(str(key)) and inner else _clean(inner) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value
