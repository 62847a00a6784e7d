"""Kombu's transport over Redis, which lets nothing but tickets out of their queues.

Kombu parses what it finds there, and a worker ends by what cannot be parsed, or by what Celery then stumbles over. Some
of that is put back for the next worker, which ends as well. Whatever else can write to the broker's Redis would have
them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str

from cdc_core.names import COMMON_QUEUE, worker_queue
from workers.ticket import is_ticket

log = structlog.get_logger(__name__)


class _Client(kombu_redis.PrefixedStrictRedis):
    """Reads the queues."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """None, as after a wait in vain, for what is no ticket: it is taken out and told."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and answer:
            queue, item = bytes_to_str(answer[0]), answer[1]
            if _is_for_tickets(queue) and not is_ticket(item):
                log.error("no_ticket_thrown_away", queue=queue, begins=repr(item[:80]))
                return None
        return answer


def _is_for_tickets(queue: str) -> bool:
    """Not one for answers to remote control."""
    return queue == COMMON_QUEUE or queue.startswith(worker_queue(""))


class _TicketsOnly:
    """Of a channel: how it makes its clients."""

    global_keyprefix: str

    def _get_client(self) -> Callable[..., Any]:
        super()._get_client()  # type: ignore[misc]  # looks at the versions
        return partial(_Client, global_keyprefix=self.global_keyprefix)


class Channel(_TicketsOnly, kombu_redis.Channel):
    """Of the transport below."""


class SentinelChannel(_TicketsOnly, kombu_redis.SentinelChannel):
    """Of the other one."""


class Transport(kombu_redis.Transport):
    """For `broker_transport`."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """The same where Sentinels know the master."""

    Channel = SentinelChannel
