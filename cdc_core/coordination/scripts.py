"""The Lua scripts of this package: atomic, time from Redis."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import redis
from redis.commands.core import Script


@cache
def text(name: str) -> str:
    """The script `scripts/<name>.lua` behind the common prelude."""
    folder = files("cdc_core.coordination") / "scripts"
    return (folder / "prelude.lua").read_text() + (folder / f"{name}.lua").read_text()


def script(client: redis.Redis, name: str) -> Script:
    """That script, callable; loaded into Redis again when Redis has forgotten it."""
    return client.register_script(text(name))
