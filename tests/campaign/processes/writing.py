"""A process whose calls on files are recorded: python -m campaign.processes.writing FOLDER CALLS WORK SEED

FOLDER has the log and `said`, to which each thing is written once it was acknowledged: so it stands among the
recorded calls instead. WORK is one of these:

full, normal    appends from three threads, with that durability, the file closed and opened meanwhile
runs            agents at work: tools, questions that are decided, words, a run that takes another's place
"""

import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anyio

from campaign.faults import injection
from threadlog.engine import Agent, Decision, ModelRequest, Run, Runtime, ScriptedModel, ToolCall, Turn, tool
from threadlog.engine.models.scripted import Answer
from threadlog.store import ANY, Changeset, Log, Message

SESSIONS = 4
APPENDS = 8
PAGES = 20
"""So many in the write-ahead log let it be moved into the database: often, where the default is 1,000."""


Say = Callable[[str], object]
"""Told of each thing that was acknowledged."""


def append(log: Log, name: str, dice: random.Random, say: Say) -> None:
    for number in range(APPENDS):
        message = Message(id=f"{name}-{number}", role="user", content="x" * dice.choice([1, 300, 3000, 9000]))
        thread = dice.choice(["t1", "t2", "t3"])
        log.append(
            Changeset(id=message.id, thread_id=thread, reason="edited", at=1, messages=(message,)), ANY
        )
        say(message.id)


def appends(folder: Path, durability: str, seed: int, say: Say) -> None:
    for session in range(SESSIONS):
        with Log.open(folder / "log.db", "full" if durability == "full" else "normal") as log:
            log.writable()._connection.execute(f"pragma wal_autocheckpoint = {PAGES}")
            threads = [
                threading.Thread(
                    target=append, args=(log, f"{session}-{n}", random.Random(f"{seed} {session} {n}"), say)
                )
                for n in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


@tool(idempotent=True)
def look() -> str:
    """Look."""
    return "seen"


@tool
def pay() -> str:
    """Pay."""
    return "paid " + "x" * 2000


@tool(needs_approval=True)
def erase() -> str:
    """Erase."""
    return "erased"


def answer(request: ModelRequest) -> Answer:
    """Two rounds of calls, of which the second asks a person."""
    own = [each for each in request.messages if each.run_id == request.messages[-1].run_id]
    match sum(each.role == "tool" for each in own):
        case 0:
            return Turn(tool_calls=[ToolCall("look", {}, "c1"), ToolCall("pay", {}, "c2")])
        case 2:
            return ToolCall("erase", {}, "c3")
    return "done"


def planner() -> Agent:
    return Agent("planner", ScriptedModel(*[answer] * 1000), tools=[look, pay, erase])


async def tell(run: Run, say: Say) -> None:
    """Say each fact of an epoch."""
    async for event in run:
        if event.cursor:
            say(f"{run.run_id} {event.cursor}")


async def runs(folder: Path, dice: random.Random, say: Say) -> None:
    for _ in range(2):
        async with (
            Runtime.open(folder / "log.db", agents=[planner()]) as runtime,
            anyio.create_task_group() as tasks,
        ):
            runtime.log.writable()._connection.execute(f"pragma wal_autocheckpoint = {PAGES}")
            for thread in ("t1", "t2"):
                tasks.start_soon(work, runtime, thread, dice, say)


async def work(runtime: Runtime, thread: str, dice: random.Random, say: Say) -> None:
    for _ in range(2):
        run = await runtime.start("planner", "go", thread=thread, if_active="supersede")
        await tell(run, say)
        if dice.random() < 0.8:
            await decided(runtime, run, say)


async def decided(runtime: Runtime, run: Run, say: Say) -> None:
    (call,) = runtime.pending(run.run_id)
    assert call.suspension
    await runtime.steer(run.run_id, "Be brief", id=f"word-{run.run_id}")
    say(f"steered {run.run_id} word-{run.run_id}")
    # The word has woken it: it may ask once more.
    await tell(await runtime.decide(run.run_id, [Decision.approve(call.suspension.ticket)]), say)


def main(place: str, calls: str, work: str, seed: str) -> None:
    folder = Path(place)
    injection.record(folder, Path(calls))
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def say(text: str) -> None:
        os.write(said, f"{text}\n".encode())

    if work == "runs":
        anyio.run(runs, folder, random.Random(seed), say)
    else:
        appends(folder, work, int(seed), say)


if __name__ == "__main__":
    main(*sys.argv[1:])
