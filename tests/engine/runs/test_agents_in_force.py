"""Replacing the agents of a runtime: for what starts from then on."""

from pathlib import Path

import pytest

from support.agents import gated_agent
from support.log_reads import read_run
from support.models import GatedModel
from support.runtimes import open_runtimes
from support.tools import ERASE
from threadlog.engine import Agent, Decision
from threadlog.store.errors import DefinitionError, RunError

pytestmark = pytest.mark.anyio


def registries(path: Path, run_id: str) -> list[str]:
    """The fingerprints of the registries with which the epochs of a run began."""
    return [changeset.agent.registry for changeset in read_run(path, run_id) if changeset.agent]


def pair() -> tuple[GatedModel, Agent, GatedModel, Agent]:
    """An agent before and after."""
    old, new = GatedModel(), GatedModel()
    return old, gated_agent(old), new, gated_agent(new, instructions="Be brief.")


async def test_a_run_keeps_the_agents_it_has_begun_with(path: Path) -> None:
    """through all its epochs; the log says which those were"""
    old, before, new, after = pair()
    async with open_runtimes(path, [before], later=[after]) as (runtime,):
        first = runtime.registry
        run = await runtime.start("planner", "go", thread="t1")
        second = await runtime.replace([after])
        (await old.next_request()).answer(ERASE)
        await run.result()
        await runtime.decide(run.run_id, [Decision.approve("c1")])
        (await old.next_request()).answer("gone")
        assert (await run.result()).output == "gone"
        later = await runtime.start("planner", "go", thread="t1")
        (await new.next_request()).answer("brief")
        assert (await later.result()).output == "brief"

    assert (first.version, second.version) == (1, 2)
    assert registries(path, run.run_id) == [first.fingerprint] * 2
    assert registries(path, later.run_id) == [second.fingerprint]
    assert first.fingerprint != second.fingerprint


async def test_a_queued_run_begins_with_the_agents_of_its_turn_and_keeps_them(path: Path) -> None:
    old, before, new, after = pair()
    async with open_runtimes(path, [before], later=[after]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        second = await runtime.replace([after])
        (await old.next_request()).answer("gone")
        assert (await run.result()).output == "gone"
        (await new.next_request()).answer(ERASE)
        assert (await queued.result()).status == "waiting"
        await runtime.replace([before])
        await runtime.decide(queued.run_id, [Decision.approve("c1")])
        (await new.next_request()).answer("erased")
        assert (await queued.result()).output == "erased"

    assert registries(path, queued.run_id) == [second.fingerprint] * 2


async def test_agents_that_cannot_be_replace_none(path: Path) -> None:
    _, before, _, after = pair()
    async with open_runtimes(path, [before], later=[after]) as (runtime,):
        registry = runtime.registry
        with pytest.raises(DefinitionError, match="same name"):
            await runtime.replace([before, after])
        assert runtime.registry is registry
        assert (await runtime.replace([])).version == 2
        with pytest.raises(RunError, match="no agent"):
            await runtime.start("planner", "go", thread="t1")
