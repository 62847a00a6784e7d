"""Celery's configuration, as measured for tasks that run for weeks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from kombu.entity import Queue

from cdc_core.broker_address import BrokerAddress
from cdc_core.names import BROKER_PREFIX, COMMON_QUEUE, worker_queue
from cdc_core.sentinel_address import SCHEME
from cdc_core.settings import Settings

TICKET_SECONDS = 30
"""A ticket nobody took after this long is void; the reconciler issues another."""

_TRANSPORTS = {
    "redis": "workers.transport:Transport",
    "rediss": "workers.transport:Transport",
    SCHEME: "workers.transport:SentinelTransport",
}


def celery_config(settings: Settings, worker: str) -> dict[str, Any]:
    """For the worker incarnation `worker`."""
    broker = BrokerAddress.parse(settings.broker_url)
    return {
        "broker_url": broker.url,
        "broker_use_ssl": broker.tls,
        "broker_transport": _TRANSPORTS[urlsplit(settings.broker_url).scheme],
        "broker_transport_options": {
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": BROKER_PREFIX,
            **broker.options,
        },
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        # A Redis that takes no writes (a replica, a full memory) refuses: that passes, like one that is away.
        "broker_channel_error_retry": True,
        # Early acknowledgement: with acks_late a task longer than the visibility time-out is started a second time,
        # and a restart of Redis ends the worker. A lost ticket is issued again (reconciler).
        "task_acks_late": False,
        "task_ignore_result": True,
        "result_backend": None,
        "worker_pool": "threads",
        # Catalogs run beside the vchannels that the slots are for. Threads are made when needed.
        "worker_concurrency": settings.worker_slots + settings.max_tasks,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_enable_remote_control": True,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "task_queues": [Queue(COMMON_QUEUE), Queue(worker_queue(worker), auto_delete=True)],
        "task_default_queue": COMMON_QUEUE,
        "task_serializer": "json",
        "accept_content": ["json"],
        "event_queue_ttl": 60,
        "event_queue_expires": 120,
    }
