"""Checks of a whole log: it verifies, its states follow from its actions, its runs replay."""

from collections.abc import Sequence
from pathlib import Path

from support.log_reads import read_history
from support.reducers import REDUCERS
from threadlog.engine import Agent, Registry
from threadlog.engine.agents.registry import Registered
from threadlog.engine.delegation.equipment import Equipment
from threadlog.engine.events.event import RunResult
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Reducer, Reducers, check_reducers, replay
from threadlog.reducers.tool_call import Status as CallStatus
from threadlog.store import Log
from threadlog.store.changeset import Termination, control_stream
from threadlog.store.document import same

FINAL: set[CallStatus] = {"succeeded", "failed", "cancelled"}
CALL_TRANSITIONS: dict[CallStatus, set[CallStatus]] = {
    "new": {"new", "suspended", "resuming", *FINAL},
    "suspended": {"resuming", "cancelled"},
    "resuming": {"suspended", *FINAL},
    "succeeded": {"new"},
    "failed": {"new"},
    "cancelled": {"new"},
}
"""The statuses that may follow each status of a call. A call whose id is used again starts as new."""


def assert_sound(path: Path, reducers: Sequence[Reducer] = REDUCERS) -> None:
    """Check that a log verifies, and that its actions give its patches and its patches its states."""
    with Log.open(path, readonly=True) as log:
        assert log.verify() == []
        for row in log.threads():
            history = list(log.read(row.thread_id))
            assert list(check_reducers(history, Reducers(reducers))) == []
            assert [changeset.version for changeset in history] == list(range(1, row.version + 1))
            assert same(replay(history).state, log.state(row.thread_id))


def all_reducers(agents: Sequence[Registered]) -> list[Reducer]:
    """Return the reducers of agents, with those that the engine adds to them."""
    registry = Registry(tuple({agent.name: agent for agent in agents}.values()))
    equipped = [Equipment().equip(agent, registry) for agent in agents]
    return list(dict.fromkeys(reducer for agent in equipped for reducer in agent.all_reducers()))


async def assert_replays(path: Path, *agents: Registered) -> None:
    """Check that a log is sound and that every run in it replays with these agents."""
    assert_sound(path, all_reducers(agents))
    with Log.open(path, readonly=True) as log:
        for row in log.runs():
            assert await replay_run(log, row.run_id, agents) is None


async def assert_controlled(path: Path, *agents: Agent) -> None:
    """Check that a log is sound, and that finished runs have applied all their commands and replay.

    Several agents of one name may be given: a run is replayed with the one that started it.
    """
    assert_sound(path, all_reducers(agents))
    with Log.open(path, readonly=True) as log:
        for row in log.runs():
            if row.status == "done":
                assert row.control == log.head(control_stream(row.run_id))
                assert await replay_run(log, row.run_id, agents_of_run(log, row.run_id, agents)) is None


def agents_of_run(log: Log, run_id: str, agents: Sequence[Agent]) -> list[Agent]:
    """Return the agents without those that have a name, but not the fingerprint, of an agent of the run."""
    used = {each.agent.name: each.agent.fingerprint for each in log.read_run(run_id) if each.agent}
    registry = Registry(tuple({agent.name: agent for agent in agents}.values()))
    fingerprints = [Equipment().equip(agent, registry).snapshot().fingerprint for agent in agents]
    return [
        agent
        for agent, fingerprint in zip(agents, fingerprints, strict=True)
        if agent.name not in used or fingerprint in used.values()
    ]


def assert_ended(path: Path, result: RunResult, termination: Termination) -> None:
    """Check that the result, the last changeset and the state agree on how a run ended."""
    history = read_history(path)
    last = history[-1]
    assert result.termination == termination
    assert last.run is not None
    assert (last.reason, last.run.status, last.run.termination) == ("run_finished", "done", termination)
    assert replay(history).state["__run"]["status"] == "done"


def superseded_by(run_id: str) -> Termination:
    """Return the termination of a run that another run has superseded."""
    return Termination(type="cancelled", code="superseded", detail=f"run {run_id} took its place")
