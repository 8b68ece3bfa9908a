"""Reports on sub-agents, as JSON: what the delegation tools answer and the catalogue shows."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from pydantic import JsonValue

from ...reducers.reduce import StateAction
from ...reducers.sub_agent import ReportSubAgents
from ..agents import ToolResult
from ..runs import SubAgent, SubAgentStatus


class TicketReport(TypedDict):
    """A question of a sub-agent to a person."""

    ticket: str
    tool: str
    message: str


class SubAgentReport(TypedDict):
    """The status of a sub-agent, and the questions that it waits for."""

    run_id: str
    agent_id: str
    status: SubAgentStatus
    error: str | None
    epoch: int
    tickets: NotRequired[list[TicketReport]]


def report(sub_agent: SubAgent) -> SubAgentReport:
    """Return the report on a sub-agent."""
    answer = SubAgentReport(
        run_id=sub_agent.run_id,
        agent_id=sub_agent.agent,
        status=sub_agent.status,
        error=sub_agent.error,
        epoch=sub_agent.epoch,
    )
    if tickets := _tickets(sub_agent):
        answer["tickets"] = tickets
    return answer


def _tickets(sub_agent: SubAgent) -> list[TicketReport]:
    return [
        TicketReport(ticket=call.suspension.ticket, tool=call.name, message=call.suspension.message)
        for call in sub_agent.pending
        if call.suspension
    ]


def report_result(sub_agent: SubAgent, actions: Sequence[StateAction] = (), **more: JsonValue) -> ToolResult:
    """Return a tool's answer with the report. An end or a wait counts as reported from then on.

    The model has no use for the epoch, so the answer leaves it out.
    """
    answer = {key: value for key, value in report(sub_agent).items() if key != "epoch"}
    is_running = sub_agent.status == "running"
    reported = [] if is_running else [ReportSubAgents(epochs={sub_agent.run_id: sub_agent.epoch})]
    return ToolResult(answer | more, [*actions, *reported])
