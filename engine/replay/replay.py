"""Executing a run again on its own record: loop, phases and behaviors live, the world from the log. Level 3.

    the log's answers -> the loop of today -> changesets, compared one by one with the log's

What a model, a tool or a person answered is served from the log, with the same moments and in the same
order; no timer is started and nothing is called. The result must be the same bytes: the first difference
says what today's code does otherwise.
"""

from collections.abc import Sequence

from ...reducers.check import NotChecked
from ...reducers.reduce import Reducers
from ...reducers.replay import Thread, replay
from ...store.changeset import Changeset, Executor, control_stream, steering_id
from ...store.log import Log
from ...store.patch import tokens
from ..agents import Registered, Registry
from ..commit import GIVEN, Publisher, RunIdentity, Workspace
from ..control import cancel_waiting
from ..delegation import Equipment
from ..events import Event
from ..loop import Resume, Start
from ..runs import loop_of
from .divergence import Diverged
from .recording import ENDED_BY_OTHERS, CutOff, Record

_EPOCH_ENDS = ("run_finished", "run_suspended")


async def replay_run(log: Log, run_id: str, agents: Sequence[Registered]) -> Diverged | NotChecked | None:
    """Execute a run again, every epoch of it: the first difference, or None if there is none.

    A run whose agent is not among `agents` is not checked, and one that is still going on as far as it is.

    Raises:
        NotFound: there is no such run.
    """
    history = list(log.read_run(run_id))
    wanted = list(log.read(control_stream(run_id)))
    name = next((changeset.agent.name for changeset in history if changeset.agent), "")
    # Of two of one name the first, wherever they come from.
    registry = Registry(tuple({agent.name: agent for agent in reversed(agents)}.values()))
    if name not in registry:
        return NotChecked(history[0].thread_id, history[0].version, f"the agent {name!r} is not here")
    agent = Equipment().equipped(registry.agent(name), registry)
    for epoch in sorted({changeset.epoch for changeset in history}):
        recorded = [changeset for changeset in history if changeset.epoch == epoch]
        if recorded[-1].reason not in (*_EPOCH_ENDS, *ENDED_BY_OTHERS):
            return NotChecked(recorded[-1].thread_id, recorded[-1].version, "the run has not ended here")
        if divergence := await _replay_epoch(log, recorded, wanted, agent):
            return divergence
    return None


async def _replay_epoch(
    log: Log, recorded: Sequence[Changeset], wanted: Sequence[Changeset], agent: Registered
) -> Diverged | None:
    first = recorded[0]
    thread = replay(log.read(first.thread_id, until=first.version - 1))
    identity = RunIdentity(first.run_id or "", first.thread_id, first.epoch, first.parent_run_id)
    reducers = Reducers(agent.all_reducers())
    record = Record(recorded, wanted, reducers)
    work = record.work = Workspace(record, record, reducers, identity, thread)
    executor = first.executor or Executor(id="", host="", pid=0)
    registry = first.agent.registry if first.agent else ""
    opening = _opening(first, thread)
    try:
        if first.reason == "run_finished":
            await cancel_waiting(work, record.control, thread.runs[identity.run_id], executor)
        else:
            loop = loop_of(agent, work, record, executor, Nobody(), record.control, registry)
            await loop.run(opening)
    except CutOff:
        return None
    except Diverged as err:
        return record.divergence or err
    return record.divergence or record.missing()


def _opening(first: Changeset, thread: Thread) -> Start | Resume:
    # What it was steered by comes through its control, as it did.
    steered = steering_id(first.run_id or "")
    messages = [message for message in first.messages if not message.id.startswith(steered)]
    if first.reason == "run_started":
        given = [action.payload for action in first.actions if action.source == GIVEN]
        state = {tokens(str(each["path"]))[0]: each["value"] for each in given}
        return Start(messages, first.thread, state)
    return Resume(thread.runs[first.run_id or ""], messages)


class Nobody(Publisher):
    """To whom a replay tells its events."""

    def __init__(self) -> None:
        self.failure = None

    def tell(self, event: Event) -> None: ...

    def refuse_if_taken(self, thread_id: str, version: int) -> None: ...
