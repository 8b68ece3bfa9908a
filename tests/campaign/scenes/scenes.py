"""What happens in the log while a call fails, is cut short, or kills: one function for each scene."""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from campaign.scenes.stage import Stage
from threadlog.engine import Decision, Runtime
from threadlog.engine.runs.recovery import OrphanPolicy


async def plain(stage: Stage) -> None:
    """Two rounds of calls, one call after the other; and a shorter run behind it."""
    async with stage.open():
        await stage.do(stage.whole, "planner", "t1", "r1")
        await stage.do(stage.whole, "worker", "t1", "r2")


async def parallel(stage: Stage) -> None:
    """Three calls at once, two of which count."""
    async with stage.open():
        await stage.do(stage.whole, "juggler", "t1", "r1")


async def approval(stage: Stage) -> None:
    """A person is asked twice, says yes and no, and something else in between."""
    async with stage.open() as runtime:
        if await stage.do(stage.whole, "eraser", "t1", "r1"):
            await stage.do(_answer, stage, runtime, "r1")


async def _answer(stage: Stage, runtime: Runtime, run_id: str) -> None:
    run = runtime.get_run(run_id)
    for approved in (True, False):
        for asked in runtime.pending(run_id):
            decision = Decision.approve if approved else partial(Decision.deny, reason="no")
            await stage.decide(run_id, [decision(asked.call_id)])
        await stage.ended(run)
        if approved:
            await stage.steer(run_id, "and be quick")
            await stage.ended(run)


async def delegated(stage: Stage) -> None:
    """A sub-agent in the foreground, and one in the background, which is stopped."""
    async with stage.open() as runtime:
        if await stage.do(stage.whole, "chief", "t1", "r1"):
            for child in runtime.sub_agents("t1"):
                await stage.do(_stop, stage, child.run_id)


async def _stop(stage: Stage, run_id: str) -> None:
    # It may go on: its owner could not stop it, and was told so.
    await stage.runtime.cancel(run_id, wait=True)
    await stage.told_all(run_id)


async def remote(stage: Stage) -> None:
    """A task on another server, which asks something."""
    async with stage.open():
        if await stage.do(stage.whole, "helper", stage.name, f"run-{stage.name}", "ask colour"):
            await stage.do(_colour, stage)


async def _colour(stage: Stage) -> None:
    run = stage.runtime.get_run(f"run-{stage.name}")
    await stage.steer(run.run_id, "blue")
    await stage.ended(run)


async def superseded(stage: Stage) -> None:
    """A run takes the place of another one and is cancelled; of two in the queue one is cancelled there."""
    async with stage.open():
        await stage.do(_supersede, stage)


async def _supersede(stage: Stage) -> None:
    await stage.is_at_work(await stage.start("waiter", "t1", "r1"))
    second = await stage.start("waiter", "t1", "r2", if_active="supersede")
    third = await stage.start("planner", "t1", "r3", if_active="queue")
    await stage.start("planner", "t1", "r4", if_active="queue")
    await stage.cancel("r4")
    await stage.is_at_work(second)
    await stage.cancel("r2")
    await stage.ended(second)
    await stage.ended(third)


async def recovered(orphans: OrphanPolicy, stage: Stage) -> None:
    """The next process recovers what `crashed` has left, and all of it comes to its end."""
    async with stage.open(orphans) as runtime:
        await stage.do(runtime.recover)
        for row in runtime.log.open_runs():
            for asked in runtime.pending(row.run_id):
                await stage.do(stage.decide, row.run_id, [Decision.approve(asked.call_id, "it happened")])
        for row in runtime.log.runs():
            await stage.do(stage.ended, runtime.get_run(row.run_id))


async def crashed(stage: Stage) -> None:
    """Runs of several kinds go on, wait and are queued when the process is killed."""
    async with stage.open():
        await stage.whole("eraser", "waits", "r1")
        for agent, thread, id in (("waiter", "works", "r2"), ("owner", "owns", "r3")):
            await stage.is_at_work(await stage.start(agent, thread, id))
        await stage.start("planner", "works", "r4", if_active="queue")
        os.kill(os.getpid(), signal.SIGKILL)


class Scene(NamedTuple):
    """A scene on a new log, or on the log of a process that died."""

    play: Callable[[Stage], Awaitable[None]]
    is_behind_crash: bool = False


SCENES = {
    "plain": Scene(plain),
    "parallel": Scene(parallel),
    "approval": Scene(approval),
    "sub-agents": Scene(delegated),
    "remote": Scene(remote),
    "supersede": Scene(superseded),
    "recover-stop": Scene(partial(recovered, "stop"), is_behind_crash=True),
    "recover-ask": Scene(partial(recovered, "ask"), is_behind_crash=True),
    "recover-resume": Scene(partial(recovered, "resume"), is_behind_crash=True),
}
