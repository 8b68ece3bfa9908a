"""The tools with which an agent has others work for it: agent_run, agent_stop, agent_output.

    agent_run -> the sub-agent is in the state, durable -> its run begins, on a thread of its own

A sub-agent's run has an id made from the call that wants it: the same call, made again after a crash, finds
the same run. A run belongs to the thread from which it was started; of others nothing is known there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, JsonValue

from ...reducers.reduce import StateAction
from ...reducers.run import goes_on_by_itself
from ...reducers.sub_agent import SUB_AGENTS, SubAgentRef, SubAgents, SubAgentStarted, SubAgentsTold
from ...store.changeset import Message, ThreadFacts
from ...store.errors import NotFound, RunError
from ..agents import Registry, RemoteAgent, Tool, ToolContext, ToolError, ToolResult
from ..commit import named_id
from ..events import ToolProgress
from ..runs import Run, Runs, SubAgent, sub_agent
from .inherited_context import forked_messages, forked_state, seeded_state

AGENT_RUN, AGENT_STOP, AGENT_OUTPUT = "agent_run", "agent_stop", "agent_output"
STOPPED_BY_OWNER = "stopped by owner request"

AGENT_ID = "Who is to work: an id of available_agents."
KNOWN_RUN = "In place of agent_id: a run to look at, or to let go on if it is stopped."
RUN_ID = "The run_id that agent_run has given."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call of agent_run asks for; blank texts are as good as none."""

    agent_id: str
    prompt: str
    run_id: str
    fork_context: bool
    background: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Wanted":
        agent_id, prompt, run_id = (
            str(arguments.get(name) or "").strip() for name in ("agent_id", "prompt", "run_id")
        )
        forks, stays = (arguments.get(name) is True for name in ("fork_context", "background"))
        return cls(agent_id, prompt, run_id, forks, stays)


class Delegation:
    """What the tools of one agent may do: with which agents, in which runtime."""

    def __init__(self, targets: Mapping[str, str], registry: Registry, runs: Runs | None) -> None:
        """`targets` are the agents that it may have work for it, with what they are good for.

        Without `runs` no tool can be called: as in a replay, where none is.
        """
        self.targets = targets
        self._registry = registry
        self._runs = runs

    @property
    def runs(self) -> Runs:
        assert self._runs, "nothing is started in a replay"
        return self._runs

    def refusal(self, wanted: Wanted) -> ToolError | None:
        """Why no new run can be started; None if it can."""
        if not wanted.agent_id:
            return refused("invalid_arguments", "missing 'agent_id'")
        if not wanted.prompt:
            return refused("invalid_arguments", "missing 'prompt'")
        if wanted.agent_id not in self.targets:
            return refused("unknown_agent", f"Unknown or unavailable agent_id: {wanted.agent_id}")
        if wanted.fork_context and self.is_remote(wanted.agent_id):
            return refused("invalid_arguments", "fork_context is only supported for hosted local agents")
        return None

    def is_remote(self, agent_id: str) -> bool:
        """Whether an agent works on another machine."""
        return agent_id in self._registry and isinstance(self._registry.agent(agent_id), RemoteAgent)

    def ref(self, context: ToolContext, run_id: str) -> SubAgentRef:
        """Where a sub-agent of the caller's thread is.

        Raises:
            ToolError: the thread has none of that id, whoever else may have.
        """
        known = SubAgents.model_validate(context.read(SUB_AGENTS, {})).runs
        if run_id not in known:
            raise refused("unknown_run", f"Unknown run_id: {run_id}")
        return known[run_id]

    async def start(self, context: ToolContext, run_id: str, wanted: Wanted) -> Run:
        """Start a sub-agent's run on its own thread; the run that was started before, if it was.

        Raises:
            RunError: the caller is being cancelled, or there is no such agent any more.
        """
        prompt = Message(id=f"{run_id}:prompt", role="user", content=wanted.prompt, run_id=run_id)
        messages: Sequence[Message] = [prompt]
        state: Mapping[str, JsonValue] = {} if self.is_remote(wanted.agent_id) else seeded_state(context)
        if wanted.fork_context:
            messages, state = [*forked_messages(context.messages()), prompt], forked_state(context)
        return await self.runs.start(
            wanted.agent_id,
            messages,
            thread=thread_of(run_id),
            facts=ThreadFacts(parent=context.thread_id),
            parent=context.run_id,
            state=state,
            id=run_id,
        )

    async def go_on(self, context: ToolContext, run_id: str, ref: SubAgentRef, wanted: Wanted) -> Run:
        """Let a sub-agent that was stopped go on, in its next epoch.

        Raises:
            ToolError: the caller may not use its agent, or it never began and there is no prompt.
            RunError: it goes on or waits already, or the caller is being cancelled.
        """
        again = Wanted(ref.agent_id, wanted.prompt or "-", run_id, False, wanted.background)
        if problem := self.refusal(again):
            raise problem
        if self.is_remote(ref.agent_id):
            raise refused(
                "invalid_state",
                f"Run '{run_id}' is remote and cannot be resumed; start a new run with agent_id",
            )
        try:
            return await self.runs.resume(run_id, prompt=wanted.prompt or (), parent=context.run_id)
        except NotFound:
            if not wanted.prompt:
                raise refused("invalid_arguments", "missing 'prompt'") from None
            return await self.start(context, run_id, again)

    def view(self, run_id: str, ref: SubAgentRef) -> SubAgent:
        """How a sub-agent is now."""
        return sub_agent(self.runs.log, run_id, ref)


