"""Tickets for catalogs, sent by name: the API knows no worker."""

from __future__ import annotations

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from cdc_core.broker_address import BrokerAddress
from cdc_core.names import BROKER_PREFIX, CATALOG_TASK, COMMON_QUEUE

TICKET_SECONDS = 30
"""A ticket nobody took expires; the reconciler issues another."""

_logger = structlog.get_logger(__name__)


class Tickets:
    """A Celery producer. Thread-safe."""

    def __init__(self, broker_url: str) -> None:
        broker = BrokerAddress.parse(broker_url)
        self._app = Celery("cdc-api", broker=broker.url)
        self._app.conf.update(
            task_ignore_result=True,
            broker_use_ssl=broker.tls,
            broker_connection_timeout=2,
            broker_transport_options={
                "socket_timeout": 2,
                "socket_connect_timeout": 2,
                "global_keyprefix": BROKER_PREFIX,
                **broker.options,
            },
            redis_socket_timeout=2,
            redis_socket_connect_timeout=2,
        )

    def enqueue(self, task_id: str) -> None:
        """Invite a worker to the task's catalog; without a broker the reconciler's own ticket comes some seconds later.

        May block some seconds; raises nothing.
        """
        try:
            self._app.send_task(
                CATALOG_TASK,
                args=[task_id, "api"],
                queue=COMMON_QUEUE,
                expires=TICKET_SECONDS,
                ignore_result=True,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
            )
        except (OperationalError, OSError) as error:
            _logger.warning("no ticket: the broker does not answer", task_id=task_id, error=type(error).__name__)

    def close(self) -> None:
        self._app.close()
