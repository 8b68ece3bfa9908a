"""Another process appends at the very moment at which a changeset is made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.agents import gated_agent
from support.killed_runs import crashed
from support.log_reads import read_commands, read_recoveries
from support.logs import append_to_file, changeset, command_changeset
from support.models import GatedModel
from support.runtimes import open_runtimes, start_waiting_run
from threadlog.engine import Decision, Runtime, SystemEffects
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio


class Meanwhile(SystemEffects):
    """Lets something happen once, when a changeset is made: all that it is made from has been read then."""

    def __init__(self) -> None:
        self.happens: list[Callable[[], object]] = []

    def now(self) -> int:
        while self.happens:
            self.happens.pop()()
        return super().now()

    def clock(self) -> Callable[[], int]:
        return self.now


@pytest.fixture
def effects() -> Meanwhile:
    return Meanwhile()


async def test_recovery_does_not_close_a_run_over_unread_commands(path: Path, effects: Meanwhile) -> None:
    crashed(path, "parallel", "pay")
    effects.happens = [
        lambda: append_to_file(path, command_changeset("r1", kind="steer", content="Be brief"))
    ]
    async with Runtime.open(path, agents=[], effects=effects) as runtime:
        (row,) = runtime.log.runs()
        assert (row.status, row.control) == ("done", 1)
        assert runtime.messages("t1")[-1].content == "Be brief"


async def test_the_evidence_of_an_orphan_includes_its_last_changeset(path: Path, effects: Meanwhile) -> None:
    crashed(path, "parallel", "pay")
    effects.happens = [lambda: append_to_file(path, changeset())]
    async with Runtime.open(path, agents=[], effects=effects):
        pass

    (end,) = read_recoveries(path)
    assert end.orphan
    assert (end.orphan.version, end.version) == (3, 4)


async def test_the_second_of_two_contradicting_answers_is_refused(path: Path, effects: Meanwhile) -> None:
    model, denied = GatedModel(), {"target": "c1", "approved": False}
    async with open_runtimes(path, [gated_agent(model)], effects=effects) as (runtime,):
        run_id = await start_waiting_run(runtime, model)
        effects.happens = [
            lambda: append_to_file(path, command_changeset(run_id, kind="decide", content=denied))
        ]
        with pytest.raises(RunError, match="already decided"):
            await runtime.decide(run_id, [Decision.approve("c1")])
        (await model.next_request()).answer("not erased")
        assert (await runtime.get_run(run_id).result()).output == "not erased"

    assert [entry.id for entry in read_commands(path, run_id)] == ["e1"]


async def test_superseding_does_not_close_a_run_over_unread_commands(path: Path, effects: Meanwhile) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], effects=effects) as (runtime,):
        run_id = await start_waiting_run(runtime, model)
        effects.happens = [
            lambda: append_to_file(path, command_changeset(run_id, kind="decide", content=APPROVED))
        ]
        run = await runtime.start("planner", "go", thread="t1", if_active="supersede")
        (await model.next_request()).answer("done")
        await run.result()
        old = runtime.log.run(run_id)

    assert old
    assert (old.status, old.control) == ("done", 1)


APPROVED = {"target": "c1", "approved": True}