class AgentRun(Tool):
    """agent_run: says in the state which run it is about to start, before it does."""

    def __init__(self, delegation: Delegation) -> None:
        super().__init__(_agent_run(delegation), idempotent=True)
        self._delegation = delegation

    def announced(self, context: ToolContext, arguments: Any) -> Sequence[StateAction]:
        wanted = Wanted.of(arguments)
        if wanted.run_id or self._delegation.refusal(wanted):
            return ()
        run_id = run_of(context)
        return [
            SubAgentStarted(
                run_id=run_id,
                agent_id=wanted.agent_id,
                thread_id=thread_of(run_id),
                parent_run_id=context.run_id,
            )
        ]


def delegation_tools(delegation: Delegation) -> tuple[Tool, ...]:
    """The tools of an agent that has others."""
    stop = Tool(_agent_stop(delegation), idempotent=True)
    return AgentRun(delegation), stop, Tool(_agent_output(delegation), idempotent=True)


def run_of(context: ToolContext) -> str:
    """The run that a call of agent_run starts: the same whenever the call is made again."""
    return named_id("sub-agent", context.idempotency_key)


def thread_of(run_id: str) -> str:
    """The thread of a sub-agent's run."""
    return f"sub-agent-{run_id}"


def refused(code: str, problem: str) -> ToolError:
    """A refusal with a code that a model, or whoever reads the log, can tell from others."""
    return ToolError(f"[{code}] {problem}")


def _agent_run(delegation: Delegation) -> Any:
    async def agent_run(
        context: ToolContext,
        agent_id: Annotated[str | None, Field(description=AGENT_ID)] = None,
        prompt: Annotated[str | None, Field(description="The task, in the words of a user.")] = None,
        run_id: Annotated[str | None, Field(description=KNOWN_RUN)] = None,
        fork_context: Annotated[bool, Field(description="Whether it is to know this conversation.")] = False,
        background: Annotated[bool, Field(description="Whether not to wait for its end.")] = False,
    ) -> ToolResult:
        """Have another agent work on a task, on its own; or look at a run, or let a stopped one go on."""
        given = {"agent_id": agent_id, "prompt": prompt, "run_id": run_id}
        wanted = Wanted.of(given | {"fork_context": fork_context, "background": background})
        try:
            if wanted.run_id:
                return await _looked_at(delegation, context, wanted)
            return await _started(delegation, context, wanted)
        except RunError as err:
            raise refused("invalid_state", str(err)) from err

    return agent_run


