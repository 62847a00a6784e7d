"""What a source queue must do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cdc_core.errors import CdcError
from cdc_core.model.catalog import Catalog, Serving


@dataclass(frozen=True, slots=True)
class Record:
    """One message as the queue holds it.

    `message_id` is the queue's own form (see `Position`); `order` grows along the topic and only along it
    (ids need not be contiguous); `payload` is the bare serialized request.
    """

    pchannel: str
    message_id: bytes
    order: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Told once by `poll`: this pchannel is not read any more, and why (mostly `PositionTrimmed`)."""

    pchannel: str
    error: CdcError


class Reader(Protocol):
    """Reads several pchannels, each from its own place. Used by one thread at a time.

    Per pchannel the records come in the queue's order, each once, none left out. Between pchannels there is no order.
    What the queue has trimmed is never jumped over silently: it ends that pchannel with a `Lost`.
    """

    def add(self, pchannel: str, start: bytes) -> None:
        """Begin with the message `start` **inclusive**; `b""` is the beginning of the topic.

        A topic that does not exist yet is read once it does. Other pchannels are not disturbed.
        :raises PositionTrimmed: the queue no longer has `start`; `poll` may also find that later.
        :raises SourceUnavailable: the queue does not answer.
        """
        ...

    def remove(self, pchannel: str) -> None:
        """Stop reading it; unknown is fine. No record of it comes from later polls."""
        ...

    def pause(self, pchannel: str) -> None:
        """Hold it back (back-pressure) without losing the place; the others go on."""
        ...

    def resume(self, pchannel: str) -> None:
        """Go on after `pause`."""
        ...

    def poll(self, timeout: float) -> Sequence[Record | Lost]:
        """What has come, at most some MiB; waits up to `timeout` seconds for the first record.

        :raises SourceUnavailable: nothing can be read now; the places are kept, poll again later.
        """
        ...

    def close(self) -> None: ...


class Queue(Protocol):
    """A source's message queue. Thread-safe."""

    def reader(self) -> Reader:
        """A new reader of its own connection."""
        ...

    def order(self, message_id: bytes) -> int:
        """The `Record.order` of that id. :raises ValueError: it is none."""
        ...

    def tail(self, pchannel: str) -> bytes:
        """The id of the last message now, `b""` when there is none or no such topic. :raises SourceUnavailable:"""
        ...

    def head(self, pchannel: str) -> bytes:
        """The id of the first message still there, `b""` when there is none. :raises SourceUnavailable:"""
        ...

    def topics(self) -> frozenset[str]:
        """All topics' names. :raises SourceUnavailable:"""
        ...

    def close(self) -> None: ...


class LiveCatalog(Protocol):
    """What exists at the source, followed as it changes. Thread-safe."""

    def current(self) -> Catalog:
        """What is known now; a moment old, or older while the source's etcd does not answer. Does not block.

        :raises SourceUnavailable: nothing has been read yet.
        """
        ...

    def refresh(self) -> Catalog:
        """At least as new as the source at the time of the call. May block some seconds.

        :raises SourceUnavailable: etcd does not answer.
        """
        ...

    def serving(self, collections: Collection[int]) -> Mapping[int, Serving]:
        """What serves those of these ids that have an index or are loaded; read at the time of the call.

        Changes of it wake no subscriber: the op channel tells them. May block some seconds.
        :raises SourceUnavailable: etcd does not answer.
        """
        ...

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call it after every change, from any thread: it must be quick. Answers how to end that."""
        ...

    def close(self) -> None: ...
