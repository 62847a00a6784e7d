"""Filters of deletes: expressions of a Milvus that name rows by their keys. Pure.

Seen on 2.3.5: `pk in [...]` needs no loaded collection, 10,000 keys take 0.1 s; of a string nothing but these five
characters may be escaped, and the smallest int64 is no literal. Milvus Lite takes it as one, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc_core.codec.keys import Key

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SMALLEST = -(2**63)


def of_keys(field: str, keys: Sequence[Key], *, plain_literals: bool) -> str:
    """Those rows; `plain_literals` for a server that does not calculate (Milvus Lite)."""
    return f"{field} in [{', '.join(_literal(key, plain_literals) for key in keys)}]"


def _literal(key: Key, plain_literals: bool) -> str:
    if isinstance(key, str):
        return f'"{key.translate(_ESCAPES)}"'
    return f"{key + 1}-1" if key == _SMALLEST and not plain_literals else str(key)
