"""Timestamps of the model: small numbers, four to a grid cell; 0 is none."""

from __future__ import annotations

GRID = 4
"""Grid cells are (4k, 4k + 4]; in Milvus' time 50 ms (cdc_core/model/timestamp.py)."""

SECOND = 20 * GRID


def floor(stamp: int) -> int:
    """The last grid line at or below it."""
    return stamp - stamp % GRID


def ceil(stamp: int) -> int:
    """The first grid line at or above it."""
    return -(-stamp // GRID) * GRID


def cell(stamp: int) -> int:
    return ceil(stamp) // GRID
