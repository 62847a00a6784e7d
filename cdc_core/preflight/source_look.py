"""Looks at the source. Blocks some seconds at most; errors stand where the answers would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from cdc_core.errors import CdcError
from cdc_core.model.catalog import Catalog
from cdc_core.model.channel import op_channel, pchannel_of
from cdc_core.model.task import ANY, TaskSpec
from cdc_core.preflight.facts import Place, SourceFacts, answer_of, chosen
from cdc_core.source.base import Queue
from cdc_core.transform.filter import Selection


def look_at_source(
    refresh: Callable[[], Catalog], open_queue: Callable[[], Queue], spec: TaskSpec, prefix: str
) -> SourceFacts:
    """What exists, which topics there are, and the places that the task would be read from."""
    catalog = answer_of(refresh)
    queue = answer_of(open_queue)
    if isinstance(queue, CdcError):
        return SourceFacts(prefix, catalog, queue, queue)
    with closing(queue):
        topics = answer_of(queue.topics)
        if isinstance(topics, CdcError):
            return SourceFacts(prefix, catalog, topics, topics)  # the next question would take its time-out again
        wanted = sorted(set(_wanted(catalog, spec, prefix)))
        return SourceFacts(prefix, catalog, topics, answer_of(lambda: _places(queue, wanted)))


def _wanted(catalog: Catalog | CdcError, spec: TaskSpec, prefix: str) -> Iterator[tuple[str, bytes, bool]]:
    """Channel, message id and `named` of every place that is asked for, given or as the collection's own start."""
    if spec.op_position:
        yield op_channel(prefix), spec.op_position.message_id, True
    for selectors in spec.selectors.values():
        for selector in selectors:
            for channel, position in selector.positions.items():
                yield channel, position.message_id, True
    if isinstance(catalog, CdcError):
        return
    for each in chosen(catalog, Selection.of(spec)):
        if each.selector.use_start_position:
            for vchannel in each.collection.vchannels:
                start = each.collection.start_positions.get(vchannel.pchannel)
                if start and vchannel.name not in each.selector.positions:
                    yield vchannel.name, start.message_id, each.selector.name != ANY


def _places(queue: Queue, wanted: list[tuple[str, bytes, bool]]) -> tuple[Place, ...]:
    """The beginning of a topic (an empty id) is always there. :raises SourceUnavailable:"""
    bounds: dict[str, tuple[int | None, int | None]] = {}
    places = []
    for channel, message_id, named in wanted:
        if not message_id:
            continue
        pchannel = pchannel_of(channel)
        if pchannel not in bounds:
            bounds[pchannel] = (_order(queue, queue.head(pchannel)), _order(queue, queue.tail(pchannel)))
        places.append(Place(channel, _order(queue, message_id), *bounds[pchannel], named))
    return tuple(places)


def _order(queue: Queue, message_id: bytes) -> int | None:
    try:
        return queue.order(message_id) if message_id else None
    except ValueError:
        return None
