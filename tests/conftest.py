"""Fixtures of every test: real servers in tests/servers.py, the whole system in tests/replication.py."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers", "tests.replication"]

# The machine may be busy with anything: how long an example takes says nothing.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
