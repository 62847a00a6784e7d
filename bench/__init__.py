"""Measurements on real servers: `python -m bench [latency catchup small_writes idle] [--queue kafka]`."""
