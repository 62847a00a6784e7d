"""One Pulsar client: how it is tuned, and the questions asked of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

import pulsar

from cdc_core.errors import SourceUnavailable
from cdc_core.source.pulsar_cluster import PulsarAuth, PulsarCluster
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_log import client_log
from cdc_core.source.pulsar_stream import PulsarMessage, PulsarStream
from cdc_core.source.pulsar_topics import topics_of
from cdc_core.source.pulsar_trouble import unavailable

_ANSWER_SECONDS = 10
"""How long a question may take. A healthy cluster answers in milliseconds, one that has just started in seconds."""


class PulsarClient:
    """The official client, shared by all readers of a queue, and what it cannot answer. Thread-safe.

    Whatever is opened is a reader: a subscription that holds back nothing and ends with its connection.
    """

    def __init__(self, cluster: PulsarCluster) -> None:
        """Does not connect yet. :raises SourceUnavailable: a file of the credentials cannot be read."""
        self._cluster = cluster
        try:
            self._client = pulsar.Client(
                cluster.url,
                authentication=_authentication(cluster.auth),
                operation_timeout_seconds=_ANSWER_SECONDS,
                connection_timeout_ms=_ANSWER_SECONDS * 1000,
                io_threads=1,
                message_listener_threads=1,
                stats_interval_in_seconds=0,
                tls_trust_certs_file_path=cluster.ca_cert or None,
                tls_allow_insecure_connection=False,
                tls_validate_hostname=True,
                logger=client_log(),
            )
        except (pulsar.PulsarException, OSError) as error:
            raise self.unavailable(error) from error

    def topics(self) -> frozenset[str]:
        """The names of all topics, without tenant and namespace. May block some seconds.

        :raises SourceUnavailable: the cluster does not answer.
        """
        prefix = self._cluster.topic("")
        return frozenset(
            name.removeprefix(prefix) for name in topics_of(self._cluster, _ANSWER_SECONDS) if name.startswith(prefix)
        )

    def has(self, pchannel: str) -> bool:
        """Whether there is such a topic. :raises SourceUnavailable:"""
        return pchannel in self.topics()

    def open(self, pchannel: str, start: PulsarId | None, stream: PulsarStream, queue_size: int) -> None:
        """Let a topic that exists come into `stream`, from `start` inclusive or from the beginning. May block some
        seconds. The client fetches `queue_size` messages ahead.

        :raises SourceUnavailable: the cluster does not answer.
        """
        stream.attach(self._reader(pchannel, _place(start), queue_size, stream.offer))

    def first_from(self, pchannel: str, wanted: PulsarId | None) -> PulsarMessage | None:
        """The first message at or behind `wanted`, None when there is none. May block some seconds.

        :raises SourceUnavailable: the cluster does not answer.
        """
        return self._first(pchannel, _place(wanted), wanted)

    def last(self, pchannel: str) -> PulsarMessage | None:
        """The last message, None when there is none. :raises SourceUnavailable:"""
        return self._first(pchannel, pulsar.MessageId.latest, None)

    def unavailable(self, error: object) -> SourceUnavailable:
        return unavailable(self._cluster, error)

    def close(self) -> None:
        """With all its readers. May block for a moment."""
        with suppress(pulsar.PulsarException):  # closed already, or the cluster is away
            self._client.close()

    def _first(self, pchannel: str, place: object, wanted: PulsarId | None) -> PulsarMessage | None:
        if not self.has(pchannel):
            return None
        try:
            with closing(self._reader(pchannel, place, 1)) as reader:
                if not reader.has_message_available():
                    return None
                while True:  # before it may come those of the same batch
                    message = PulsarMessage.of(reader.read_next(_ANSWER_SECONDS * 1000))
                    if wanted is None or message.id >= wanted:
                        return message
        except pulsar.PulsarException as error:
            raise self.unavailable(error) from error

    def _reader(
        self, pchannel: str, place: object, queue_size: int, listener: Callable[..., None] | None = None
    ) -> pulsar.Reader:
        try:
            return self._client.create_reader(
                self._cluster.topic(pchannel),
                place,
                reader_listener=listener,
                receiver_queue_size=queue_size,
                reader_name="milvus-cdc",
                start_message_id_inclusive=True,
            )
        except pulsar.PulsarException as error:
            raise self.unavailable(error) from error


def _place(id_: PulsarId | None) -> object:
    if id_ is None:
        return pulsar.MessageId.earliest
    # Without a batch where it may be: the client compares its -1 with the end of a topic without batches.
    return pulsar.MessageId(-1, id_.ledger, id_.entry, id_.batch_index or -1)


def _authentication(auth: PulsarAuth) -> pulsar.Authentication | None:
    if auth.kind == "token":
        return pulsar.AuthenticationToken(auth.token)
    if auth.kind == "basic":
        return pulsar.AuthenticationBasic(*auth.user)
    if auth.kind == "tls":
        return pulsar.AuthenticationTLS(*auth.cert_and_key)
    return None
