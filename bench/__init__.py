"""Measurements on real servers (`python -m bench [latency catchup small_writes idle]`), and `scale` without them."""
