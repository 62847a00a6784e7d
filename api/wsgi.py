"""What gunicorn serves: `gunicorn -c api/gunicorn.py api.wsgi:app`."""

from __future__ import annotations

import sys

from api.app import create_app
from cdc_core.settings import Settings, SettingsError
from cdc_core.telemetry.logging import configure_from

try:
    _settings = Settings.load()
except SettingsError as error:
    sys.exit(str(error))

configure_from(_settings)
app = create_app(_settings)
