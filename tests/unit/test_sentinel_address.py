"""Addresses of a Redis that Sentinels watch."""

import pytest

from cdc_core.sentinel_address import EXPECTED, SentinelAddress
from cdc_core.settings import Settings
from workers.config import celery_config

pytestmark = pytest.mark.unit


def test_every_part_is_read() -> None:
    found = SentinelAddress.parse("sentinel://ann:p%40ss@one:26380,two/4?master=state")
    assert found == SentinelAddress((("one", 26380), ("two", 26379)), "state", 4, "ann", "p@ss")
    assert found.broker_url == "sentinel://ann:p%40ss@one:26380/4;sentinel://ann:p%40ss@two:26379/4"


def test_what_can_be_left_out() -> None:
    found = SentinelAddress.parse("sentinel://one?master=state")
    assert found == SentinelAddress((("one", 26379),), "state", 0)
    assert found.broker_url == "sentinel://one:26379/0"


@pytest.mark.parametrize("text", ["redis://one:6379/0", "unix:///run/redis.sock", ""])
def test_others_are_not_of_this_kind(text: str) -> None:
    assert SentinelAddress.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "sentinel://one:26379/0",
        "sentinel:///0?master=state",
        "sentinel://one:x/0?master=state",
        "sentinel://one,:2/0?master=state",
        "sentinel://one:99999/0?master=state",
        "sentinel://one/db?master=state",
        "sentinel://one/0?master=state&quorum=2",
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="expected sentinel://"):
        SentinelAddress.parse(text)
    for name in ("redis_url", "broker_url"):
        with pytest.raises(ValueError, match=EXPECTED.replace("[", r"\[").replace("?", r"\?")):
            Settings(source_mq="kafka://one:1", **{name: text})


def test_celery_is_told_of_the_master() -> None:
    settings = Settings(source_mq="kafka://one:1", broker_url="sentinel://one,two/1?master=broker")
    config = celery_config(settings, "w")
    assert config["broker_url"] == "sentinel://one:26379/1;sentinel://two:26379/1"
    assert config["broker_transport_options"]["master_name"] == "broker"
