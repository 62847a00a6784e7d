"""Judgements about the target, a Milvus. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cdc_core.errors import CdcError, Retryable, SourceUnavailable
from cdc_core.model.task import ANY
from cdc_core.preflight.check import Check, failed, failed_by, not_looked_at, passed, warned
from cdc_core.preflight.facts import Chosen, TargetFacts
from cdc_core.sink.compare import difference
from cdc_core.sink.milvus_version import number_of

_OLDEST = (2, 3, 2)
"""The first one that knows ReplicateMessage."""
_TRIED = (2, 3)
_OLDEST_BY_KEY = (2, 3, 0)
"""The first one whose upserts can be relied upon."""
_LITE = "milvus_lite"

_CHANNEL = re.compile(r"_(\d+)$")

_UNREACHABLE_ADVICE = "start the target, or mend its address, port and TLS files in milvus_connect_param"
_REFUSING_ADVICE = (
    "mend milvus_connect_param: the address of a Milvus, username and password or token, TLS files on every host"
)
_STANDBY_ADVICE = (
    "set common.ttMsgEnabled to false in the target's milvus.yaml and restart it, or have it written as by any client, "
    'by primary key: "extension": {"sink": "sdk"}'
)
_TWIN_ADVICE = "drop it on the target, or make it there like the source's"
_DOWN = "the target did not answer"
_NO_NAMES = "the source's etcd did not answer"


def reachable(facts: TargetFacts) -> Check:
    """It answers and takes the credentials."""
    if facts.error is None:
        return passed("target", "it answers and takes the credentials")
    advice = _UNREACHABLE_ADVICE if isinstance(facts.error, Retryable) else _REFUSING_ADVICE
    return failed_by("target", facts.error, advice)


def standby(facts: TargetFacts) -> Check:
    """It takes replicated messages; everything else on it is refused then."""
    if isinstance(facts.standby, CdcError):
        return not_looked_at("standby", _DOWN)
    if not facts.standby:
        message = "the target is no standby: it refuses replicated messages"
        return failed("standby", message, _STANDBY_ADVICE, lasting=True)
    return passed("standby", "common.ttMsgEnabled is false")


def version(facts: TargetFacts) -> Check:
    """Of the target's server."""
    if isinstance(facts.version, CdcError):
        return not_looked_at("version", _DOWN)
    number = number_of(facts.version)
    if number and number < _OLDEST:
        message = f"the target is a Milvus {facts.version}, which does not know ReplicateMessage"
        return failed("version", message, "take a Milvus 2.3.2 or later as the standby", lasting=True)
    if number[:2] != _TRIED:
        message = f"the target says that its version is {facts.version!r}; this system was tried with 2.3"
        return warned("version", message, "try it with data that you can lose first")
    return passed("version", f"Milvus {facts.version}")


def no_standby(facts: TargetFacts) -> Check:
    """It takes ordinary writes."""
    if isinstance(facts.standby, CdcError):
        return not_looked_at("standby", _DOWN)
    if facts.standby:
        message = "this Milvus is a standby, which refuses ordinary writes"
        return failed("standby", message, "leave out extension.sink, or give another Milvus", lasting=True)
    return passed("standby", "it takes ordinary writes")


def version_by_key(facts: TargetFacts) -> Check:
    """Of a server that is written as by any client."""
    if isinstance(facts.version, CdcError):
        return not_looked_at("version", _DOWN)
    number = number_of(facts.version)
    if facts.version.startswith(_LITE) or number[:2] == _TRIED:
        return passed("version", f"Milvus {facts.version}")
    if number and number < _OLDEST_BY_KEY:
        message = f"the target is a Milvus {facts.version}, older than 2.3"
        return failed("version", message, "take a Milvus 2.3 or later", lasting=True)
    message = (
        f"the target says that its version is {facts.version!r}; writing by key was tried with 2.3 and Milvus Lite"
    )
    return warned("version", message, "try it with data that you can lose first")


def file(path: str, workers: int) -> Check:
    """A Milvus Lite: it belongs to the worker that opens it first, so nobody else looks."""
    if workers > 1:
        message = f"{path}: only one process may open a Milvus Lite file, and {workers} workers are alive"
        return failed("target", message, "end all but one of them", lasting=False)
    return warned("target", f"{path} is not looked at: only the worker may open it", "have one worker, on that host")


def channels(facts: TargetFacts, channel_num: int, collections: Sequence[Chosen]) -> Check:
    """`channel_num` of the request against the channels that the target's collections have; a server does not tell
    how many there are, so what is found is the least it can have.
    """
    if isinstance(facts.pchannels, CdcError):
        return not_looked_at("channels", _DOWN)
    vchannels = sum(each.collection.shards for each in collections)
    least = max((int(found[1]) + 1 for name in facts.pchannels if (found := _CHANNEL.search(name))), default=0)
    if least > channel_num:
        message = f"channel_num is {channel_num}, but the target has at least {least} dml channels"
        return warned("channels", message, f"give channel_num: its rootCoord.dmlChannelNum, {least} or more")
    if vchannels > channel_num:
        message = f"{vchannels} vchannels for {channel_num} dml channels: a 2.3 target that is killed can lose rows"
        return warned("channels", message, f"give the target rootCoord.dmlChannelNum {vchannels} or more; see README")
    said = f"{vchannels} vchannels for {channel_num} dml channels of the target"
    return passed("channels", f"{said}, of which {len(facts.pchannels)} are in use there")


def schemas(facts: TargetFacts, collections: Sequence[Chosen]) -> Check:
    """Collections that are on the target already take the source's rows."""
    if isinstance(facts.twins, CdcError):
        return not_looked_at("schemas", _NO_NAMES if isinstance(facts.twins, SourceUnavailable) else _DOWN)
    twins = facts.twins
    there = [each for each in collections if each.key in twins]
    different = [(each, text) for each in there if (text := difference(each.collection, twins[each.key]))]
    if different:
        message = "; ".join(f"{each.name} differs: {text}" for each, text in different[:3])
        more = f"; and {len(different) - 3} more" if len(different) > 3 else ""
        named = any(each.selector.name != ANY for each, _ in different)  # of a wildcard, the others go on
        return failed("schemas", message + more, _TWIN_ADVICE, lasting=named)
    if facts.unseen:
        message = f"{facts.unseen} collections of the target were not compared in time"
        return warned("schemas", message, "validate again when the target has less to do")
    new = len(collections) - len(there)
    return passed("schemas", f"{len(there)} collections are on the target already and alike, {new} will be made")
