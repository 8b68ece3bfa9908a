"""Replay of a run: today's loop and behaviors run again on recorded effects.

    recorded effects -> today's loop -> changesets, each compared with the logged one

The answers of models, tools and people come from the log, with the same times and in the same order. No model
or tool is called, and no timer is started. Every changeset must equal the logged one, byte for byte.
"""

from collections.abc import Sequence

from ...reducers.check import Divergence, NotChecked
from ...reducers.reduce import Reducers
from ...reducers.replay import Thread, replay
from ...store.changeset import Changeset, Executor, control_stream
from ...store.log import Log
from ...store.patch import tokens
from ..agents import Registered, Registry
from ..commit import GIVEN, RunIdentity, Workspace
from ..control import Mailbox, cancel_waiting_run
from ..delegation import Equipment
from ..loop import Epoch, EpochContext, Resume, Start
from ..runs import course_of
from .recorded_effects import RecordedEffects
from .recording import (
    EXTERNAL_ENDS,
    EndedElsewhere,
    RecordedCommands,
    Recording,
    ReplayDiverged,
    SilentChannel,
)

_EPOCH_ENDS = ("run_finished", "run_suspended")


async def replay_run(log: Log, run_id: str, agents: Sequence[Registered]) -> Divergence | NotChecked | None:
    """Replay all epochs of a run. Return the first difference, or None if there is none.

    Return `NotChecked` if the run's agent is not among `agents`, or at the first epoch that has not ended.

    Raises:
        NotFound: there is no such run.
    """
    history = list(log.read_run(run_id))
    stream = list(log.read(control_stream(run_id)))
    name = next((changeset.agent.name for changeset in history if changeset.agent), "")
    # If two agents have the same name, the first one counts.
    registry = Registry(tuple({agent.name: agent for agent in reversed(agents)}.values()))
    if name not in registry:
        return NotChecked(history[0].thread_id, history[0].version, f"agent {name!r} is unknown")
    agent = Equipment().equip(registry.agent(name), registry)
    for epoch in sorted({changeset.epoch for changeset in history}):
        recorded = [changeset for changeset in history if changeset.epoch == epoch]
        if recorded[-1].reason not in (*_EPOCH_ENDS, *EXTERNAL_ENDS):
            return NotChecked(recorded[-1].thread_id, recorded[-1].version, "the run has not ended")
        if divergence := await _replay_epoch(log, recorded, stream, agent):
            return divergence
    return None


async def _replay_epoch(
    log: Log, recorded: Sequence[Changeset], stream: Sequence[Changeset], agent: Registered
) -> Divergence | None:
    first = recorded[0]
    thread = replay(log.read(first.thread_id, until=first.version - 1))
    identity = RunIdentity(first.run_id or "", first.thread_id, first.epoch, first.parent_run_id)
    reducers = Reducers(agent.all_reducers())
    recording = Recording(recorded, reducers)
    mailbox = Mailbox(source=RecordedCommands(recording, stream))
    effects = RecordedEffects(recording, mailbox)
    work = recording.work = Workspace(recording, effects, reducers, identity, thread)
    executor = first.executor or Executor(id="", host="", pid=0)
    registry = first.agent.registry if first.agent else ""
    opening = _opening(first, thread)
    try:
        if first.reason == "run_finished":
            await cancel_waiting_run(work, mailbox, thread.runs[identity.run_id], executor)
        else:
            context = EpochContext(work, effects, executor, SilentChannel(), mailbox, registry)
            await Epoch(context, course_of(agent, context)).run(opening)
    except EndedElsewhere:
        return None
    except ReplayDiverged:
        return recording.divergence
    return recording.divergence or recording.check_complete()


def _opening(first: Changeset, thread: Thread) -> Start | Resume:
    # Steering messages arrive through the mailbox, as they did in the recorded run.
    messages = [message for message in first.messages if message.origin != "steer"]
    if first.reason == "run_started":
        given = [action.payload for action in first.actions if action.source == GIVEN]
        state = {tokens(str(each["path"]))[0]: each["value"] for each in given}
        return Start(messages, first.thread, state)
    return Resume(thread.runs[first.run_id or ""], messages)
