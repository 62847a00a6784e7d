"""Whether this is still the state that this process began with."""

from __future__ import annotations

import uuid
from typing import cast

import redis
import structlog

from cdc_core.errors import StateLost
from cdc_core.names import Keys

log = structlog.get_logger(__name__)


class Origin:
    """A state's name, given once by whoever finds none, and remembered from then on by every process that has seen it.

    An empty Redis is right before the first start and a disaster later, and looks the same: who has seen the name knows
    which it is. Who starts on an empty one cannot know, and says so loudly. Thread-safe.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.origin
        self._seen = ""
        self._lost = False

    def check(self, found: str | None) -> None:
        """`found` is what the key was read as. A state that is back as it was is the right one again.

        Raises redis errors. :raises StateLost: it is another one than before, or none.
        """
        if not self._seen:
            self._seen = found or self._begin()
        if found != self._seen:
            found = cast("str | None", self._client.get(self._key))  # another thread may have named it meanwhile
        lost = found != self._seen
        if lost != self._lost:
            self._lost = lost
            log.critical("state_lost" if lost else "state_is_back", origin=self._seen, found=found)
        if lost:
            raise StateLost(self._seen)

    def _begin(self) -> str:
        """Of several processes that find no name, one gives it."""
        if self._client.set(self._key, uuid.uuid4().hex, nx=True):
            log.warning("state_begins", advice="right at the first start; else restore the Redis of the state")
        return cast("str", self._client.get(self._key))
