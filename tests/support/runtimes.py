"""Runtimes on a test's log, and runs in them. The log is checked when they close."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from support.checks import all_reducers, assert_controlled, assert_sound
from support.models import GatedModel
from support.tools import ERASE
from threadlog.engine import Agent, Decision, Effects, Runtime
from threadlog.engine.agents.registry import Registered
from threadlog.engine.events.event import RunResult


@asynccontextmanager
async def open_runtime(
    path: Path, *agents: Registered, effects: Effects | None = None
) -> AsyncIterator[Runtime]:
    """Open a runtime and check after it closes that the log is sound."""
    async with Runtime.open(path, agents=agents, durability="normal", effects=effects) as runtime:
        yield runtime
    assert_sound(path, all_reducers(agents))


@asynccontextmanager
async def open_runtimes(
    path: Path, *agents: list[Agent], later: Sequence[Agent] = (), effects: Effects | None = None
) -> AsyncIterator[list[Runtime]]:
    """Open a runtime for each list of agents, and check the log after they close.

    `later` are agents that replace others while the runtimes are open.
    """
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Runtime.open(path, agents=each, durability="normal", effects=effects)
            )
            for each in agents
        ]
    await assert_controlled(path, *(agent for each in agents for agent in each), *later)


async def run_agent(
    path: Path, agent: Registered, prompt: str = "go", *, effects: Effects | None = None
) -> RunResult:
    """Run an agent on thread t1 until it finishes or waits."""
    async with open_runtime(path, agent, effects=effects) as runtime:
        return await (await runtime.start(agent.name, prompt, thread="t1")).result()


async def run_and_decide(path: Path, agent: Agent, *decisions: Decision) -> RunResult:
    """Run an agent until it waits, then resume it in a new runtime with these decisions."""
    first = await run_agent(path, agent)
    assert (first.status, first.termination.type) == ("waiting", "suspended")
    async with open_runtime(path, agent) as runtime:
        return await (await runtime.decide(first.run_id, decisions)).result()


async def start_waiting_run(runtime: Runtime, model: GatedModel, thread: str = "t1") -> str:
    """Start a run of the planner that waits for approval of `erase`, and return its id."""
    run = await runtime.start("planner", "go", thread=thread)
    (await model.next_request()).answer(ERASE)
    assert (await run.result()).status == "waiting"
    return run.run_id
