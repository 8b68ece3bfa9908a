"""The tool agent_run: starts a sub-agent, or inspects or resumes one that was started before."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

from pydantic import Field, JsonValue

from ...reducers.reduce import StateAction
from ...reducers.run import waits_for_process
from ...reducers.sub_agent import StartSubAgent, SubAgentRef
from ...store.errors import RunError
from ..agents import Tool, ToolContext, ToolResult
from ..events import ToolProgress
from ..runs import Run
from .delegation import Delegation, RunArguments, child_run_id, child_thread_id, tool_error
from .sub_agent_report import report_result

AGENT_ID = "The id of the agent to run, from available_agents."
PROMPT = "The task, written as a user would."
KNOWN_RUN = "Instead of agent_id: a run to inspect, or to resume if it is stopped."
FORK_CONTEXT = "Give the agent a copy of this conversation and state."
BACKGROUND = "Return at once, without waiting for the run."


def agent_run_tool(delegation: Delegation) -> Tool:
    """Return the tool. It may be repeated after a crash: it finds the run that it started."""
    return Tool(_agent_run(delegation), idempotent=True, announces=partial(_announce_run, delegation))


def _announce_run(
    delegation: Delegation, context: ToolContext, arguments: JsonValue
) -> Sequence[StateAction]:
    """Return the action that records the sub-agent in the state before agent_run starts it."""
    assert isinstance(arguments, dict)
    parsed = RunArguments.parse(arguments)
    if parsed.run_id or delegation.refusal(parsed):
        return ()
    ref = _first_ref(context, parsed.agent_id)
    return [StartSubAgent(run_id=child_run_id(context), **ref.model_dump())]


def _agent_run(delegation: Delegation) -> Callable[..., Awaitable[ToolResult]]:
    async def agent_run(
        context: ToolContext,
        agent_id: Annotated[str | None, Field(description=AGENT_ID)] = None,
        prompt: Annotated[str | None, Field(description=PROMPT)] = None,
        run_id: Annotated[str | None, Field(description=KNOWN_RUN)] = None,
        fork_context: Annotated[bool, Field(description=FORK_CONTEXT)] = False,
        background: Annotated[bool, Field(description=BACKGROUND)] = False,
    ) -> ToolResult:
        """Run another agent on a task. With run_id, inspect a run, or resume it if it is stopped."""
        texts: dict[str, JsonValue] = {"agent_id": agent_id, "prompt": prompt, "run_id": run_id}
        arguments = RunArguments.parse(texts | {"fork_context": fork_context, "background": background})
        try:
            if arguments.run_id:
                return await _inspect_or_resume(delegation, context, arguments)
            return await _start(delegation, context, arguments)
        except RunError as err:
            raise tool_error("invalid_state", str(err)) from err

    return agent_run


async def _start(delegation: Delegation, context: ToolContext, arguments: RunArguments) -> ToolResult:
    if problem := delegation.refusal(arguments):
        raise problem
    run = await delegation.start(context, child_run_id(context), arguments)
    if not arguments.background:
        await _follow(context, run)
    return report_result(delegation.sub_agent(run.run_id, _first_ref(context, arguments.agent_id)))


def _first_ref(context: ToolContext, agent_id: str) -> SubAgentRef:
    """Return the reference to a sub-agent in its first epoch."""
    thread_id = child_thread_id(child_run_id(context))
    return SubAgentRef(agent_id=agent_id, thread_id=thread_id, parent_run_id=context.run_id, epoch=1)


async def _inspect_or_resume(
    delegation: Delegation, context: ToolContext, arguments: RunArguments
) -> ToolResult:
    run_id = arguments.run_id
    ref = delegation.ref(context, run_id)
    known = delegation.sub_agent(run_id, ref)
    if known.status != "stopped":
        return report_result(known)
    run = await delegation.resume(context, ref, arguments)
    epoch = delegation.sub_agent(run_id, ref).epoch
    resumed = ref.model_copy(update={"parent_run_id": context.run_id, "epoch": epoch})
    if not arguments.background:
        await _follow(context, run)
    started = StartSubAgent(run_id=run_id, **resumed.model_dump())
    return report_result(delegation.sub_agent(run_id, resumed), [started])


async def _follow(context: ToolContext, run: Run) -> None:
    """Relay tool progress until the run finishes or waits for a person.

    A run whose process died is followed until another process has resumed and finished it.
    """
    is_unsettled = True
    while is_unsettled:
        async for event in run:
            if isinstance(event, ToolProgress):
                context.progress({"run_id": run.run_id, "tool": event.name, "progress": event.progress})
        is_unsettled = waits_for_process((await run.result()).termination)
