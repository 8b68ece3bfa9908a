"""What a run keeps of the remote task that it follows: `/__run/__remote`. Pure.

What is to be sent is kept before it is sent, with ids of our own, until the task shows that it has arrived:
whoever goes on with the run after a crash finds there what may be on its way.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from ..store.patch import MISSING, find
from .reducer import Action, Reducer

REMOTE = "/__run/__remote"


class Outgoing(BaseModel):
    """A message to the remote agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Chosen by us; the same whenever it is sent."""

    parts: tuple[JsonValue, ...]
    """As A2A has them: `{"text": …}`, `{"data": …}`."""


class RemoteTask(BaseModel):
    """The remote side of a run."""

    context: str = ""
    """The conversation there, as we have named it."""

    task: str | None = None
    """The task that is followed; none before it is known."""

    status: str = ""
    """Where the task stood when it was last seen: `working`, `completed`, …"""

    outbox: tuple[Outgoing, ...] = ()
    """What has not arrived yet, as far as is known: in order."""

    sent: tuple[str, ...] = ()
    """The ids of all messages of ours, those in the outbox too."""


class RemoteSends(Action):
    """A message is to be sent."""

    context: str
    message: Outgoing


class RemoteSeen(Action):
    """The task was seen, and with it that the `arrived` message has come there."""

    task: str
    context: str
    status: str
    arrived: str | None = None


def _reduce(slice: RemoteTask, action: RemoteSends | RemoteSeen) -> RemoteTask:
    if isinstance(action, RemoteSends):
        return slice.model_copy(
            update={
                "context": slice.context or action.context,
                "outbox": (*slice.outbox, action.message),
                "sent": (*slice.sent, action.message.id),
            }
        )
    left = tuple(message for message in slice.outbox if message.id != action.arrived)
    # A server may have named the conversation itself: then it is known by that name from now on.
    seen = {"task": action.task or None, "context": action.context or slice.context, "status": action.status}
    return slice.model_copy(update={**seen, "outbox": left})


REMOTE_REDUCER = Reducer(
    "remote", RemoteTask, (RemoteSends, RemoteSeen), "/__remote", "run", _reduce, reserved=True
)


def remote_task(state: Any) -> RemoteTask:
    """The remote side of the thread's current run, as the state has it."""
    found = find(state, REMOTE)
    return RemoteTask() if found is MISSING else RemoteTask.model_validate(found)
