"""The runtime: an open log, the agents that may run on it, and the runs that are executed here.

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
    """Runs agents on one log. Open it with `async with`, or with `with` where there is no event loop.

    While it is open it follows the log: waiting runs resume here when they are decided, and queued ones
    start when it is their turn, whichever process asked. Leaving the block cancels the runs that are executed
    here, and the log says so. Nothing is waited for then: a behavior that must await something even so does
    it in a shielded scope of its own.
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
        """Open the log at `path`; it is created if it does not exist.

        `orphans` says what becomes of runs whose process died, when the block is entered and when one of them
        has the thread of a run that is to start: they are stopped, a person is asked about each, they resume
        in their next epoch (those whose agents are registered here), or they are left alone.

        Raises:
            DefinitionError: two agents have the same name.
            LogUnavailable: the file has a second hard link; as `Log.open`, like the other errors of a log.
        """
        log = Log.open(path, durability=durability)
        try:
            return cls(log, agents, effects or SystemEffects(), orphans)
        except BaseException:
            log.close()
            raise

    @property
    def registry(self) -> Registry:
        """The agents that a run starts with if it starts now."""
        return self._agents.current

    async def replace(self, agents: Sequence[Registered]) -> Registry:
        """Replace all agents at once, for the runs that start from now on. Others keep theirs.

        Raises:
            DefinitionError: two agents have the same name; nothing is replaced.
        """
        registry = Registry(tuple(agents), self.registry.version + 1)
        await self._open.connect(registry)
        self._agents.current = registry
        return registry

    async def discover(
        self, url: str, *, name: str | None = None, token_env: str | None = None
    ) -> RemoteAgent:
        """Read the agent card at an address, and register the agent for the runs that start from now on.

        Its name is the one on the card, unless `name` is given. `token_env` is the environment variable with
        the bearer token for it. Discovering it again updates it.

        Raises:
            DefinitionError: there is no agent card, or another agent has the name; nothing is registered.
        """
        agent = await discover(url, name=name, token_env=token_env)
        known = self.registry.agent(agent.name) if agent.name in self.registry else None
        if known and not (isinstance(known, RemoteAgent) and known.url == agent.url):
            raise DefinitionError(f"another agent is called {agent.name!r}: discover this one with `name=`")
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
        """Start a run: it is in the log when this returns, and continues by itself.

        `thread` is created if it is new; without it the run gets a thread of its own. `parent` is the run
        that starts it: cancelling that one cancels this one, too, and the agents are those that were
        registered when that one began. `state` is set at the root of the thread's state, key by key. With an
        `id` for the run the call may be repeated, by any process: the run of that id is started once.

        A thread has one active run. If it has one already, the new run is rejected, supersedes it, or is
        queued. One whose process died is recovered first, as the runtime's `orphans` says.

        Raises:
            ThreadAlreadyRunning: another run is active on this thread, and `if_active` is `reject`.
            RunOver: the parent is finished or cancelled.
            NotFound: there is no such parent.
            RunError: there is no such agent, the thread's name is reserved, the id is another run's, or the
                runtime is not open.
            ActionError: a key of the state is reserved.
            ContentError: a message, or the state, cannot be stored; nothing was written.
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
        asked = NewRun(run_id, request, is_repeatable=id is not None, is_anywhere=thread is None)
        return await self._open.starter.start(asked, if_active)

    def run_sync(
        self, agent: str, prompt: str | Sequence[Message], *, thread: str | None = None
    ) -> RunResult:
        """Start a run and wait for its end, in a `with` block and from outside any event loop.

        Raises:
            RunError, LogError: as `start` and `Run.result`.
        """
        if self._portal is None:
            raise RunError("the runtime is not open in a `with` block: enter it first")

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
        """Resume a run that waits, or was stopped or cancelled, in its next epoch; any process may.

        One that waits resumes with the `decisions`; one that was stopped with the `prompt`, if there is one.
        `parent` is the run that resumes it, in place of the one that started it.

        Raises:
            NotFound: there is no such run.
            RunOver: the parent is finished or cancelled.
            RunError: it neither waits nor was stopped; the decisions or the prompt do not fit; its agent is
                not registered here; the thread has a later run; or another process has resumed it just now.
        """
        return await self._open.commands.resume(run_id, decisions, prompt, parent)

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run:
        """Answer suspended calls of a run, all or none: durable on return. Repeating an answer is a no-op.

        A waiting run resumes: here if its agent is registered, otherwise in a process that has it. A running
        one applies the decisions at its next step; one for a call that does not wait yet is kept until it
        does.

        Raises:
            NotFound: there is no such run.
            RunOver: it is finished.
            RunError: a waiting run has no such call, or it was answered differently.
            ContentError: a decision cannot be stored. In any case nothing was written.
        """
        return await self._open.commands.decide(run_id, decisions)

    async def steer(self, run_id: str, text: str, *, by: str | None = None, id: str | None = None) -> None:
        """Send a message to a run: durable on return, and seen by the model at its next step.

        A run that was about to end takes one more step; one that waits resumes with it. With an `id` the
        call may be repeated.

        Raises:
            NotFound: there is no such run.
            RunOver: it is finished.
            RunError: the id was used for a different command.
            ContentError: the text cannot be stored.
        """
        await self._open.commands.steer(run_id, text, by, id)

    async def cancel(
        self, run_id: str, *, wait: bool = False, by: str | None = None, reason: str | None = None
    ) -> bool:
        """Cancel a run and all its descendants, also those of a finished run. False if all had finished.

        The commands are durable on return. Waiting and queued runs are finished then; running ones finish as
        soon as they can, in any process. With `wait` this returns when the ends of all of them are durable.
        A second call also interrupts behaviors that are still handling the cancellation.

        Raises:
            NotFound: there is no such run.
        """
        return await self._open.cancelling.cancel(run_id, by, reason, wait=wait)

    async def recover(self, run_id: str | None = None, *, force: bool = False) -> list[Recovered]:
        """Recover the runs whose process died, or one of them, as `orphans` says: durable on return.

        Return those that were recovered; recovering again finds none. If orphans are left alone, this stops
        them. `force` takes a run over from a live, possibly suspended, process, which writes nothing more of
        it when it continues.

        Raises:
            NotFound: there is no such run.
            RunError: a live process executes it, and `force` is not set.
        """
        recovery = self._open.recovery
        return await (recovery.recover_all() if run_id is None else recovery.recover_one(run_id, force=force))

    def get_run(self, run_id: str) -> Run:
        """Return the handle of a run, wherever it is executed.

        Raises:
            NotFound: there is no such run.
        """
        self._parts.require_entered()
        return self._queries.get_run(run_id)

    def active_runs(self, thread: str | None = None) -> list[ActiveRun]:
        """The runs that are not finished, of a thread or of the whole log: started ones, then queued ones."""
        return self._queries.active_runs(thread)

    def pending(self, run_id: str | None = None) -> list[ToolCallState]:
        """The calls of a run, or of all, that wait for a person, each with its question and ticket.

        Raises:
            NotFound: there is no such run.
        """
        return self._queries.pending(run_id)

    def sub_agents(self, thread: str) -> list[SubAgent]:
        """The runs that the agents of a thread have started, by id, each as its own log has it now.

        Raises as `Log.state`.
        """
        return self._queries.sub_agents(thread)

    def output(self, run_id: str) -> JsonValue:
        """A run's output; what its agent said last, if it has not ended by itself.

        Raises:
            NotFound: there is no such run.
        """
        return self._queries.output(run_id)

    def subscribe(self, run_id: str, after: tuple[int, int] | None = None) -> AsyncIterator[Event]:
        """The events of a run, through all its epochs until it is done, wherever it is executed.

        `after` is the cursor of the last durable event seen: they continue after it, otherwise with the
        first. Each comes once and in order: past ones from the log, present ones as they are published if the
        run is executed here; of a run executed elsewhere they arrive 0.1 seconds later, without transient
        ones. A subscriber may be slow and may leave anywhere: the run does not wait, and nothing must be
        closed. Ends early when the runtime is closed.

        Raises:
            NotFound: there is no such run.
        """
        self._parts.require_entered()
        return self._queries.subscribe(run_id, Cursor(*after) if after else None)

    def state(self, thread: str, at: int | None = None) -> Any:
        """The state document of a thread. Raises as `Log.state`."""
        return self._queries.state(thread, at)

    def messages(self, thread: str) -> tuple[Message, ...]:
        """The conversation of a thread; none of an unknown one."""
        return self._queries.messages(thread)

    @property
    def _open(self) -> Parts:
        """The parts, for what needs the runtime to be open. Raises `RunError`."""
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
