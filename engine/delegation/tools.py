"""The delegation tools of an agent: agent_run, and agent_stop and agent_output for the runs it started."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field

from ..agents import Tool, ToolContext, ToolResult
from .agent_run import agent_run_tool
from .delegation import Delegation, tool_error
from .sub_agent_report import report_result

STOPPED_BY_OWNER = "stopped by owner request"
RUN_ID = "The run_id that agent_run returned."


def delegation_tools(delegation: Delegation) -> tuple[Tool, ...]:
    """Return the tools with which an agent delegates."""
    stop = Tool(_agent_stop(delegation), idempotent=True)
    return agent_run_tool(delegation), stop, Tool(_agent_output(delegation), idempotent=True)


def _agent_stop(delegation: Delegation) -> Callable[..., Awaitable[ToolResult]]:
    async def agent_stop(
        context: ToolContext, run_id: Annotated[str, Field(description=RUN_ID)]
    ) -> ToolResult:
        """Stop a run that agent_run started, and all runs that it started."""
        id = _require_run_id(run_id)
        ref = delegation.ref(context, id)
        is_stopped = await delegation.runs.cancel(id, wait=True, by=context.run_id, reason=STOPPED_BY_OWNER)
        sub_agent = delegation.sub_agent(id, ref)
        if not is_stopped:
            problem = f"Run '{id}' is not running (current status: {sub_agent.status})"
            raise tool_error("invalid_state", problem)
        return report_result(sub_agent)

    return agent_stop


def _agent_output(delegation: Delegation) -> Callable[..., Awaitable[ToolResult]]:
    async def agent_output(
        context: ToolContext, run_id: Annotated[str, Field(description=RUN_ID)]
    ) -> ToolResult:
        """Read the status and the latest answer of a run that agent_run started."""
        id = _require_run_id(run_id)
        sub_agent = delegation.sub_agent(id, delegation.ref(context, id))
        return report_result(sub_agent, output=delegation.runs.output(id) if sub_agent.epoch else None)

    return agent_output


def _require_run_id(run_id: str) -> str:
    if not run_id.strip():
        raise tool_error("invalid_arguments", "missing 'run_id'")
    return run_id.strip()
