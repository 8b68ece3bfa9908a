"""`threadlog run`: an agent from a user's file, at the terminal. Approvals are asked for there."""

import dataclasses
import signal
import sys
from collections.abc import Sequence

import anyio
import click
from anyio.to_thread import run_sync

from ...engine import Agent, Decision, RemoteAgent, Run, RunResult, Runtime
from ...engine.events import (
    AssistantTurn,
    AttemptFailed,
    Event,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    ToolSuspended,
)
from ...reducers.tool_call import ToolCallState
from ...store.errors import RunError, ThreadlogError
from ..agents import agents_at
from ..opening import on_a_log
from ..standing import deciding
from ..terminal import compact, console, print_json, styled, visible

FINE = ("natural_end", "behavior_requested", "suspended")


@click.command()
@click.argument("agent", metavar="FILE.py:AGENT")
@click.argument("prompt", required=False)
@click.option("--thread", metavar="THREAD", help="Go on on this thread; else the run gets one of its own.")
@click.option("--model", metavar="NAME", help="Ask this model instead of the agent's: provider:model.")
@on_a_log
@click.pass_context
def run(
    context: click.Context,
    db: str,
    as_json: bool,
    agent: str,
    prompt: str | None,
    thread: str | None,
    model: str | None,
) -> None:
    """Run an agent and show what it does. Without a PROMPT, go on with the run that waits on --thread.

    Ctrl-C cancels the run, and the log says so. Exits with 1 if the run ends in any way but its own.
    """
    if prompt is None and thread is None:
        raise click.UsageError("say what to do: a PROMPT, or --thread with a run that waits")
    (_, *others), found = agents_at(agent)
    if found is None:
        raise click.UsageError(f"{agent!r} has several agents: name one, as FILE.py:AGENT")
    wanted = dataclasses.replace(found, model=model) if model else found
    # What is wrong with a model's name is said before a log is made.
    wanted.models()
    session = Session(db, [wanted, *others], thread, as_json)
    result = anyio.run(session.run, prompt)
    if as_json:
        print_json(_result_json(result))
    if session.interrupted:
        again = f"threadlog run {agent} PROMPT --thread {result.thread_id} --db {db}"
        click.echo(f"cancelled; go on with: {again}", err=True)
        context.exit(130)
    context.exit(0 if result.termination.type in FINE else 1)


