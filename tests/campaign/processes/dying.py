"""A process that dies amid its work: python -m campaign.processes.dying LOG NOTES DICE KIND HOW NTH.

It recovers what others have left, keeps some runs going, and decides what is asked in any run, until the Nth
of its calls of a kind on the files of the log kills it (faults.c, which it is started with). It says `ready`,
begins when it is sent a line, and says what was acknowledged:

started ID                    a run is in the log
decided ID TICKET yes|no      a decision is
ended ID HOW                  the end of a run is
"""

import os
import random
import sys
from contextlib import aclosing
from pathlib import Path

import anyio

from campaign.faults.injection import How, Kind, arm
from campaign.scenes.crew import SCRIPTS, crew
from threadlog.engine import Decision, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.store.appender import changes
from threadlog.store.errors import RunError

AT_ONCE = 4
SHARED = 3
POLICIES: list[OrphanPolicy] = ["stop", "ask", "resume"]


def say(text: str) -> None:
    # One write for each line, at once: what was said before a kill has arrived.
    os.write(1, f"{text}\n".encode())


class Mortal:
    def __init__(self, runtime: Runtime, dice: random.Random) -> None:
        self._runtime = runtime
        self._dice = dice

    async def keep_running(self) -> None:
        while True:
            thread: str | None = None
            if_active: IfActive = "reject"
            if self._dice.random() < 0.3:
                thread = f"shared {self._dice.randrange(SHARED)}"
                if_active = "queue" if self._dice.random() < 0.6 else "supersede"
            prompt = self._dice.choice(list(SCRIPTS))
            run = await self._runtime.start("planner", prompt, thread=thread, if_active=if_active)
            say(f"started {run.run_id}")
            async for _ in run:
                pass
            result = await run.result()
            if result.status == "done":
                say(f"ended {run.run_id} {result.termination.type}")

    async def decide(self) -> None:
        """Answer what is asked in any run, and sometimes leave it to others."""
        async with aclosing(changes(self._runtime.log)) as news:
            async for _ in news:
                for row in self._runtime.log.open_runs():
                    if row.status == "waiting" and self._dice.random() < 0.5:
                        await self._answer(row.run_id)

    async def _answer(self, run_id: str) -> None:
        for call in self._runtime.pending(run_id):
            ticket = call.suspension.ticket if call.suspension else call.call_id
            approved = self._dice.random() < 0.7
            try:
                await self._runtime.decide(run_id, [Decision(ticket, approved)])
            except RunError:
                # Another process was faster, with another answer.
                continue
            say(f"decided {run_id} {ticket} {'yes' if approved else 'no'}")


async def work(path: str, notes: Path, dice: random.Random) -> None:
    def note(key: str) -> None:
        file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{key}\n".encode())
        os.close(file)

    async with (
        Runtime.open(path, agents=crew(note), orphans=dice.choice(POLICIES)) as runtime,
        anyio.create_task_group() as tasks,
    ):
        mortal = Mortal(runtime, dice)
        tasks.start_soon(mortal.decide)
        for _ in range(AT_ONCE):
            tasks.start_soon(mortal.keep_running)


if __name__ == "__main__":
    say("ready")
    if sys.stdin.readline():
        log, notes, dice, kind, how, nth = sys.argv[1:]
        arm(Path(log).parent, Kind(int(kind)), How(int(how)), int(nth))
        anyio.run(work, log, Path(notes), random.Random(dice))
