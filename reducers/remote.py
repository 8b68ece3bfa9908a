"""The remote side of a run, at `/__run/__remote`: the task that it follows, and an outbox. Pure.

A message is in the outbox, under an id of our own, before it is sent and until the task shows that it has
arrived. A process that resumes the run after a crash finds there what may have been sent.
"""

from pydantic import BaseModel, ConfigDict, JsonValue

from ..store.patch import MISSING, find
from .reducer import Action, Reducer

REMOTE = "/__run/__remote"


class Outgoing(BaseModel):
    """A message to the remote agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Chosen by us; a message that is sent again keeps it."""

    parts: tuple[JsonValue, ...]
    """In A2A's JSON: `{"text": …}`, `{"data": …}`."""


class RemoteTask(BaseModel):
    """A remote task, and the messages to it."""

    context: str = ""
    """The id of the conversation: ours, unless the server chose another one."""

    task: str | None = None
    """The id of the task; none before it is known."""

    status: str = ""
    """The state of the task when it was last read: `working`, `completed`, …"""

    outbox: tuple[Outgoing, ...] = ()
    """Messages not known to have arrived, in order."""

    sent: tuple[str, ...] = ()
    """The ids of all our messages, also of those in the outbox."""


class SendToRemote(Action):
    """Put a message into the outbox."""

    context: str
    message: Outgoing


class RecordRemoteTask(Action):
    """Record the task as it was read. The message `arrived` leaves the outbox."""

    task: str
    context: str
    status: str
    arrived: str | None = None


def _reduce(slice: RemoteTask, action: SendToRemote | RecordRemoteTask) -> RemoteTask:
    if isinstance(action, SendToRemote):
        return slice.model_copy(
            update={
                "context": slice.context or action.context,
                "outbox": (*slice.outbox, action.message),
                "sent": (*slice.sent, action.message.id),
            }
        )
    left = tuple(message for message in slice.outbox if message.id != action.arrived)
    # A server may choose another id for the conversation, which is used from then on.
    seen = {"task": action.task or None, "context": action.context or slice.context, "status": action.status}
    return slice.model_copy(update={**seen, "outbox": left})


REMOTE_REDUCER = Reducer(
    "remote", RemoteTask, (SendToRemote, RecordRemoteTask), "/__remote", "run", _reduce, reserved=True
)


def remote_task(state: JsonValue) -> RemoteTask:
    """Return the remote side of the thread's current run."""
    found = find(state, REMOTE)
    return RemoteTask() if found is MISSING else RemoteTask.model_validate(found)
