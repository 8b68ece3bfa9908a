"""How runs, tool calls and decisions are written for a person."""

from typing import Protocol

from pydantic import JsonValue

from ..reducers.tool_call import DecisionRecord
from ..store.changeset import Executor, Termination
from ..store.outcome import ToolOutcome
from .terminal import compact

ROLE_STYLES = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta"}


class Call(Protocol):
    """A tool call: in a message, or as the state has it."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> JsonValue: ...


def call_text(call: Call, limit: int | None = None) -> str:
    """Return a tool call as code: `book({"city": "Kyoto"})`. Long arguments are cut at `limit`."""
    return f"{call.name}({compact(call.arguments, limit)})"


def outcome_style(outcome: ToolOutcome) -> str:
    """Return the color of a tool call's outcome."""
    return "yellow" if outcome.outcome == "succeeded" else "red"


def end_text(termination: Termination | None) -> str:
    """Return why a run ended or waits; empty while it runs."""
    if termination is None:
        return ""
    return _joined(termination.type, termination.code, termination.detail)


def status_text(status: str, end: str | None) -> str:
    """Return a run's status and, if it has ended, why."""
    return _joined(status, end)


def decision_text(decision: DecisionRecord) -> str:
    """Return what was decided, by whom and why."""
    what = "approved" if decision.approved else "denied"
    by = f" by {decision.by}" if decision.by else ""
    return _joined(f"{what}{by}", decision.reason)


def process_text(executor: Executor | None) -> str:
    """Return which process executes a run."""
    return f"process {executor.pid} on {executor.host}" if executor else "another process"


def _joined(*parts: str | None) -> str:
    return ": ".join(filter(None, parts))
