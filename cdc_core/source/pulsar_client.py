"""One Pulsar client: how it is tuned, and the questions asked of the cluster."""

from __future__ import annotations

from contextlib import closing, suppress

import pulsar

from cdc_core.errors import SourceUnavailable
from cdc_core.source.pulsar_cluster import PulsarAuth, PulsarCluster
from cdc_core.source.pulsar_id import PulsarId
from cdc_core.source.pulsar_log import client_log
from cdc_core.source.pulsar_stream import PulsarStream
from cdc_core.source.pulsar_topics import topics_of

_ANSWER_SECONDS = 5
"""How long a question may take, the loading of a topic included; a healthy cluster answers in milliseconds."""


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

    def open(self, pchannel: str, start: PulsarId | None, queue_size: int = 1) -> PulsarStream | None:
        """Its messages from `start` inclusive, or from the beginning; None when there is no such topic. May block.

        :raises SourceUnavailable: the cluster does not answer.
        """
        first = pulsar.MessageId.earliest if start is None else _to_client(start)
        return self._open(pchannel, first, queue_size)

    def first(self, pchannel: str) -> bytes:
        """The id of the first message still there, `b""` when there is none. :raises SourceUnavailable:"""
        return self._one_id(pchannel, pulsar.MessageId.earliest)

    def last(self, pchannel: str) -> bytes:
        """The id of the last message, `b""` when there is none. :raises SourceUnavailable:"""
        return self._one_id(pchannel, pulsar.MessageId.latest)

    def holds(self, pchannel: str, wanted: PulsarId) -> bool:
        """Whether it is still there; then everything behind it is, for retention removes from the beginning.

        :raises SourceUnavailable: the cluster does not answer.
        """
        stream = self.open(pchannel, wanted)
        if stream is None:
            return False
        with closing(stream):
            return stream.has_more() and stream.first_from(wanted, _ANSWER_SECONDS).id == wanted

    def unavailable(self, error: object) -> SourceUnavailable:
        return SourceUnavailable(f"Pulsar at {self._cluster.url} does not answer: {error}")

    def close(self) -> None:
        """With all its readers. May block for a moment."""
        with suppress(pulsar.PulsarException):  # closed already, or the cluster is away
            self._client.close()

    def _open(self, pchannel: str, first: object, queue_size: int) -> PulsarStream | None:
        if pchannel not in self.topics():
            return None
        try:
            reader = self._client.create_reader(
                self._cluster.topic(pchannel),
                first,
                receiver_queue_size=queue_size,
                reader_name="milvus-cdc",
                start_message_id_inclusive=True,
            )
        except pulsar.PulsarException as error:
            raise self.unavailable(error) from error
        return PulsarStream(reader, self.unavailable)

    def _one_id(self, pchannel: str, place: object) -> bytes:
        stream = self._open(pchannel, place, 1)
        if stream is None:
            return b""
        with closing(stream):
            return stream.first_from(None, _ANSWER_SECONDS).message_id if stream.has_more() else b""


def _to_client(id_: PulsarId) -> pulsar.MessageId:
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