async def _started(delegation: Delegation, context: ToolContext, wanted: Wanted) -> ToolResult:
    if problem := delegation.refusal(wanted):
        raise problem
    run_id = run_of(context)
    run = await delegation.start(context, run_id, wanted)
    ref = SubAgentRef(
        agent_id=wanted.agent_id, thread_id=run.thread_id, parent_run_id=context.run_id, epoch=1
    )
    return await _followed(delegation, context, run, ref, wanted)


async def _looked_at(delegation: Delegation, context: ToolContext, wanted: Wanted) -> ToolResult:
    ref = delegation.ref(context, wanted.run_id)
    found = delegation.view(wanted.run_id, ref)
    if found.status != "stopped":
        return _result(found)
    run = await delegation.go_on(context, wanted.run_id, ref, wanted)
    epoch = delegation.view(wanted.run_id, ref).epoch
    again = ref.model_copy(update={"parent_run_id": context.run_id, "epoch": epoch})
    started = SubAgentStarted(run_id=wanted.run_id, **again.model_dump())
    return await _followed(delegation, context, run, again, wanted, [started])


async def _followed(
    delegation: Delegation,
    context: ToolContext,
    run: Run,
    ref: SubAgentRef,
    wanted: Wanted,
    actions: Sequence[StateAction] = (),
) -> ToolResult:
    if not wanted.background:
        await _at_rest(context, run)
    return _result(delegation.view(run.run_id, ref), actions)


async def _at_rest(context: ToolContext, run: Run) -> None:
    """Return when a run is over or waits for a person; one whose process died goes on before."""
    is_going_on = True
    while is_going_on:
        async for event in run:
            if isinstance(event, ToolProgress):
                context.progress({"run_id": run.run_id, "tool": event.name, "progress": event.progress})
        is_going_on = goes_on_by_itself((await run.result()).termination)


def _agent_stop(delegation: Delegation) -> Any:
    async def agent_stop(
        context: ToolContext, run_id: Annotated[str, Field(description=RUN_ID)]
    ) -> ToolResult:
        """Stop a run of another agent, and all that it has started."""
        id = _given(run_id)
        ref = delegation.ref(context, id)
        is_stopped = await delegation.runs.stop(id, by=context.run_id, reason=STOPPED_BY_OWNER)
        found = delegation.view(id, ref)
        if not is_stopped:
            raise refused("invalid_state", f"Run '{id}' is not running (current status: {found.status})")
        return _result(found)

    return agent_stop


def _agent_output(delegation: Delegation) -> Any:
    async def agent_output(
        context: ToolContext, run_id: Annotated[str, Field(description=RUN_ID)]
    ) -> ToolResult:
        """Read how a run of another agent is, and what it has answered so far."""
        id = _given(run_id)
        found = delegation.view(id, delegation.ref(context, id))
        return _result(found, output=delegation.runs.output(id) if found.epoch else None)

    return agent_output


def _given(run_id: str) -> str:
    if not run_id.strip():
        raise refused("invalid_arguments", "missing 'run_id'")
    return run_id.strip()


def _result(found: SubAgent, actions: Sequence[StateAction] = (), **more: JsonValue) -> ToolResult:
    """What the model is told of a sub-agent; that it has ended, or waits, counts as told then."""
    told = [] if found.status == "running" else [SubAgentsTold(epochs={found.run_id: found.epoch})]
    answer = told_of(found)
    del answer["epoch"]
    return ToolResult(answer | more, [*actions, *told])


def told_of(found: SubAgent) -> dict[str, Any]:
    """How a sub-agent is, as JSON."""
    tickets = [
        {"ticket": call.suspension.ticket, "tool": call.name, "message": call.suspension.message}
        for call in found.pending
        if call.suspension
    ]
    return {
        "run_id": found.run_id,
        "agent_id": found.agent,
        "status": found.status,
        "error": found.error,
        "epoch": found.epoch,
    } | ({"tickets": tickets} if tickets else {})
