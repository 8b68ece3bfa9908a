"""Terminals on one log: runs of other processes, commands to them, and their events."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from support import travel_agents
from support.command import call, start
from support.hostile_text import EVIL
from support.programs import command, environment
from support.soundness import OPENED_LOGS
from threadlog.engine import Agent, Runtime, ScriptedModel, ToolCall, tool
from threadlog.store import Log
from threadlog.store.changeset import control_stream
from threadlog.store.listing import RunRow

TRAVELLER = travel_agents.__file__


def row(db: Path) -> RunRow:
    with Log.open(db, readonly=True) as log:
        return log.runs()[0]


def asked(db: Path) -> dict[str, Any]:
    (question,) = call(f"pending --json --db {db}").json()
    assert isinstance(question, dict)
    return question


def entries(db: Path, run_id: str) -> list[tuple[str, str | None]]:
    """Return the commands to a run and their authors."""
    with Log.open(db, readonly=True) as log:
        wanted = [item.entry for item in log.read(control_stream(run_id))]
    return [(entry.kind, entry.by) for entry in wanted if entry]


def queue_behind(db: Path) -> str:
    """A run that waits for its turn on thread `bill`."""

    async def queue() -> str:
        async with Runtime.open(db, agents=[travel_agents.booker], orphans="leave") as runtime:
            return (await runtime.start("booker", "go", thread="bill", if_active="queue")).run_id

    return anyio.run(queue)


@contextmanager
def held(db: Path, agent: str) -> Iterator[str]:
    """A run that another process executes, which has its agent, and stays."""
    pipe = subprocess.PIPE
    OPENED_LOGS.note(db, [getattr(travel_agents, agent)])
    begin = command("run_holder.py", db, agent)
    with subprocess.Popen(begin, stdin=pipe, stdout=pipe, text=True, env=environment()) as process:
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


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:
        # Linux says so when the child has closed its end.
        return b""
