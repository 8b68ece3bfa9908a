"""Resumes, decides and steers runs. Decisions and messages are durable before they are applied."""

from collections.abc import Sequence

from ...store.changeset import ControlEntry, Message
from ...store.errors import ChangesetExists, RunError, VersionConflict
from ...store.listing import RunRow
from ..control import Decision, KnownDecisions, check_targets
from .dispatcher import Dispatcher
from .environment import Environment
from .handle import Run
from .queries import Queries
from .resuming import Resumer


class RunCommands:
    """Appends commands to runs, and resumes the runs that can continue."""

    def __init__(
        self, environment: Environment, queries: Queries, resumer: Resumer, dispatcher: Dispatcher
    ) -> None:
        self._env = environment
        self._queries = queries
        self._resumer = resumer
        self._dispatcher = dispatcher

    async def resume(
        self,
        run_id: str,
        decisions: Sequence[Decision],
        prompt: str | Sequence[Message],
        parent: str | None,
    ) -> Run:
        row = self._queries.row(run_id)
        self._env.agents.of(run_id).agent(row.agent or "")
        _check_resumable(row, decisions, prompt)
        if decisions:
            return await self.decide(run_id, decisions)
        try:
            messages = prompt_messages(prompt, f"{run_id}:{row.epoch + 1}:prompt", run_id)
            return await self._resumer.resume(row, messages, parent)
        except (VersionConflict, ChangesetExists) as err:
            raise RunError(f"run {run_id!r} was resumed by another process: follow it") from err

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run:
        self._queries.status(run_id)

        def choice(known: Sequence[ControlEntry]) -> list[ControlEntry]:
            row = self._env.log.run(run_id)
            history = self._env.log.read_run(run_id) if row else ()
            decided = KnownDecisions(history, known[row.control if row else 0 :])
            new = decided.add_new(decisions)
            if row and row.status == "waiting":
                check_targets(new, self._env.log.state(row.thread_id), run_id)
            return [decided.to_entry(decision, len(known)) for decision in new]

        await self._env.stream(run_id).add(choice)
        # Get the handle first: if the run resumes here, the handle follows the new epoch.
        run = self._queries.get_run(run_id)
        await self._dispatcher.dispatch(run_id)
        return run

    async def steer(self, run_id: str, text: str, by: str | None, id: str | None) -> None:
        entry = ControlEntry(id=id or self._env.effects.new_id(), kind="steer", by=by, content=text)
        self._queries.status(run_id)
        await self._env.stream(run_id).add(lambda _: [entry])
        await self._dispatcher.dispatch(run_id)


def prompt_messages(prompt: str | Sequence[Message], id: str, run_id: str) -> tuple[Message, ...]:
    """Return the messages that a run starts or resumes with."""
    if isinstance(prompt, str):
        return (Message(id=id, role="user", content=prompt, origin="prompt", run_id=run_id),)
    return tuple(
        message if message.origin else message.model_copy(update={"origin": "prompt"}) for message in prompt
    )


def _check_resumable(row: RunRow, decisions: Sequence[Decision], prompt: str | Sequence[Message]) -> None:
    if row.status == "waiting" and prompt:
        raise RunError(f"run {row.run_id!r} waits for decisions: use `steer` to send it a message")
    was_stopped = row.termination and row.termination.type in ("stopped", "cancelled")
    if row.status != "waiting" and (decisions or row.status == "running" or not was_stopped):
        how = " with decisions" if decisions else ""
        raise RunError(f"run {row.run_id!r} cannot be resumed{how}: it is {row.status}")
