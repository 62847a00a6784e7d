"""One change of a target's objects, as those are told who follow them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cdc_core.codec.operation import Operation
from cdc_core.model.catalog import Collection
from cdc_core.model.timestamp import ZERO, Tso


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """`op` says what: `create_collection`, ..., or the name of the `operation` in lower case.

    All names are the target's. `at` is ZERO where the source tells no time. `details` is the rest, as JSON may hold it;
    `made` is the collection that was created.
    """

    op: str
    database: str
    collection: str = ""
    collection_id: int = 0
    at: Tso = ZERO
    details: Mapping[str, object] = field(default_factory=dict)
    made: Collection | None = None
    operation: Operation | None = None