class Session:
    """One sitting at the terminal: a run, through all its questions."""

    def __init__(
        self, db: str, agents: Sequence[Agent | RemoteAgent], thread: str | None, quiet: bool
    ) -> None:
        """The first of the agents runs; the others are those that it may have work for it."""
        self.interrupted = False
        self._db = db
        self._agents = agents
        self._thread = thread
        self._quiet = quiet

    async def run(self, prompt: str | None) -> RunResult:
        """Until the run is done, waits with nobody to ask, or is cancelled."""
        outcome: RunResult | Exception = RunError("the run was never followed")
        async with Runtime.open(self._db, agents=self._agents) as runtime:
            run = await self._first(runtime, prompt)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, runtime, run.run_id)
                try:
                    outcome = await self._through_all_questions(runtime, run)
                except ThreadlogError as err:
                    # Raised in here it would come out wrapped in a group.
                    outcome = err
                tasks.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _through_all_questions(self, runtime: Runtime, run: Run) -> RunResult:
        result = await self._follow(run)
        while result.status == "waiting" and not self.interrupted and self._can_ask():
            decisions = await self._ask(runtime.pending(run.run_id))
            try:
                run = await runtime.decide(result.run_id, decisions)
            except RunError as err:
                # Somebody was faster at another terminal: the run goes on with that, and is not left.
                click.echo(f"threadlog: {visible(err)}", err=True)
            result = await self._follow(run)
        if result.status == "waiting":
            self._tell_waiting(result.run_id, runtime.pending(result.run_id))
        await self._wait_for_others(runtime, result.thread_id)
        return result

    async def _wait_for_others(self, runtime: Runtime, thread: str) -> None:
        """What the run has left in the background goes on as long as this process does."""
        for sub in runtime.sub_agents(thread):
            if sub.status == "running" and not self.interrupted:
                if not self._quiet:
                    console.print(styled(f"{sub.agent} still works (run {sub.run_id})", "dim"))
                await runtime.run(sub.run_id).result()

    async def _first(self, runtime: Runtime, prompt: str | None) -> Run:
        if prompt is not None:
            return await runtime.start(self._agents[0].name, prompt, thread=self._thread)
        waiting = [row.run_id for row in runtime.log.open_runs(self._thread) if row.status == "waiting"]
        if not waiting:
            raise RunError(f"no run waits on thread {self._thread!r}: give a PROMPT to start one")
        # What is recorded already, at another terminal, is not asked for again: the run goes on with it.
        run = await runtime.decide(waiting[-1], [])
        if run.is_started:
            return run
        decisions = await self._ask(runtime.pending(run.run_id)) if self._can_ask() else []
        return await runtime.resume(run.run_id, decisions)

    async def _listen(self, runtime: Runtime, run_id: str) -> None:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                self.interrupted = True
                if not await runtime.cancel(run_id):
                    await runtime.stop(run_id)

    async def _follow(self, run: Run) -> RunResult:
        is_written = False
        async for event in run:
            if self._quiet:
                continue
            if isinstance(event, AssistantTurn) and not is_written:
                # What was over before anyone listened is told whole.
                tell(TextDelta(event.message.content))
            tell(event)
            is_written = isinstance(event, TextDelta) or (is_written and not isinstance(event, AssistantTurn))
        return await run.result()

    def _can_ask(self) -> bool:
        return sys.stdin.isatty() and not self._quiet

    async def _ask(self, calls: Sequence[ToolCallState]) -> list[Decision]:
        return [await run_sync(_ask_one, call, abandon_on_cancel=True) for call in calls]

    def _tell_waiting(self, run_id: str, calls: Sequence[ToolCallState]) -> None:
        for call in calls:
            if call.suspension:
                asked = f"{call.name}({compact(call.suspension.parameters, 200)})"
                click.echo(f"waits for a decision: {asked}, ticket {call.suspension.ticket}", err=True)
                answer = deciding(self._db, run_id, call.suspension.ticket)
                click.echo(f"answer with: {visible(answer)}, or --deny", err=True)


def _ask_one(call: ToolCallState) -> Decision:
    assert call.suspension
    question = call.suspension.message or f"Allow {call.name}?"
    console.print(styled(f"{question}  {compact(call.suspension.parameters, 400)}", "bold yellow"))
    answer = click.prompt("yes, or no and why", default="no", show_default=True).strip()
    if answer.lower() in ("y", "yes"):
        return Decision.approve(call.suspension.ticket)
    reason = answer.removeprefix("no").removeprefix("n").strip(" ,:") or None
    return Decision.deny(call.suspension.ticket, reason)


def tell(event: Event) -> None:
    """An event, as a person follows it."""
    match event:
        case TextDelta(text):
            console.print(styled(text), end="")
        case AssistantTurn(message):
            console.print()
            for call in message.tool_calls:
                console.print(styled(f"→ {call.name}({compact(call.arguments, 200)})", "green"))
        case ToolStarted():
            pass
        case ToolProgress(_, name, progress):
            console.print(styled(f"  {name}: {compact(progress, 200)}", "dim"))
        case ToolSuspended(_, name):
            console.print(styled(f"  {name} waits for a decision", "yellow"))
        case ToolFinished(outcome):
            style = "yellow" if outcome.outcome == "succeeded" else "red"
            console.print(styled(f"  {outcome.outcome}: {compact(outcome.result, 200)}", style))
        case AttemptFailed(model, problem):
            console.print(styled(f"  {model} failed: {visible(problem)}", "red"))


def _result_json(result: RunResult) -> dict[str, object]:
    return {
        "run_id": result.run_id,
        "thread_id": result.thread_id,
        "status": result.status,
        "termination": result.termination.model_dump(exclude_none=True),
        "output": result.output,
        "usage": result.usage.model_dump(),
        "version": result.version,
    }
