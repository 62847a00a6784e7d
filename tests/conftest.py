"""Fixtures of every test: real servers in tests/servers.py, the whole system in tests/replication.py."""

pytest_plugins = ["tests.servers", "tests.replication"]
