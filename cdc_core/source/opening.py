"""The source that the settings name."""

from __future__ import annotations

from cdc_core.errors import SourceUnavailable
from cdc_core.settings import Settings
from cdc_core.source.base import Queue
from cdc_core.source.catalog import SourceCatalog
from cdc_core.source.connect import open_queue
from cdc_core.source.etcd import EtcdSecurity


def open_source_catalog(settings: Settings) -> SourceCatalog:
    """Its metadata in etcd; does not wait for it."""
    security = EtcdSecurity(
        user=settings.source_etcd_username or None,
        password=settings.source_etcd_password.get_secret_value() or None,
        ca_cert=_path(settings.source_etcd_ca_cert),
        cert_key=_path(settings.source_etcd_key),
        cert_cert=_path(settings.source_etcd_cert),
    )
    hosts = settings.source_etcd_endpoints
    endpoints = [f"https://{host.removeprefix('https://')}" for host in hosts] if settings.source_etcd_tls else hosts
    return SourceCatalog(",".join(endpoints), settings.source_etcd_root, settings.source_meta_subpath, security)


def open_source_queue(settings: Settings) -> Queue:
    """Its message queue; does not connect yet. :raises SourceUnavailable: a kind that this version does not read."""
    try:
        return open_queue(settings.source_mq, settings.source_mq_options)
    except ValueError as error:
        raise SourceUnavailable(f"CDC_SOURCE_MQ: {error}") from error


def _path(path: object) -> str | None:
    return str(path) if path else None
