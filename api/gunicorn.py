"""Gunicorn's configuration: `gunicorn -c api/gunicorn.py api.wsgi:app`."""

from __future__ import annotations

import sys

from cdc_core.settings import Settings, SettingsError

try:
    bind = Settings.load().http_address
except SettingsError as _error:
    sys.exit(str(_error))

# One process: it keeps no state, and its threads wait for Redis and the source most of the time.
workers = 1
worker_class = "gthread"
threads = 16
# A create waits for the source: up to its time-outs (etcd 5 s an endpoint, queue 5 s, a tick 2 s); for the target
# beside it, up to 7 s, and 3 s for the target's collections.
timeout = 60
graceful_timeout = 10
keepalive = 5
# Requests are logged by the application, with their type and code.
accesslog = None
control_socket_disable = True
