"""The runtime: an open log, the agents registered on it, and the runs executed in this process.

    async with Runtime.open("trips.db", agents=[planner]) as runtime:
        run = await runtime.start("planner", "Three days in Kyoto", thread="trip-1")
        async for event in run:
            ...
        result = await run.result()

Scripts and notebooks: `with Runtime.open(...) as runtime: runtime.run_sync("planner", "...")`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from types import MappingProxyType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import JsonValue

from ..reducers.tool_call import ToolCallState
from ..store.changeset import Message, RunRequest, ThreadMetadata
from ..store.database import Durability
from ..store.errors import DefinitionError, RunError
from ..store.log import Log
from .agents import Registered, Registry, RemoteAgent
from .commit import Effects, SystemEffects
from .control import Decision
from .delegation import Equipment
from .events import Cursor, Event, RunResult
from .remote import discover
from .runs import ActiveRun, IfActive, NewRun, OrphanPolicy, Parts, Recovered, Run, SubAgent, prompt_messages


class Runtime:
    """Runs agents on one log. Enter it with `async with`, or with `with` where there is no event loop.

    While it is open, it follows the log. Waiting runs resume here when they are decided, and queued runs
    start when their thread is free, even if another process decided or queued them. Leaving the block cancels
    the runs executed here, and the log says so. Behaviors that still await something are interrupted, except
    in a shielded cancel scope.
    """

    def __init__(
        self, log: Log, agents: Sequence[Registered], effects: Effects, orphans: OrphanPolicy = "stop"
    ) -> None:
        self.log = log
        self._parts = Parts(log, Registry(tuple(agents)), Equipment(self), effects, orphans)
        self._effects = effects
        self._agents = self._parts.environment.agents
        self._queries = self._parts.queries
        self._threads = ExitStack()
        self._portal: BlockingPortal | None = None

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        agents: Sequence[Registered],
        durability: Durability = "full",
        effects: Effects | None = None,
        orphans: OrphanPolicy = "stop",
    ) -> Self:
        """Open the log at `path`, and create it if it does not exist.

        `orphans` says what happens to runs whose process died, when the block is entered and when one of them
        occupies the thread of a new run: they are stopped (`stop`), wait for a person (`ask`), continue in
        their next epoch if their agents are registered here (`resume`), or are left alone (`leave`).

        Raises:
            DefinitionError: two agents have the same name.
            LogUnavailable: the file has a second hard link, or cannot be opened.
            LogError: as `Log.open`.
        """
        log = Log.open(path, durability=durability)
        try:
            return cls(log, agents, effects or SystemEffects(), orphans)
        except BaseException:
            log.close()
            raise

    @property
    def registry(self) -> Registry:
        """The agents that are registered now."""
        return self._agents.current

    async def replace(self, agents: Sequence[Registered]) -> Registry:
        """Replace all agents for runs that start from now on. Runs that have started keep theirs.

        Raises:
            DefinitionError: two agents have the same name; nothing was replaced.
            RunError: the runtime is not open.
        """
        registry = Registry(tuple(agents), self.registry.version + 1)
        await self._open.connect(registry)
        self._agents.current = registry
        return registry

    async def discover(
        self, url: str, *, name: str | None = None, token_env: str | None = None
    ) -> RemoteAgent:
        """Read the A2A agent card at `url`, and register the remote agent for runs that start from now on.

        `name` replaces the name on the card. `token_env` names the environment variable that has the bearer
        token for the agent. Discovering the same address again updates the agent.

        Raises:
            DefinitionError: there is no agent card, or another agent has the name; nothing was registered.
            RunError: the runtime is not open.
        """
        agent = await discover(url, name=name, token_env=token_env)
        known = self.registry.agent(agent.name) if agent.name in self.registry else None
        if known and not (isinstance(known, RemoteAgent) and known.url == agent.url):
            raise DefinitionError(f"another agent has the name {agent.name!r}: choose one with `name=`")
        await self.replace([*(each for each in self.registry.agents if each is not known), agent])
        return agent

    async def start(
        self,
        agent: str,
        prompt: str | Sequence[Message],
        *,
        thread: str | None = None,
        metadata: ThreadMetadata | None = None,
        parent: str | None = None,
        if_active: IfActive = "reject",
        id: str | None = None,
        state: Mapping[str, JsonValue] = MappingProxyType({}),
    ) -> Run:
        """Start a run, and return its handle. The start is durable on return; the run continues by itself.

        A new `thread` is created; without one, the run gets a thread of its own. `metadata` is set on the
        thread, and the keys of `state` at the root of the thread's state.

        A thread has one active run at a time. `if_active` says whether the new run is rejected, supersedes
        the active one, or is queued. An active run whose process died is recovered first, as `orphans` says.

        `parent` is the run that starts this one. Cancelling the parent also cancels this run, which uses the
        agents that were registered when the parent started. With an `id`, any process can safely repeat the
        call: it returns the run that has this id.

        Raises:
            ThreadAlreadyRunning: another run is active on the thread, and `if_active` is `reject`.
            RunOver: the parent is finished or cancelled.
            NotFound: there is no such parent.
            RunError: there is no such agent, the thread's name is reserved, another run has the id, or the
                runtime is not open.
            ActionError: a key of the state is reserved. Nothing was written.
            ContentError: a message or the state cannot be stored. Nothing was written.
        """
        thread_id = thread or self._effects.new_id()
        run_id = id or self._effects.new_id()
        request = RunRequest(
            agent=agent,
            thread_id=thread_id,
            messages=prompt_messages(prompt, f"{run_id}:prompt", run_id),
            metadata=metadata,
            parent_run_id=parent,
            state=dict(state),
        )
        new = NewRun(run_id, request, has_chosen_id=id is not None, has_chosen_thread=thread is not None)
        return await self._open.starter.start(new, if_active)

    def run_sync(
        self, agent: str, prompt: str | Sequence[Message], *, thread: str | None = None
    ) -> RunResult:
        """Start a run and wait for its result. For a runtime that was entered with `with`.

        Raises:
            RunError, LogError: as `start` and `Run.result`.
        """
        if self._portal is None:
            raise RunError("the runtime is not open: use it inside `with Runtime.open(...)`")

        async def run_to_end() -> RunResult:
            return await (await self.start(agent, prompt, thread=thread)).result()

        return self._portal.call(run_to_end)

    async def resume(
        self,
        run_id: str,
        decisions: Sequence[Decision] = (),
        *,
        prompt: str | Sequence[Message] = (),
        parent: str | None = None,
    ) -> Run:
        """Resume a run that waits, was stopped or was cancelled, in its next epoch. Durable on return.

        A waiting run takes `decisions`, as in `decide`. A stopped or cancelled run takes a `prompt`, or
        continues without one. `parent` replaces the run that started it.

        Raises:
            NotFound: there is no such run.
            RunOver: the parent is finished or cancelled.
            RunError: the run neither waits nor was stopped or cancelled; the decisions or the prompt do not
                fit; its agent is not registered here; its thread has a running or a later run; or another
                process has resumed it at the same time.
        """
        return await self._open.commands.resume(run_id, decisions, prompt, parent)

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run:
        """Decide suspended tool calls of a run, all or none. The decisions are durable on return.

        A waiting run resumes: here if its agent is registered, otherwise in a process that has the agent. A
        running run applies the decisions at its next step, and keeps a decision whose call is not suspended
        yet. Repeating a decision is a no-op. If this raises, nothing was written.

        Raises:
            NotFound: there is no such run.
            RunOver: the run is finished.
            RunError: the waiting run has no such call, or the call was decided differently.
            ContentError: a decision cannot be stored.
        """
        return await self._open.commands.decide(run_id, decisions)

    async def steer(self, run_id: str, text: str, *, by: str | None = None, id: str | None = None) -> None:
        """Send a message to a run. It is durable on return, and the model reads it at its next step.

        A run that was about to finish takes another step; a waiting run resumes. With an `id`, the call can
        be repeated safely.

        Raises:
            NotFound: there is no such run.
            RunOver: the run is finished.
            RunError: the id was used for a different command.
            ContentError: the text cannot be stored.
        """
        await self._open.commands.steer(run_id, text, by, id)

    async def cancel(
        self, run_id: str, *, wait: bool = False, by: str | None = None, reason: str | None = None
    ) -> bool:
        """Cancel a run and all its descendants, even below a finished run. False if all were finished.

        The commands are durable on return. By then waiting and queued runs are finished; running ones finish
        as soon as they can, in any process. With `wait`, this returns when all their ends are durable. A
        second call also interrupts behaviors that still handle the first one.

        Raises:
            NotFound: there is no such run.
        """
        return await self._open.cancelling.cancel(run_id, by, reason, wait=wait)

    async def recover(self, run_id: str | None = None, *, force: bool = False) -> list[Recovered]:
        """Recover the runs whose process died, or one of them, as `orphans` says. Durable on return.

        Return the runs that were recovered. If `orphans` is `leave`, they are stopped. `force` takes over a
        run from a live, possibly suspended, process, which can then append nothing more to it.

        Raises:
            NotFound: there is no such run.
            RunError: a live process executes the run, and `force` is not set.
        """
        recovery = self._open.recovery
        return await (recovery.recover_all() if run_id is None else recovery.recover_one(run_id, force=force))

    def get_run(self, run_id: str) -> Run:
        """Return the handle of a run, in whichever process it is executed.

        Raises:
            NotFound: there is no such run.
            RunError: the runtime was never open.
        """
        self._parts.require_entered()
        return self._queries.get_run(run_id)

    def active_runs(self, thread: str | None = None) -> list[ActiveRun]:
        """Return the unfinished runs of a thread, or of the whole log: started ones, then queued ones."""
        return self._queries.active_runs(thread)

    def pending(self, run_id: str | None = None) -> list[ToolCallState]:
        """Return the tool calls of one run, or of all runs, that wait for a person, with their tickets.

        Raises:
            NotFound: there is no such run.
        """
        return self._queries.pending(run_id)

    def sub_agents(self, thread: str) -> list[SubAgent]:
        """Return the sub-agents that were started from a thread, by run id, with their current status.

        Raises:
            NotFound: there is no such thread.
        """
        return self._queries.sub_agents(thread)

    def output(self, run_id: str) -> JsonValue:
        """Return the output of a run, as JSON. Until it has one, that is the text of its latest answer.

        Raises:
            NotFound: there is no such run, or it has not started.
        """
        return self._queries.output(run_id)

    def subscribe(self, run_id: str, after: tuple[int, int] | None = None) -> AsyncIterator[Event]:
        """Iterate over the events of a run through all its epochs, in whichever process it is executed.

        `after` is the cursor of the last durable event that the subscriber has seen; without it, iteration
        begins with the first event. Every durable event arrives once and in order. Events of a run executed
        in another process arrive up to 0.1 seconds late, and only durable ones.

        The run never waits for a slow subscriber. A subscriber can leave the loop at any point, and need not
        close anything. Iteration ends when the run is finished or the runtime is closed.

        Raises:
            NotFound: there is no such run, or it has not started.
            RunError: the runtime was never open.
        """
        self._parts.require_entered()
        return self._queries.subscribe(run_id, Cursor(*after) if after else None)

    def state(self, thread: str, at: int | None = None) -> Any:
        """Return the state of a thread, at a version or at its head.

        Raises:
            NotFound: there is no such thread, or it has no such version.
        """
        return self._queries.state(thread, at)

    def messages(self, thread: str) -> tuple[Message, ...]:
        """Return the conversation of a thread; empty if there is no such thread."""
        return self._queries.messages(thread)

    @property
    def _open(self) -> Parts:
        """Return the parts, for methods that need an open runtime. Raises `RunError` if it is not."""
        self._parts.environment.tasks.require_open()
        return self._parts

    async def __aenter__(self) -> Self:
        await self._parts.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.__aexit__()

    def __enter__(self) -> Self:
        self._portal = self._threads.enter_context(start_blocking_portal())
        self._threads.enter_context(self._portal.wrap_async_context_manager(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()

    def __repr__(self) -> str:
        active = len(self._parts.environment.executions.active())
        return f"<Runtime of {str(self.log.path)!r}: {active} runs executed here>"
