"""Terminals on one log: runs that other processes have, what is wanted of them, and what is followed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import holder
import traveller
from calls import call, start
from hostile_text import EVIL

from threadlog.engine import Agent, Runtime, ScriptedModel, ToolCall, tool
from threadlog.store import Log
from threadlog.store.changeset import control_stream
from threadlog.store.listing import RunRow

TRAVELLER = traveller.__file__


def row(db: Path) -> RunRow:
    with Log.open(db, readonly=True) as log:
        return log.runs()[0]


def asked(db: Path) -> dict[str, Any]:
    (question,) = call(f"pending --json --db {db}").json()
    assert isinstance(question, dict)
    return question


def entries(db: Path, run_id: str) -> list[tuple[str, str | None]]:
    """What is wanted of a run, and by whom."""
    with Log.open(db, readonly=True) as log:
        wanted = [item.entry for item in log.read(control_stream(run_id))]
    return [(entry.kind, entry.by) for entry in wanted if entry]


def queue_behind(db: Path) -> str:
    """A run that waits for its turn on thread `bill`."""

    async def queue() -> str:
        async with Runtime.open(db, agents=[traveller.booker], orphans="leave") as runtime:
            return (await runtime.start("booker", "go", thread="bill", if_active="queue")).run_id

    return anyio.run(queue)


@contextmanager
def held(db: Path, agent: str) -> Iterator[str]:
    """A run that another process executes, which has its agent, and stays."""
    pipe = subprocess.PIPE
    command = [sys.executable, holder.__file__, str(db), agent]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()
        assert process.returncode == 0


def followed_until(db: Path, run_id: str, text: str) -> list[str]:
    lines: list[str] = []
    with start(f"follow {run_id} --db {db}") as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line.rstrip())
            if text in line:
                break
        process.kill()
    assert text in lines[-1]
    return lines


def make_evil(path: Path) -> None:
    """A run that waits, where every text would do something to a terminal."""

    @tool(needs_approval=True)
    def erase(what: str) -> str:
        """Erase."""
        return what

    script = ScriptedModel([ToolCall("erase", {"what": EVIL}, EVIL)])
    eraser = Agent(f"eraser{EVIL}", script, tools=[erase])

    async def run() -> None:
        async with Runtime.open(path, agents=[eraser]) as runtime:
            await (await runtime.start(eraser.name, EVIL, thread=EVIL)).result()

    anyio.run(run)
