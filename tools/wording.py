"""Runs, tool calls and decisions in words."""

from typing import Protocol

from pydantic import JsonValue

from ..reducers.tool_call import DecisionRecord
from ..store.changeset import Executor, Termination
from ..store.outcome import ToolOutcome
from .terminal import compact_json

ROLE_STYLES = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta"}


class Call(Protocol):
    """A tool call, in a message or in the state."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> JsonValue: ...


def call_text(call: Call, limit: int | None = None) -> str:
    """Return a tool call like code: `book({"city": "Kyoto"})`. Arguments longer than `limit` are cut."""
    return f"{call.name}({compact_json(call.arguments, limit)})"


def outcome_style(outcome: ToolOutcome) -> str:
    """Return the color for the outcome of a tool call."""
    return "yellow" if outcome.outcome == "succeeded" else "red"


def end_text(termination: Termination | None, executor: Executor | None = None) -> str:
    """Return why a run ended or waits; empty while it runs. `executor` is the process that executed it."""
    if termination is None:
        return ""
    if termination.code in ("orphaned", "recovered"):
        process = f"its process (pid {executor.pid} on {executor.host})" if executor else "its process"
        return f"{termination.type}: {process} died"
    return _join(termination.type, termination.code, termination.detail)


def status_text(status: str, end: str | None) -> str:
    """Return the status of a run and, if it has ended, why."""
    return _join(status, end)


def decision_text(decision: DecisionRecord) -> str:
    """Return what was decided, by whom and why."""
    what = "approved" if decision.approved else "denied"
    by = f" by {decision.by}" if decision.by else ""
    return _join(f"{what}{by}", decision.reason)


def process_text(executor: Executor | None) -> str:
    """Return the process that executes a run, or executed it last."""
    return f"process {executor.pid} on {executor.host}" if executor else "another process"


def quantity(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _join(*parts: str | None) -> str:
    return ": ".join(filter(None, parts))
