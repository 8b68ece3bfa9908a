"""The behavior that shows an agent the agents it can run, and the status of the sub-agents it started.

The model reads about a sub-agent in every request while it runs, waits or is stopped. A completed or failed
sub-agent is reported once in each of its epochs, at the next step of the agent; if no run of the thread is
running, at the start of the next one.
"""

from collections.abc import Iterable, Mapping
from html import escape

from ...reducers.sub_agent import SUB_AGENT_REDUCER, SUB_AGENTS, ReportSubAgents, SubAgents
from ..agents import AddContextMessage, Behavior, Context, PhaseActions, PhaseResult
from .delegation import Delegation
from .sub_agent_report import SubAgentReport, report
from .tools import delegation_tools

_ENDS = ("completed", "failed")
MAX_AGENTS = 64
MAX_BYTES = 16 * 1024

USAGE = """<agent_tools_usage>
Call agent_run with an agent_id and a self-contained prompt; set background=true to continue meanwhile. Read \
the answer with agent_output and the run_id. Call agent_run with the run_id of a stopped run to resume it. \
Call agent_stop to stop a run and all runs that it started.
</agent_tools_usage>"""


class Catalogue(Behavior):
    """Adds the delegation tools, and shows what they can be used for."""

    reducers = (SUB_AGENT_REDUCER,)

    def __init__(self, delegation: Delegation) -> None:
        self._delegation = delegation
        self.tools = delegation_tools(delegation)
        self.settings = dict(delegation.targets)
        self._catalogue = render_catalogue(delegation.targets)

    def before_inference(self, context: Context) -> PhaseResult:
        messages = [AddContextMessage("agent_catalog", self._catalogue)] if self._catalogue else []
        known = SubAgents.model_validate(context.read(SUB_AGENTS, {}))
        return self._add_runs(context, known, messages) if known.runs else messages

    async def _add_runs(
        self, context: Context, known: SubAgents, messages: list[AddContextMessage]
    ) -> PhaseActions:
        async def read_reports() -> list[SubAgentReport]:
            return [report(self._delegation.sub_agent(run_id, ref)) for run_id, ref in known.runs.items()]

        reports: list[SubAgentReport] = await context.effect("sub_agents", read_reports)
        unreported = {
            run["run_id"]: run["epoch"] for run in reports if _is_unreported(run, known.reported_epochs)
        }
        listed = [run for run in reports if run["run_id"] in unreported or run["status"] not in _ENDS]
        if not listed:
            return messages
        reported = ReportSubAgents(epochs=unreported) if unreported else None
        return [*messages, AddContextMessage("agent_runs", render_runs(listed), on_emit=reported)]


def _is_unreported(run: SubAgentReport, reported_epochs: Mapping[str, int]) -> bool:
    return run["status"] != "running" and reported_epochs.get(run["run_id"], -1) < run["epoch"]


def render_catalogue(targets: Mapping[str, str]) -> str:
    """Return the list of agents that a model reads; empty if there are none."""
    lines, size = list[str](), 0
    for name, description in sorted(targets.items()):
        line = _render_agent(name, description)
        size += len(line.encode()) + 1
        if len(lines) == MAX_AGENTS or size > MAX_BYTES:
            break
        lines.append(line)
    if not lines:
        return ""
    note = f"Note: {len(lines)} of {len(targets)} agents are shown.\n" if len(lines) < len(targets) else ""
    return "<available_agents>\n" + "\n".join(lines) + f"\n</available_agents>\n{note}{USAGE}"


def _render_agent(name: str, description: str) -> str:
    about = f"<description>{escape(description)}</description>" if description else ""
    return f"<agent><id>{escape(name)}</id>{about}</agent>"


def render_runs(runs: Iterable[SubAgentReport]) -> str:
    """Return the list of sub-agents that a model reads."""
    lines = [_render_run(run) for run in runs]
    return "<agent_runs>\n" + "\n".join(lines) + "\n</agent_runs>"


def _render_run(run: SubAgentReport) -> str:
    values = {"id": run["run_id"], "agent": run["agent_id"], "status": run["status"], "error": run["error"]}
    attributes = " ".join(f'{name}="{escape(value)}"' for name, value in values.items() if value)
    questions = "".join(
        f"<waits_for>{escape(each['message'])}</waits_for>" for each in run.get("tickets", ())
    )
    return f"<run {attributes}>{questions}</run>" if questions else f"<run {attributes}/>"
