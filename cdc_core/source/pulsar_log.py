"""What the Pulsar client says, passed on to our logging.

Its own way to a Python logger asks Python about every line, also those for debugging, of which each message writes
some; and it takes the interpreter's lock while it holds locks of its own. So it writes to a "file", the end of a pipe.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import cache

import pulsar

logger = logging.getLogger(__name__)


@cache
def client_log() -> pulsar.FileLogger:
    """The one of this process, as the client has one for all. Its errors come as our lines of level debug: a cluster
    that is away is told by SourceUnavailable, not by a line for each attempt of each reader.
    """
    read_end, write_end = os.pipe()
    threading.Thread(target=_pass_on, args=(read_end,), name="pulsar-log", daemon=True).start()
    return pulsar.FileLogger(pulsar.LoggerLevel.Error, f"/dev/fd/{write_end}")


def _pass_on(read_end: int) -> None:
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            logger.debug("pulsar: %s", line.rstrip())
