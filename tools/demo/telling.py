"""How the demo tells what it does, in lines that a terminal of 80 columns holds."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.padding import Padding
from rich.text import Text

from ...engine import Decision, Run, RunResult
from ...engine.events import AssistantTurn, AttemptFailed, Event, ToolFinished
from ...reducers.tool_call import ToolCallState
from ..terminal import compact, console, styled


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Nothing is told within."""
    before, console.quiet = console.quiet, wanted or console.quiet
    try:
        yield
    finally:
        console.quiet = before


def heading(text: str) -> None:
    """A rule, with a line above it."""
    console.print()
    console.rule(styled(text, "bold"), align="left")


def say(text: object, style: str = "", *, indent: int = 0) -> None:
    """Sentences, folded as the terminal is wide."""
    console.print(Padding(styled(text, style), (0, 0, 0, indent), expand=False))


def put(text: Text) -> None:
    """One line, whatever is in it: what does not fit is cut off."""
    console.print(text, no_wrap=True, overflow="ellipsis")


def short(name: str) -> str:
    """A long id as people say it: the beginning of its last part that can be told from others."""
    before, prefix, id = name.rpartition("sub-agent-")
    return name if len(id) <= 12 else f"{before}{prefix}{id[:8]}…"


async def follow(run: Run) -> RunResult:
    """Tell what a run does, up to its end or to where it waits."""
    async for event in run:
        _tell(event)
    return await run.result()


def tell_decision(call: ToolCallState, decision: Decision) -> None:
    """What a person is asked, and the answer."""
    put(styled(f"  ? may {call.name} be called with {compact(call.arguments)}", "bold cyan"))
    put(styled(f"    {'yes' if decision.approved else f'no: {decision.reason}'}", "cyan"))


def _tell(event: Event) -> None:
    match event:
        case AssistantTurn(message):
            if message.content:
                say(message.content, "green", indent=2)
            for call in message.tool_calls:
                put(styled(f"  → {call.name}({compact(call.arguments)})", "bold green"))
        case AttemptFailed(model, problem):
            say(f"{model} failed ({problem}), it is asked again", "red", indent=2)
        case ToolFinished(outcome):
            style = "yellow" if outcome.outcome == "succeeded" else "red"
            put(styled(f"    {outcome.outcome}: {compact(outcome.result)}", style))
