"""A behavior: shows an agent which others may work for it, and how the runs are that it has started.

Once in each of its epochs that a sub-agent ends or begins to wait, the agent is told at its next step; as
long as one goes on, waits or is stopped, every request says so. The agent of a thread on which no run goes on
is told when the next one begins.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ...reducers.sub_agent import SUB_AGENT_REDUCER, SUB_AGENTS, SubAgents, SubAgentsTold
from ..agents import AddContextMessage, Behavior, Context, Returned, Wanted
from .agent_tools import Delegation, delegation_tools, told_of

_ENDED = ("completed", "failed")
MAX_AGENTS = 64
MAX_BYTES = 16 * 1024

USAGE = """<agent_tools_usage>
To have an agent work, call agent_run with its agent_id and a prompt that says all it must know; with \
background=true you go on meanwhile. The answer comes with agent_output and the run_id. A run that is \
stopped goes on with agent_run and its run_id; agent_stop stops one with all that it has started.
</agent_tools_usage>"""


class Catalogue(Behavior):
    """Brings the tools of delegation, and says what they can be used for."""

    reducers = (SUB_AGENT_REDUCER,)

    def __init__(self, delegation: Delegation) -> None:
        self._delegation = delegation
        self.tools = delegation_tools(delegation)
        self.settings = dict(delegation.targets)
        self._catalogue = catalogue(delegation.targets)

    def before_inference(self, context: Context) -> Returned:
        shown = [AddContextMessage("agent_catalog", self._catalogue)] if self._catalogue else []
        known = SubAgents.model_validate(context.read(SUB_AGENTS, {}))
        return self._with_runs(context, known, shown) if known.runs else shown

    async def _with_runs(self, context: Context, known: SubAgents, shown: list[AddContextMessage]) -> Wanted:
        async def looked_at() -> list[dict[str, Any]]:
            return [told_of(self._delegation.view(run_id, ref)) for run_id, ref in known.runs.items()]

        runs: list[dict[str, Any]] = await context.effect("sub_agents", looked_at)
        news = {run["run_id"]: run["epoch"] for run in runs if _is_news(run, known.told)}
        listed = [run for run in runs if run["run_id"] in news or run["status"] not in _ENDED]
        if not listed:
            return shown
        told = SubAgentsTold(epochs=news) if news else None
        return [*shown, AddContextMessage("agent_runs", runs_in_words(listed), on_emit=told)]


def _is_news(run: Mapping[str, Any], told: Mapping[str, int]) -> bool:
    return run["status"] != "running" and bool(told.get(run["run_id"], -1) < run["epoch"])


def catalogue(targets: Mapping[str, str]) -> str:
    """The agents that may be asked, as a model reads it; empty if there are none."""
    lines, size = list[str](), 0
    for name, description in sorted(targets.items()):
        about = f"<description>{escape(description)}</description>" if description else ""
        line = f"<agent><id>{escape(name)}</id>{about}</agent>"
        size += len(line.encode()) + 1
        if len(lines) == MAX_AGENTS or size > MAX_BYTES:
            break
        lines.append(line)
    if not lines:
        return ""
    note = f"Note: {len(lines)} of {len(targets)} agents are shown.\n" if len(lines) < len(targets) else ""
    return "<available_agents>\n" + "\n".join(lines) + f"\n</available_agents>\n{note}{USAGE}"


def runs_in_words(runs: Iterable[Mapping[str, Any]]) -> str:
    """How sub-agents are, as a model reads it."""
    lines = [_line(run) for run in runs]
    return "<agent_runs>\n" + "\n".join(lines) + "\n</agent_runs>"


def _line(run: Mapping[str, Any]) -> str:
    facts = {"id": run["run_id"], "agent": run["agent_id"], "status": run["status"], "error": run["error"]}
    said = " ".join(f'{name}="{escape(str(value))}"' for name, value in facts.items() if value)
    asked = "".join(f"<waits_for>{escape(each['message'])}</waits_for>" for each in run.get("tickets", ()))
    return f"<run {said}>{asked}</run>" if asked else f"<run {said}/>"
