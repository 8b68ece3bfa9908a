"""What may be wanted of runs: to start, to go on, to be decided and steered. Durable before it is done."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Literal
from weakref import WeakValueDictionary

from pydantic import JsonValue

from ...reducers.replay import replay
from ...store.changeset import CONTROL, ControlEntry, Message, RunRequest, ThreadFacts
from ...store.errors import NotFound, RunError, ThreadAlreadyRunning, ThreadlogError
from ...store.listing import RunRow
from ..agents import Registry
from ..commit import Condition, RunIdentity
from ..control import Answers, Decision, refuse_unknown
from ..loop import Start
from .cancelling import Ends
from .dispatcher import LOST_RACES
from .handle import Run
from .launcher import Launch
from .queries import ActiveRun

IfActive = Literal["reject", "supersede", "queue"]


class Runs(Ends):
    """The runs of a log, for whoever wants something of them."""

    registry: Registry
    _registries: dict[str, Registry]
    _runs: WeakValueDictionary[str, Run]

    async def start(
        self,
        agent: str,
        prompt: str | Sequence[Message],
        *,
        thread: str | None = None,
        facts: ThreadFacts | None = None,
        parent: str | None = None,
        if_active: IfActive = "reject",
        id: str | None = None,
        state: Mapping[str, JsonValue] = MappingProxyType({}),
    ) -> Run:
        """Start a run: it is in the log when this returns, and goes on by itself.

        `thread` is made if it is new; without it the run gets a thread of its own. `parent` is the run
        that wants it: to cancel that one cancels this one, too, and the agents are those that were there
        when that one began. `state` is set at the root of the thread's state, key by key. With an `id` for
        the run it may be repeated: the run of that id is started once, whoever starts it.

        A thread has one active run: where there is one, the new run is rejected, takes its place, or waits
        in the log for its turn. One whose process died is recovered first, as the runtime's `orphans` says.

        Raises:
            ThreadAlreadyRunning: a run goes on or waits on this thread, and `if_active` is `reject`.
            RunOver: the parent is over, or cancelled.
            NotFound: there is no such parent.
            RunError: there is no such agent, no thread may be called so, or the id is another run's.
            ActionError: a key of the state is threadlog's own.
            ContentError: a message, or the state, cannot be kept; nothing was written.
        """
        self._registry(parent or "").agent(agent)
        thread_id = thread or self._effects.new_id()
        if thread_id.startswith(CONTROL):
            raise RunError(f"thread names that begin with {CONTROL!r} are threadlog's own")
        run_id = id or self._effects.new_id()
        messages = _said(prompt, f"{run_id}:prompt", run_id)
        wanted = RunRequest(
            agent=agent,
            thread_id=thread_id,
            messages=messages,
            facts=facts,
            parent_run_id=parent,
            state=dict(state),
        )
        while True:
            if id and (known := await self._known(id, agent, thread)):
                return known
            if run := await self._placed(run_id, wanted, if_active, is_repeatable=id is not None):
                return run

    def run(self, run_id: str) -> Run:
        """The handle of a run of the log, wherever it goes on.

        Raises:
            NotFound: there is no such run.
        """
        self._status(run_id)
        queued = (row for row in self.log.queued() if row.run_id == run_id)
        row = self.log.run(run_id) or next(queued, None)
        return self._handle(run_id, row.thread_id if row else "", row.agent if row else None)

    async def resume(
        self,
        run_id: str,
        decisions: Sequence[Decision] = (),
        *,
        prompt: str | Sequence[Message] = (),
        parent: str | None = None,
    ) -> Run:
        """Let a run go on that waits, or was stopped or cancelled, in its next epoch, whoever started it.

        One that waits goes on with the `decisions`; one that was stopped with the `prompt`, if there is
        one. `parent` is the run that wants that, in place of the one that wanted it before.

        Raises:
            NotFound: there is no such run.
            RunOver: the parent is over, or cancelled.
            RunError: it neither waits nor was stopped, or what it is given is not for that; a decision is
                for none of its calls, its agent is not here, another run came behind it, or somebody else
                has resumed it at this moment.
        """
        row = self._row(run_id)
        self._registry(run_id).agent(row.agent or "")
        _refuse_to_resume(row, decisions, prompt)
        if decisions:
            return await self.decide(run_id, decisions)
        id = f"{run_id}:{row.epoch + 1}:prompt"
        try:
            return await self._dispatch.resume(row, _said(prompt, id, run_id), parent)
        except LOST_RACES as err:
            raise RunError(f"run {run_id!r} was resumed by somebody else at this moment") from err

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run:
        """Answer suspended calls of a run, all or none: durable on return. The same answer twice counts once.

        A run that waits goes on: on return if its agent is here, else wherever it is. One that goes on
        takes the decisions in at its next step; one for a call that does not ask yet is kept until it does.

        Raises:
            NotFound: there is no such run.
            RunOver: it is over.
            RunError: a waiting run does not ask this, or it was answered otherwise.
            ContentError: a decision cannot be kept. Whatever is raised, nothing was written.
        """
        await self._add_decisions(run_id, decisions)
        await self._dispatch.attend(run_id)
        return self.run(run_id)

    async def steer(self, run_id: str, text: str, *, by: str | None = None, id: str | None = None) -> None:
        """Say something to a run: durable on return, and seen by the model at its next step.

        A run that was about to end takes one more step; one that waits goes on with it. With an `id` it
        may be repeated.

        Raises:
            NotFound: there is no such run.
            RunOver: it is over.
            RunError: the id is taken by something else.
            ContentError: the text cannot be kept.
        """
        entry = ControlEntry(id=id or self._effects.new_id(), kind="steer", by=by, content=text)
        self._status(run_id)
        await self._dispatch.stream(run_id).add(lambda _: [entry])
        await self._dispatch.attend(run_id)

    def _registry(self, run_id: str) -> Registry:
        return self._registries.get(run_id, self.registry)

    async def _placed(
        self, run_id: str, wanted: RunRequest, if_active: IfActive, *, is_repeatable: bool
    ) -> Run | None:
        """Begin or queue a run, as its thread allows. None if that changed meanwhile."""
        if wanted.parent_run_id:
            self._status(wanted.parent_run_id)
        active = await self._active_on(wanted.thread_id)
        if active and if_active != "supersede" and await self._recovery.recover_in_the_way(active.run_id):
            return None
        if active and if_active == "reject":
            tickets = self._tickets(active)
            raise ThreadAlreadyRunning(wanted.thread_id, active.run_id, active.status, tickets)
        if active and if_active == "queue":
            return await self._queue(run_id, wanted, is_repeatable=is_repeatable)
        supersedes = if_active == "supersede"
        return await self._start(run_id, wanted, supersedes=supersedes, is_repeatable=is_repeatable)

    async def _known(self, run_id: str, agent: str, thread: str | None) -> Run | None:
        """The run of an id, if it was started before."""
        if execution := self._launcher.of(run_id):
            # It may be refused: then it never was.
            with suppress(ThreadlogError):
                await execution.run.started()
        try:
            run = self.run(run_id)
        except NotFound:
            return None
        row = self.log.run(run_id)
        if thread not in (None, run.thread_id) or (row and row.agent != agent):
            raise RunError(f"the id {run_id!r} is a run's of {row and row.agent!r} on {run.thread_id!r}")
        return run

    async def _active_on(self, thread_id: str) -> ActiveRun | None:
        """The run that has the thread, or the first in its queue."""
        execution = self._launcher.on(thread_id)
        if execution and await self._dispatch.is_going_on(execution) and not execution.is_stopped:
            return ActiveRun(execution.run.run_id, thread_id, None, "running")
        return next(iter(self.active_runs(thread_id)), None)

    def _tickets(self, active: ActiveRun) -> list[str]:
        if active.status != "waiting":
            return []
        return [call.suspension.ticket for call in self.pending(active.run_id) if call.suspension]

    async def _queue(self, run_id: str, wanted: RunRequest, *, is_repeatable: bool) -> Run:
        entry = ControlEntry(id="start", kind="start", start=wanted)
        run = self._handle(run_id, wanted.thread_id, wanted.agent)
        head = 0

        def choice(_: Sequence[ControlEntry]) -> list[ControlEntry]:
            nonlocal head
            # The head first: if somebody else begins this very run behind it, nothing is added.
            head = self.log.head(wanted.thread_id)
            return [] if self.log.run(run_id) else [entry]

        def condition() -> Condition:
            holds = self._dispatch.under(wanted.parent_run_id)
            return holds.and_head(wanted.thread_id, head) if is_repeatable else holds

        await self._dispatch.stream(run_id).add(choice, condition)
        return run

    async def _start(
        self, run_id: str, wanted: RunRequest, *, supersedes: bool, is_repeatable: bool
    ) -> Run | None:
        """Begin a run; the one that has its thread is ended with the same append. None if that changed."""
        registry = self._registry(wanted.parent_run_id or "")
        thread = replay(self.log.read(wanted.thread_id))
        # From what was read, behind which the run begins: what is listed may be newer, or older.
        busy = thread.open_run()
        if busy and not supersedes:
            return None
        old = self.log.run(busy) if busy else None
        self._registries[run_id] = registry
        identity = RunIdentity(run_id, wanted.thread_id, 1, wanted.parent_run_id)
        holds = self._dispatch.under(wanted.parent_run_id)
        launch = Launch(
            identity,
            registry.agent(wanted.agent),
            registry,
            Start(wanted.messages, wanted.facts, wanted.state),
            thread,
            # Of one that may be repeated: nobody else has queued it.
            condition=holds.and_head(identity.stream, 0) if is_repeatable else holds,
        )
        run = self._handle(run_id, wanted.thread_id, wanted.agent)
        try:
            await self._launcher.launch(self._dispatch.superseding(launch, old) if old else launch, run)
        except LOST_RACES:
            # The thread is not as it was: whoever changed it may be a run.
            return None
        if old:
            await self._superseded(old, run_id)
        return run

    async def _superseded(self, old: RunRow, by: str) -> None:
        if execution := self._launcher.of(old.run_id):
            execution.stop()
        await self._cancel_tree(old.run_id, None, f"run {by} took its place")

    async def _add_decisions(self, run_id: str, decisions: Sequence[Decision]) -> None:
        def choice(known: Sequence[ControlEntry]) -> list[ControlEntry]:
            row = self.log.run(run_id)
            answers = Answers(self.log.read_run(run_id) if row else (), known[row.control if row else 0 :])
            new = answers.new(decisions)
            if row and row.status == "waiting":
                refuse_unknown(new, self.log.state(row.thread_id), run_id)
            return [answers.entry(decision, len(known)) for decision in new]

        self._status(run_id)
        await self._dispatch.stream(run_id).add(choice)

    def _handle(self, run_id: str, thread_id: str, agent: str | None) -> Run:
        """The one handle of a run, as long as somebody holds it."""
        found = self._runs.get(run_id)
        if found is None:
            registry = self._registry(run_id)
            output_type = registry.agent(agent).output_type if agent and agent in registry else None
            found = self._runs[run_id] = Run(run_id, thread_id, self._streams, output_type)
        return found

    def _is_beginning(self, run_id: str) -> bool:
        return self._launcher.of(run_id) is not None


def _said(prompt: str | Sequence[Message], id: str, run_id: str) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message(id=id, role="user", content=prompt, run_id=run_id),)
    return tuple(prompt)


def _refuse_to_resume(row: RunRow, decisions: Sequence[Decision], prompt: str | Sequence[Message]) -> None:
    if row.status == "waiting" and prompt:
        raise RunError(f"run {row.run_id!r} waits for decisions: steer it to say something to it")
    was_stopped = row.termination and row.termination.type in ("stopped", "cancelled")
    if row.status != "waiting" and (decisions or row.status == "running" or not was_stopped):
        raise RunError(f"run {row.run_id!r} does not wait: it is {row.status}")
