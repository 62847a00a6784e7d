"""What an operator reads is what the program knows: .env.example, README, Procfile."""

import re
from pathlib import Path

import pytest

from cdc_core.settings import PREFIX, Settings
from deploy.local.system import procfile

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SETTINGS = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}


@pytest.mark.parametrize("file", [".env.example", "README.md"])
def test_every_setting_is_told_and_no_other(file: str) -> None:
    assert set(re.findall(r"\bCDC_[A-Z_]+\b", (ROOT / file).read_text())) - {"CDC_SOURCE_"} == SETTINGS


def test_the_example_is_accepted_and_says_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    found = Settings(_env_file=ROOT / ".env.example")  # type: ignore[call-arg]  # pydantic-settings' own argument
    assert found == Settings(_env_file=None, source_mq="kafka://127.0.0.1:9092")  # type: ignore[call-arg]


def test_the_processes_are_web_worker_and_flower() -> None:
    assert list(procfile()) == ["web", "worker", "flower"]
