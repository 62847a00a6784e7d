"""Judgements about the source. Pure."""

from __future__ import annotations

from cdc_core.errors import CdcError
from cdc_core.model.catalog import Catalog
from cdc_core.model.task import ANY
from cdc_core.preflight.check import Check, failed, failed_by, listed, not_looked_at, passed, warned
from cdc_core.preflight.facts import Place, SourceFacts, chosen
from cdc_core.transform.filter import Selection
from cdc_core.transform.pattern import Pattern, Patterns

_ETCD_ADVICE = (
    "start the source's etcd, or set CDC_SOURCE_ETCD_ENDPOINTS (and its user, password and TLS files) to where it is"
)
_QUEUE_ADVICE = "start the source's message queue, or set CDC_SOURCE_MQ to where it is"
_CLUSTER_ADVICE = (
    "CDC_SOURCE_ETCD_ENDPOINTS, CDC_SOURCE_ETCD_ROOT, CDC_SOURCE_CHANNEL_PREFIX and CDC_SOURCE_MQ "
    "must all be of one Milvus: compare them with its milvus.yaml"
)
_PREFIX_ADVICE = "set CDC_SOURCE_CHANNEL_PREFIX to what the names have before -rootcoord"
_NAMES_ADVICE = "check the spelling, upper and lower case count; one that is made later is taken when it comes"
_COPY_ADVICE = "copy the collection anew and create the task with the positions of that copy"


def etcd(facts: SourceFacts) -> Check:
    if isinstance(facts.catalog, CdcError):
        return failed_by("source_etcd", facts.catalog, _ETCD_ADVICE)
    return passed("source_etcd", f"{len(facts.catalog.collections)} collections are known")


def queue(facts: SourceFacts) -> Check:
    if isinstance(facts.topics, CdcError):
        return failed_by("source_queue", facts.topics, _QUEUE_ADVICE)
    return passed("source_queue", f"{len(facts.topics)} topics are there")


def cluster(facts: SourceFacts, selection: Selection) -> Check:
    """Whether etcd and queue belong to one Milvus: the channels that etcd names are topics of the queue."""
    catalog, topics = facts.catalog, facts.topics
    if isinstance(catalog, CdcError) or isinstance(topics, CdcError):
        return not_looked_at("source_cluster", "the source's etcd or queue did not answer")
    wanted = _pchannels(catalog, selection)
    if not wanted:
        return warned(
            "source_cluster",
            "the source has no collection yet, so nothing shows that its etcd and its queue belong together",
            _CLUSTER_ADVICE,
        )
    if foreign := [name for name in wanted if not name.startswith(f"{facts.prefix}-")]:
        message = f"the source's channels are named {listed(foreign)}, which does not begin with {facts.prefix!r}"
        return failed("source_cluster", message, _PREFIX_ADVICE, lasting=True)
    missing = [name for name in wanted if name not in topics]
    if len(missing) == len(wanted):
        message = f"the queue has none of the channels that etcd names ({listed(missing)})"
        return failed("source_cluster", message, _CLUSTER_ADVICE, lasting=True)
    if missing:
        message = f"the queue has no {listed(missing)} yet; the rows of these channels wait for it"
        return warned("source_cluster", message, _CLUSTER_ADVICE)
    return passed("source_cluster", f"the queue has all {len(wanted)} channels that etcd names")


def names(facts: SourceFacts, selection: Selection) -> Check:
    """What the selection means now; what does not exist yet is replicated from its first row once it does."""
    if isinstance(facts.catalog, CdcError):
        return not_looked_at("names", "the source's etcd did not answer")
    found = chosen(facts.catalog, selection)
    there = Patterns((Pattern(*each.key), None) for each in found)
    missing = [pattern for pattern in selection.patterns if not any(there.meeting(pattern))]
    said = f"{len(found)} collections are selected now"
    if named := sorted(str(pattern) for pattern in missing if pattern.collection != ANY):
        return warned("names", f"{said}; not there yet: {listed(named)}", _NAMES_ADVICE)
    if missing:
        return passed("names", f"{said}; new ones of {listed(map(str, missing))} are taken when they come")
    return passed("names", said)


def positions(facts: SourceFacts, selection: Selection) -> Check:
    """Whether the queue still holds the places to begin at, and they are those of the collections."""
    if isinstance(facts.places, CdcError):
        return not_looked_at("positions", f"the source's queue did not answer ({facts.places})")
    if not isinstance(facts.catalog, CdcError) and (strange := _strange_channels(facts.catalog, selection)):
        message = f"{listed(strange)} belongs to no collection of that name: it was dropped, perhaps made again"
        return failed("positions", message, _COPY_ADVICE, lasting=True)
    if wrong := [place.channel for place in facts.places if place.order is None]:
        message = f"the position of {listed(wrong)} is none of this queue's"
        return failed("positions", message, "give positions of the queue that CDC_SOURCE_MQ names", lasting=True)
    if gone := [place for place in facts.places if _is_below(place.order, place.head)]:
        message = f"the queue does not hold {listed(map(_gone, gone))} any more"
        lasting = any(place.named for place in gone)  # of a wildcard, the others go on
        return failed("positions", message, f"{_COPY_ADVICE}; keep the source's messages longer", lasting=lasting)
    if ahead := [place.channel for place in facts.places if _is_below(place.tail, place.order, by=1)]:
        message = f"the position of {listed(ahead)} lies behind the end of its topic"
        return warned("positions", message, f"if the topic was made anew, {_COPY_ADVICE}")
    if not isinstance(facts.catalog, CdcError) and (left := _channels_without(facts.catalog, selection)):
        message = f"{listed(left)} has none given, other channels of its collection have: it begins now"
        return warned("positions", message, "give the positions of all channels of a collection")
    if facts.places:
        return passed("positions", f"the queue holds all {len(facts.places)} places to begin at")
    return passed("positions", "none is given: what is new from now on is replicated")


def _pchannels(catalog: Catalog, selection: Selection) -> list[str]:
    """Of the selected collections, or of all when none is selected yet."""
    selected = [each.collection for each in chosen(catalog, selection)] or catalog.collections.values()
    return sorted({vchannel.pchannel for collection in selected for vchannel in collection.vchannels})


def _strange_channels(catalog: Catalog, selection: Selection) -> list[str]:
    """Channels with a given position that are none of the existing collection's: it would be passed over in silence."""
    strange = []
    for each in chosen(catalog, selection):
        own = {vchannel.name for vchannel in each.collection.vchannels}
        strange += sorted(set(each.selector.positions) - own)
    return strange


def _channels_without(catalog: Catalog, selection: Selection) -> list[str]:
    given = [each for each in chosen(catalog, selection) if each.selector.positions]
    own = {vchannel.name for each in given for vchannel in each.collection.vchannels}
    return sorted(own.difference(*(each.selector.positions for each in given)))


def _gone(place: Place) -> str:
    return f"the position of {place.channel} ({place.order}, the first one still there is {place.head})"


def _is_below(one: int | None, other: int | None, by: int = 0) -> bool:
    return one is not None and other is not None and one + by < other
