"""What a log answers later: who decided what, is it intact, and would the agents do the same again?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...engine.agents import Registered
from ...engine.events import AssistantTurn, ToolCallDecided, run_events
from ...store.log import Log
from ..check import print_findings, replay_runs
from ..terminal import compact_json, one_line, styled_text
from ..wording import decision_text, quantity
from .narration import print_line, say


def print_decisions(path: Path, run_id: str) -> None:
    """Print who approved or denied which calls of a run."""
    say("Who approved what, and who denied it?")
    with Log.open(path, readonly=True) as log:
        for text in _decisions(log, run_id):
            print_line(styled_text(f"  {text}", "cyan"))


def _decisions(log: Log, run_id: str) -> Iterator[str]:
    names: dict[str, str] = {}
    for event in run_events(log, run_id):
        if isinstance(event, AssistantTurn):
            names |= {call.id: call.name for call in event.message.tool_calls}
        if isinstance(event, ToolCallDecided):
            decision = event.decision
            result = "" if decision.result is None else f", with the result {compact_json(decision.result)}"
            yield f"{names[event.call_id]} was {decision_text(decision)}{result}"


def check(path: Path, agents: Sequence[Registered]) -> list[str]:
    """Verify a log and execute its runs again. Return all problems."""
    with Log.open(path, readonly=True) as log:
        say("Is the log intact?")
        findings = log.verify()
        print_findings(findings, None if findings else log.heads())
        say("Do the agents do the same again, given the recorded answers?")
        return [*map(str, findings), *_replay(log, agents)]


def _replay(log: Log, agents: Sequence[Registered]) -> list[str]:
    run_ids = [row.run_id for row in log.runs()]
    problems = replay_runs(log, run_ids, agents)
    for problem in problems:
        print_line(styled_text(f"✗ {one_line(problem)}", "red"))
    if not problems:
        result = f"{quantity(len(run_ids), 'run')} executed again: identical, byte for byte"
        print_line(styled_text("✓ replayed  ", "bold green") + styled_text(result))
    return problems
