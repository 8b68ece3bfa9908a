"""The rules of delegation: which agents an agent may run, and how it starts, resumes and finds sub-agents.

    agent_run -> the sub-agent is in the state, durable -> its run starts, on a thread of its own

The run id of a sub-agent is derived from the tool call that starts it. A call that is repeated after a crash
finds the same run. A sub-agent belongs to the thread it was started from; other threads do not know it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from ...reducers.sub_agent import SUB_AGENTS, SubAgentRef, SubAgents
from ...store.changeset import Message, ThreadMetadata
from ...store.errors import NotFound
from ..agents import Registry, RemoteAgent, ToolContext, ToolError
from ..commit import named_id
from ..runs import Run, RunService, SubAgent, sub_agent
from .inherited_context import fork_messages, fork_state, initial_state


@dataclass(frozen=True, slots=True)
class RunArguments:
    """The arguments of an agent_run call. A blank text counts as missing."""

    agent_id: str
    prompt: str
    run_id: str
    fork_context: bool
    background: bool

    @classmethod
    def parse(cls, arguments: Mapping[str, JsonValue]) -> "RunArguments":
        """Return the arguments that a model gave; the tool's schema has accepted them."""
        agent_id, prompt, run_id = (
            str(arguments.get(name) or "").strip() for name in ("agent_id", "prompt", "run_id")
        )
        fork_context, background = (arguments.get(name) is True for name in ("fork_context", "background"))
        return cls(agent_id, prompt, run_id, fork_context, background)


class Delegation:
    """What the delegation tools of one agent can do: the agents that it may run, and the runtime for them."""

    def __init__(self, targets: Mapping[str, str], registry: Registry, runs: RunService | None) -> None:
        """`targets` maps the agents that it may run to their descriptions.

        `runs` is None in a replay, where no tool is called.
        """
        self.targets = targets
        self._registry = registry
        self._runs = runs

    @property
    def runs(self) -> RunService:
        assert self._runs, "a replay starts no runs"
        return self._runs

    def refusal(self, arguments: RunArguments) -> ToolError | None:
        """Return why no new run can be started; None if it can."""
        if not arguments.agent_id:
            return tool_error("invalid_arguments", "missing 'agent_id'")
        if not arguments.prompt:
            return tool_error("invalid_arguments", "missing 'prompt'")
        if arguments.agent_id not in self.targets:
            return _unknown_agent(arguments.agent_id)
        if arguments.fork_context and self.is_remote(arguments.agent_id):
            return tool_error("invalid_arguments", "fork_context is only supported for hosted local agents")
        return None

    def is_remote(self, agent_id: str) -> bool:
        """Return whether an agent runs on another machine."""
        return agent_id in self._registry and isinstance(self._registry.agent(agent_id), RemoteAgent)

    def ref(self, context: ToolContext, run_id: str) -> SubAgentRef:
        """Return the reference to a sub-agent of the caller's thread.

        Raises:
            ToolError: the thread has no such sub-agent, although another thread may have it.
        """
        known = SubAgents.model_validate(context.read(SUB_AGENTS, {})).runs
        if run_id not in known:
            raise tool_error("unknown_run", f"Unknown run_id: {run_id}")
        return known[run_id]

    def sub_agent(self, run_id: str, ref: SubAgentRef) -> SubAgent:
        """Return a sub-agent with its current status."""
        return sub_agent(self.runs.log, run_id, ref)

    async def start(self, context: ToolContext, run_id: str, arguments: RunArguments) -> Run:
        """Start a sub-agent on a thread of its own. A run that was started before is returned as it is.

        Raises:
            RunError: the caller is being cancelled, or the agent is no longer registered.
        """
        messages, state = self._initial_context(context, run_id, arguments)
        return await self.runs.start(
            arguments.agent_id,
            messages,
            thread=child_thread_id(run_id),
            metadata=ThreadMetadata(parent=context.thread_id),
            parent=context.run_id,
            state=state,
            id=run_id,
        )

    def _initial_context(
        self, context: ToolContext, run_id: str, arguments: RunArguments
    ) -> tuple[Sequence[Message], Mapping[str, JsonValue]]:
        """Return the messages and the state that a sub-agent starts with."""
        prompt = Message(id=f"{run_id}:prompt", role="user", content=arguments.prompt, run_id=run_id)
        if arguments.fork_context:
            return [*fork_messages(context.messages()), prompt], fork_state(context)
        return [prompt], {} if self.is_remote(arguments.agent_id) else initial_state(context)

    async def resume(self, context: ToolContext, ref: SubAgentRef, arguments: RunArguments) -> Run:
        """Resume a stopped sub-agent in its next epoch; start it if it has never started.

        Raises:
            ToolError: the caller may not run its agent, the agent is remote, or the prompt is missing.
            RunError: it runs or waits already, or the caller is being cancelled.
        """
        self._check_resumable(ref, arguments.run_id)
        try:
            return await self.runs.resume(
                arguments.run_id, prompt=arguments.prompt or (), parent=context.run_id
            )
        except NotFound:
            if not arguments.prompt:
                raise tool_error("invalid_arguments", "missing 'prompt'") from None
            start = replace(arguments, agent_id=ref.agent_id, fork_context=False)
            return await self.start(context, arguments.run_id, start)

    def _check_resumable(self, ref: SubAgentRef, run_id: str) -> None:
        if ref.agent_id not in self.targets:
            raise _unknown_agent(ref.agent_id)
        if self.is_remote(ref.agent_id):
            raise tool_error(
                "invalid_state",
                f"Run '{run_id}' is remote and cannot be resumed; start a new run with agent_id",
            )


def child_run_id(context: ToolContext) -> str:
    """Return the id of the run that an agent_run call starts: the same each time the call is made."""
    return named_id("sub-agent", context.idempotency_key)


def child_thread_id(run_id: str) -> str:
    """Return the id of the thread on which a sub-agent runs."""
    return f"sub-agent-{run_id}"


def tool_error(code: str, problem: str) -> ToolError:
    """Return an error with a code that models and readers of the log can tell apart."""
    return ToolError(f"[{code}] {problem}")


def _unknown_agent(agent_id: str) -> ToolError:
    return tool_error("unknown_agent", f"Unknown or unavailable agent_id: {agent_id}")
