"""The Celery application: `celery -A workers.app worker` is all that a further node needs."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from cdc_core.telemetry.logging import configure_from
from workers.config import celery_config
from workers.process import WORKER, settings


@setup_logging.connect
def _log_our_way(**_: Any) -> None:
    """With a receiver of this signal Celery leaves logging alone."""
    configure_from(settings())


app = Celery("milvus-cdc-workers", include=["workers.tasks", "workers.signals"])
app.config_from_object(celery_config(settings(), WORKER))
