"""All errors of the engine.

CdcError
├── Retryable                 it will pass: back off and do it again, forever
│   ├── SourceUnavailable     the source's queue or etcd does not answer
│   ├── TargetUnavailable     the target does not answer, restarts, or is not ready
│   └── StateUnavailable      Redis does not answer
│       └── StateLost         Redis answers, and does not hold the state that it held
├── Fatal                     it will not pass by itself
│   ├── CollectionStopped     one collection cannot go on; the others do
│   │   ├── PositionTrimmed   the queue no longer has the position: messages are gone
│   │   ├── Undecodable       a message that cannot be read, or is not what its type says
│   │   └── SchemaMismatch    source and target collection differ
│   ├── Refused               the target will never take this call as it is
│   └── TaskStopped           the whole task cannot go on (credentials refused, say)
│       ├── NoStandby         the target refuses replicated messages
│       ├── IsStandby         the target takes nothing but replicated messages
│       └── NotSupported      the target does not know this call
├── LeaseLost                 somebody else may own the channel now: stop, write nothing more
└── Stopping                  a stop was asked for: leave cleanly

A message says what happened and what to do about it; it ends up in a task's `reason`.
"""


class CdcError(Exception):
    """Something this system knows how to talk about."""


class Retryable(CdcError):
    """It will pass: back off and do it again."""


class SourceUnavailable(Retryable):
    """The source's queue or etcd does not answer."""


class TargetUnavailable(Retryable):
    """The target does not answer, restarts, or is not ready yet.

    `unclear`: the call may live on inside the target and be written later, even after it was repeated.
    """

    def __init__(self, text: str, *, unclear: bool = False) -> None:
        super().__init__(text)
        self.unclear = unclear


class StateUnavailable(Retryable):
    """Redis does not answer."""


class StateLost(StateUnavailable):
    """Redis answers, and does not hold the state that it held: nothing may be done as if there were no tasks."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"the Redis of the state (CDC_REDIS_URL) has lost the state {origin}: restore it, and all goes on by "
            "itself; to begin anew, end all processes, empty the standby, start them and make the tasks again"
        )


class Fatal(CdcError):
    """It will not pass by itself."""


class CollectionStopped(Fatal):
    """One collection cannot go on; the others do."""


class PositionTrimmed(CollectionStopped):
    """The queue no longer holds the position to read from: messages are gone."""


class Undecodable(CollectionStopped):
    """A message cannot be read, or is not what its type says."""


class SchemaMismatch(CollectionStopped):
    """The collection exists on the target and differs from the source's."""


class Refused(Fatal):
    """The target will never take this call as it is; the text is the target's."""


class TaskStopped(Fatal):
    """The whole task cannot go on."""


class NotSupported(TaskStopped):
    """The target does not know this call: it is older than what asks for it."""


class NoStandby(TaskStopped):
    """The target is a Milvus, but no standby."""


class IsStandby(TaskStopped):
    """The target is a standby, and is to be written as any other Milvus."""


class LeaseLost(CdcError):
    """Somebody else may own the channel now: stop, write nothing more."""


class Stopping(CdcError):
    """A stop was asked for (pause, delete, shutdown, rebalance): leave cleanly."""
