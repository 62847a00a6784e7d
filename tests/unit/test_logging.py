"""Logging: one line an event, secrets hidden, the level changed at runtime."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from cdc_core.telemetry.logging import configure, set_level

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_ours_and_the_libraries_lines_are_json_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    structlog.get_logger("ours").info("hello", password="hunter2", inner={"api_token": "hunter2", "n": 1})
    logging.getLogger("theirs").warning("lost %s", "redis://user:hunter2@h:1/0")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["logger"], ours["level"]) == ("hello", "ours", "info")
    assert (ours["password"], ours["inner"]) == ("***", {"api_token": "***", "n": 1})
    assert theirs["event"] == "lost redis://***@h:1/0"


def test_a_stack_has_no_credentials_of_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        raise ConnectionError("redis://user:hunter2@h:1/0 is away")
    except ConnectionError:
        structlog.get_logger("ours").exception("failed")
    text = capsys.readouterr().err
    assert "ConnectionError" in text
    assert "hunter2" not in text


def test_the_level_is_changed_at_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "console")
    log = structlog.get_logger("ours")
    log.debug("one")
    set_level("debug")
    log.debug("two")
    set_level("error")
    log.warning("three")
    text = capsys.readouterr().err
    assert "two" in text
    assert "one" not in text
    assert "three" not in text
