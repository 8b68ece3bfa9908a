"""A process of `executor.py` under the control of a test: its output, its progress, its death."""

import os

import anyio

from support.processes.executor import THREADS
from support.programs import Process
from support.waiting import TIMEOUT
from threadlog.store import Log
from threadlog.store.changeset import control_stream


class Executing:
    """A process that was told to begin."""

    def __init__(self, process: Process) -> None:
        self.started: set[str] = set()
        """The runs that it has started."""
        self.is_dead = False
        self._process = process
        self._asked = 0
        """How many wait at its gate; below zero, how many may pass when they come."""
        self._commits = 0
        self._news = anyio.Event()

    async def listen(self) -> None:
        """Hear what it says, until it is dead."""
        assert self._process.stdout
        said, rest = self._process.stdout.fileno(), b""
        await anyio.wait_readable(said)
        while heard := os.read(said, 4096):
            *lines, rest = (rest + heard).split(b"\n")
            for line in lines:
                self._hear(*line.decode().split())
            self._news.set()
            await anyio.wait_readable(said)
        self.is_dead = True
        self._news.set()

    def _hear(self, what: str, run_id: str = "") -> None:
        match what:
            case "started":
                self.started.add(run_id)
            case "asks":
                self._asked += 1
            case "leaves":
                self._asked -= 1
            case "commits":
                self._commits += 1

    def grant(self, number: int) -> None:
        """Let so many requests and calls pass, those that wait and those to come."""
        assert self._process.stdin
        os.write(self._process.stdin.fileno(), b"." * number)
        self._asked -= number

    async def goes_on(self, log: Log, *, commits: int) -> None:
        """Return when it has committed so often, or does nothing more by itself, or is dead."""
        enough = self._commits + commits
        with anyio.move_on_after(TIMEOUT):
            while self._commits < enough and not (self.is_dead or self._is_at_rest(log)):
                self._news = anyio.Event()
                await self._news.wait()
            return
        rows = log.open_runs()
        wanted = {row.run_id: log.head(control_stream(row.run_id)) for row in rows}
        with Log.open(log.path, readonly=True) as other:
            is_stale = other.open_runs() != rows
        raise AssertionError(
            f"it does not go on: {self._asked} at the gate, {self._commits} commits, "
            f"{wanted=}, {is_stale=}, {rows}"
        )

    def _is_at_rest(self, log: Log) -> bool:
        """Whether each thread has a run, which waits at the gate, or for a person who has not spoken."""
        rows = log.open_runs()
        waiting = [row for row in rows if row.status == "waiting"]
        return (
            len(rows) == len(THREADS)
            # One that a word has woken may have asked twice: its two calls, decided, are at the gate at once.
            and len(rows) - len(waiting) <= max(self._asked, 0)
            and all(row.control == log.head(control_stream(row.run_id)) for row in waiting)
        )

    def kill(self) -> None:
        self.is_dead = True
        self._process.kill()
