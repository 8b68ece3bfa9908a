"""A run at the terminal: print its events, ask for approvals, cancel it on Ctrl-C."""

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
    ToolCallFinished,
    ToolCallSuspended,
    ToolProgress,
)
from ...reducers.tool_call import ToolCallState
from ...store.errors import RunError, ThreadlogError
from ..next_steps import decide_line
from ..terminal import compact_json, console, escape, styled_text
from ..wording import call_text, outcome_style


class Session:
    """One run at the terminal, through all its epochs."""

    def __init__(
        self,
        db: str,
        agent: Agent,
        others: Sequence[Agent | RemoteAgent],
        thread: str | None,
        *,
        is_quiet: bool,
    ) -> None:
        """Run `agent`, which can delegate to the others. A quiet session prints and asks nothing."""
        self.is_interrupted = False
        self._db = db
        self._agent = agent
        self._others = others
        self._thread = thread
        self._is_quiet = is_quiet

    async def run(self, prompt: str | None) -> RunResult:
        """Return when the run has finished, was cancelled, or waits and there is no terminal to ask at."""
        outcome: RunResult | Exception = RunError("the run was never followed")
        async with Runtime.open(self._db, agents=[self._agent, *self._others]) as runtime:
            run = await self._start(runtime, prompt)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_on_ctrl_c, runtime, run.run_id)
                try:
                    outcome = await self._follow_through_questions(runtime, run)
                except ThreadlogError as err:
                    # Raised in here, the error would leave the task group inside an exception group.
                    outcome = err
                tasks.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _start(self, runtime: Runtime, prompt: str | None) -> Run:
        if prompt is not None:
            return await runtime.start(self._agent.name, prompt, thread=self._thread)
        waiting = [run.run_id for run in runtime.active_runs(self._thread) if run.status == "waiting"]
        if not waiting:
            raise RunError(f"thread {self._thread!r} has no waiting run: give a PROMPT to start one")
        # Apply decisions that are already recorded, for example by another terminal, before asking.
        run = await runtime.decide(waiting[-1], [])
        row = runtime.log.run(run.run_id)
        if row and row.status != "waiting":
            return run
        decisions = await self._ask(runtime.pending(run.run_id)) if self._can_ask() else []
        return await runtime.resume(run.run_id, decisions)

    async def _cancel_on_ctrl_c(self, runtime: Runtime, run_id: str) -> None:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                self.is_interrupted = True
                await runtime.cancel(run_id)

    async def _follow_through_questions(self, runtime: Runtime, run: Run) -> RunResult:
        result = await self._follow(run)
        while result.status == "waiting" and not self.is_interrupted and self._can_ask():
            decisions = await self._ask(runtime.pending(run.run_id))
            try:
                run = await runtime.decide(result.run_id, decisions)
            except RunError as err:
                # Another terminal decided first: follow the run as it continues.
                click.echo(f"threadlog: {escape(err)}", err=True)
            result = await self._follow(run)
        if result.status == "waiting":
            self._print_questions(result.run_id, runtime.pending(result.run_id))
        await self._wait_for_sub_agents(runtime, result.thread_id)
        return result

    async def _follow(self, run: Run) -> RunResult:
        is_written = False
        async for event in run:
            if self._is_quiet:
                continue
            if isinstance(event, AssistantTurn) and not is_written:
                # The turn came without deltas: print its text.
                print_event(TextDelta(event.message.content))
            print_event(event)
            is_written = isinstance(event, TextDelta) or (is_written and not isinstance(event, AssistantTurn))
        return await run.result()

    async def _wait_for_sub_agents(self, runtime: Runtime, thread: str) -> None:
        # Closing the runtime would cancel them.
        for sub in runtime.sub_agents(thread):
            if sub.status == "running" and not self.is_interrupted:
                if not self._is_quiet:
                    console.print(styled_text(f"{sub.agent} is still running (run {sub.run_id})", "dim"))
                await runtime.get_run(sub.run_id).result()

    def _can_ask(self) -> bool:
        return sys.stdin.isatty() and not self._is_quiet

    async def _ask(self, calls: Sequence[ToolCallState]) -> list[Decision]:
        return [await run_sync(_ask_one, call, abandon_on_cancel=True) for call in calls]

    def _print_questions(self, run_id: str, calls: Sequence[ToolCallState]) -> None:
        for call in calls:
            if call.suspension:
                asked = f"{call.name}({compact_json(call.suspension.parameters, 200)})"
                click.echo(f"Waiting for approval: {asked}, ticket {call.suspension.ticket}", err=True)
                answer = decide_line(self._db, run_id, call.suspension.ticket)
                click.echo(f"  {escape(answer)}\n  (or --deny --reason WHY)", err=True)


def _ask_one(call: ToolCallState) -> Decision:
    assert call.suspension
    question = call.suspension.message or f"Allow {call.name}?"
    console.print(styled_text(f"{question}  {compact_json(call.suspension.parameters, 400)}", "bold yellow"))
    answer = click.prompt("yes, or no and why", default="no", show_default=True).strip()
    if answer.lower() in ("y", "yes"):
        return Decision.approve(call.suspension.ticket)
    reason = answer.removeprefix("no").removeprefix("n").strip(" ,:") or None
    return Decision.deny(call.suspension.ticket, reason)


def print_event(event: Event) -> None:
    """Print an event."""
    match event:
        case TextDelta(text):
            console.print(styled_text(text), end="")
        case AssistantTurn(message):
            console.print()
            for call in message.tool_calls:
                console.print(styled_text(f"→ {call_text(call, 200)}", "green"))
        case ToolProgress(_, name, progress):
            console.print(styled_text(f"  {name}: {compact_json(progress, 200)}", "dim"))
        case ToolCallSuspended(_, name):
            console.print(styled_text(f"  {name} is waiting for approval", "yellow"))
        case ToolCallFinished(outcome):
            result = compact_json(outcome.result, 200)
            console.print(styled_text(f"  {outcome.outcome}: {result}", outcome_style(outcome)))
        case AttemptFailed(model, problem):
            console.print(styled_text(f"  Model {model} failed: {problem}", "red"))
