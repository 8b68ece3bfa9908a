"""Two servers that have each other work while either is killed. THREADLOG_LONG=1 kills them more often."""

import json
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import pytest

from support.command import run
from support.processes.standby_server import LONGEST_WAIT
from support.programs import TESTS, Process, started
from support.waiting import wait_until
from threadlog.engine import RemoteAgent, Runtime
from threadlog.reducers import replay
from threadlog.reducers.remote import remote_task
from threadlog.store import Log
from threadlog.store.listing import RunRow

pytestmark = pytest.mark.long

LONG = bool(os.environ.get("THREADLOG_LONG"))
KILLS = 120 if LONG else 4
AT_ONCE = 2
"""Jobs that each chief has at any time."""

AGENTS = TESTS / "support" / "delegating_agents.py"
LEFT_ALONE = {
    "threadlog: Unhandled exception: ClientDisconnect()",
    "threadlog: Request Error (ID: None): Code=-32603, Message=''",
}
"""What a server says when the other one dies in the midst of a request."""

OF = {"A": "B", "B": "A"}
"""Who works for whom."""


class Spares:
    """Processes that may become servers, of which one is always ready."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._next = self._new()

    def _new(self) -> Process:
        return self._stack.enter_context(started(script="standby_server.py"))

    def take(self) -> Process:
        taken, self._next = self._next, self._new()
        return taken


class Site:
    """One of the two: a file, an address, and a server that is killed and started again."""

    def __init__(self, name: str, folder: Path, port: int, other: int, spares: Spares) -> None:
        self.name = name
        self.path = folder / f"{name}.db"
        self.notes = folder / f"{name}.notes"
        self.url = f"http://127.0.0.1:{port}/agents/chief/"
        self.environment = {
            "NAME": name,
            "DIES_AT": "0",
            "NOTES": str(self.notes),
            "OTHER": f"http://127.0.0.1:{other}/agents/worker/",
        }
        self._command = f"serve {AGENTS} --a2a --orphans resume --port {port} --json --db".split()
        self._spares = spares
        self._process: Process | None = None
        self.log = Log.open(self.path)

    def start(self, *, dies_at: int) -> None:
        """It is killed when its tools were executed so often; 0: it is not."""
        self._process = self._spares.take()
        assert self._process.stdin
        environment = {**self.environment, "DIES_AT": str(dies_at)}
        told = {"environment": environment, "command": [*self._command, str(self.path)]}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    async def kill(self) -> None:
        """It has died of that, and had nothing to complain of before."""
        assert self._process
        self._process.kill()
        _, errors = await anyio.to_thread.run_sync(self._process.communicate)
        assert set(errors.splitlines()) <= LEFT_ALONE

    @property
    def is_dead(self) -> bool:
        assert self._process
        return self._process.poll() is not None

    async def dies(self, waiting: anyio.CancelScope) -> None:
        """Release its waiters when it is dead."""
        assert self._process
        assert self._process.stdout
        said = self._process.stdout.fileno()
        await anyio.wait_readable(said)
        while os.read(said, 4096):
            await anyio.wait_readable(said)
        waiting.cancel()

    def runs_of(self, agent: str) -> list[RunRow]:
        return [row for row in self.log.runs() if row.agent == agent]


@contextmanager
def sites(folder: Path) -> Iterator[list[Site]]:
    """Both servers, on ports that stay reserved while no server listens."""
    with ExitStack() as stack:
        reserved = [stack.enter_context(socket.socket()) for _ in OF]
        for each in reserved:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        one, other = (each.getsockname()[1] for each in reserved)
        spares = Spares(stack)
        made = [Site("A", folder, one, other, spares), Site("B", folder, other, one, spares)]
        for site in made:
            stack.enter_context(site.log)
        yield made


@dataclass
class Client:
    """Who has jobs for both chiefs, by a log of its own."""

    runtime: Runtime
    is_over: bool = False
    jobs: list[tuple[str, str]] = field(default_factory=list)
    """The chief, and the job."""

    async def keep_busy(self, site: Site, dice: random.Random) -> None:
        while not self.is_over:
            job, how = f"job-{len(self.jobs)}", dice.choice(["foreground", "background"])
            self.jobs.append((site.name, job))
            told = await self.asked(site, job, f"{how} {job}", job)
            if how == "background":
                assert told == "It is at work."
                await wait_until(site.log, partial(_is_done, site, job))
                told = await self.asked(site, job, "well?", f"{job}-again")
            assert told == f"{OF[site.name]} did {job}"

    async def asked(self, site: Site, thread: str, prompt: str, id: str) -> object:
        run = await self.runtime.start(site.name, prompt, thread=thread, id=id)
        result = await run.result()
        assert result.termination.type == "natural_end", (id, result)
        return result.output


def _is_done(site: Site, thread: str) -> bool:
    """Whether what was delegated on a thread is done."""
    parents = {row.run_id for row in site.log.runs(thread)}
    subs = [row for row in site.runs_of("other") if row.parent_run_id in parents]
    return bool(subs) and all(row.status == "done" for row in subs)


async def goes_on(site: Site, both: list[Site], commits: int) -> None:
    """Return when a server has committed so often, or any is dead: then it may have to wait for that one."""
    enough = site.log.position() + commits
    async with anyio.create_task_group() as tasks:
        for each in both:
            tasks.start_soon(each.dies, tasks.cancel_scope)
        await wait_until(site.log, lambda: site.log.position() >= enough)
        tasks.cancel_scope.cancel()


async def killed(victims: list[Site], dice: random.Random | None = None) -> int:
    """How many were killed, at the same moment, and started again: with the dice, to die of their work."""
    for site in victims:
        await site.kill()
    for site in victims:
        site.start(dies_at=dice.randrange(8) if dice else 0)
    return len(victims)


async def worked(folder: Path, both: list[Site], dice: random.Random) -> list[tuple[str, str]]:
    """The jobs that were done while one or the other was killed, and often both."""
    chiefs = [RemoteAgent(site.name, site.url) for site in both]
    for site in both:
        site.start(dies_at=0)
    async with Runtime.open(folder / "client.db", agents=chiefs) as runtime:
        client = Client(runtime)
        async with anyio.create_task_group() as tasks:
            for site in both * AT_ONCE:
                tasks.start_soon(client.keep_busy, site, dice)
            kills = 0
            while kills < KILLS:
                await goes_on(dice.choice(both), both, commits=dice.choice([1, 3, 8, 15, 25]))
                # One or the other or both; and who has died of its work.
                wanted = both if dice.random() < 0.2 else [dice.choice(both)]
                kills += await killed([site for site in both if site in wanted or site.is_dead], dice)
            await killed(both)
            client.is_over = True
    for site in both:
        await site.kill()
    return client.jobs


def conversation(site: Site, thread: str) -> list[tuple[str, str]]:
    """What was said on a thread, apart from what tools were asked and have answered."""
    return [
        (message.role, message.content)
        for message in replay(site.log.read(thread)).messages
        if message.role in ("user", "assistant") and message.visibility == "all" and message.content
    ]


def assert_mirrored(site: Site, other: Site, delegations: int) -> None:
    """Each delegation has been one run there, and is here what it was there."""
    here, there = site.runs_of("other"), other.runs_of("worker")
    assert len(here) == delegations
    assert sorted(row.thread_id for row in here) == sorted(row.thread_id for row in there)
    for row in there:
        assert conversation(site, row.thread_id) == conversation(other, row.thread_id)


def assert_sound(site: Site) -> None:
    """The log is intact, gives the same bytes again, and nothing was paid twice."""
    assert site.log.verify() == []
    assert run(f"replay --level run --agents {AGENTS} --db {site.path}", **site.environment).code == 0
    noted = Counter(site.notes.read_text().splitlines())
    assert {line for line, times in noted.items() if times > 1 and line.startswith("pay")} == set()


def figures(site: Site) -> Counter[str]:
    found = Counter[str]()
    for row in site.runs_of("other"):
        for each in site.log.read_run(row.run_id):
            if each.reason == "run_resumed":
                is_doubtful = bool(remote_task(site.log.state(row.thread_id, each.version)).outbox)
                found += Counter(adopted=1, doubtful=is_doubtful)
    recovered = [each for each in site.log.entries() if each.changeset.reason == "recovered"]
    repeated = Counter(site.notes.read_text().splitlines())
    return found + Counter(recovered=len(recovered), repeated=sum(n - 1 for n in repeated.values()))


@pytest.mark.timeout(1800)
def test_two_servers_delegate_to_each_other_whole_and_once_however_often_either_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.engine.remote.remote_error.LONGEST_WAIT", LONGEST_WAIT)
    seed = int(os.environ.get("THREADLOG_SEED", random.randrange(2**32)))
    sys.stdout.write(f"THREADLOG_SEED={seed}\n")

    with sites(tmp_path) as both:
        jobs = anyio.run(worked, tmp_path, both, random.Random(seed))
        one, other = both
        for site, there in ((one, other), (other, one)):
            assert_mirrored(site, there, [name for name, _ in jobs].count(site.name))
            assert_sound(site)
        found = figures(one) + figures(other)

    sys.stdout.write(
        f"{KILLS} kills, {len(jobs)} delegations, {found['recovered']} orphans, {found['adopted']} adopted "
        f"mirrors, {found['doubtful']} doubtful submissions, {found['repeated']} repeated calls\n"
    )
