"""The thread of a run with the run's own changes, and the commits that write these changes to the log.

    act, add_message, ask -> pending -> commit -> submitted to the journal, in order

State and messages include changes that are not durable yet: if a commit fails, the run ends and they are lost
with it. Each changeset is encoded once, here, and carries the state after it, so the writer need not fold it.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Unpack

from anyio import get_cancelled_exc_class
from pydantic_core import to_jsonable_python

from ...reducers.reduce import Reducers, Reduction, StateAction
from ...reducers.replay import Thread
from ...reducers.run import control_taken
from ...reducers.usage import add_usage
from ...store.append import Append, Condition
from ...store.appender import Receipt
from ...store.changeset import (
    ActionRecord,
    Changeset,
    EffectRecord,
    Interruption,
    Message,
    Origin,
    Reason,
    TrackedPatch,
    Usage,
)
from ...store.codec import Encoded, encoded
from ...store.document import dumps, loads
from ...store.errors import EffectError, in_words
from ...store.state import State
from ..models import ModelAnswer
from .effects import Effects
from .fields import ChangesetFields, MessageFields
from .identity import RunIdentity
from .journal import Journal, Prelude

NO_PRELUDE = Prelude()


class Workspace:
    """Collects the changes of a run, and commits them. A run writes to its thread only through this."""

    def __init__(
        self,
        journal: Journal,
        effects: Effects,
        reducers: Reducers,
        identity: RunIdentity,
        thread: Thread,
        *,
        author: str | None = None,
        prelude: Prelude = NO_PRELUDE,
    ) -> None:
        """Work on a thread, including the changesets of the `prelude`.

        `author` becomes part of the ids. It is needed if another process writes for the run.
        """
        self.identity = identity
        self._author = ":".join(filter(None, [identity.run_id, str(identity.epoch), author]))
        self.state: Any = thread.state
        self.version = thread.version
        self.messages: list[Message] = list(thread.messages)
        self.at = 0
        """The time of the last changeset of this epoch; 0 before the first one."""
        self.usage = Usage()
        """The token usage of the run so far."""
        self._committed = State(thread.state).measured()
        self._committed_control = control_taken(thread.state, identity.run_id)
        """The version of the last command that a committed changeset has applied."""
        self._journal = journal
        self._prelude = prelude
        """For the next append; empty after the first one."""
        self._effects = effects
        self._now = effects.clock()
        self._reducers = reducers
        self._message_ids = {message.id for message in thread.messages}
        self._last_receipt: Receipt | None = None
        self._id_count = 0
        self._actions: list[ActionRecord] = []
        self._patches: list[TrackedPatch] = []
        self._effect_records: list[EffectRecord] = []
        self._interruptions: list[Interruption] = []
        self._new_messages = 0
        """The number of messages, the last ones, that are not committed."""

    @property
    def is_open(self) -> bool:
        """Whether this epoch has committed anything."""
        return self.at > 0

    @property
    def pending_actions(self) -> int:
        """The number of actions that are not committed."""
        return len(self._actions)

    def control_version(self) -> int:
        """Return the version of the last command that the run has applied."""
        return control_taken(self.state, self.identity.run_id)

    def new_id(self) -> str:
        """Return the next id of this epoch, for a message or a changeset. A replay makes the same ids."""
        self._id_count += 1
        return f"{self._author}:{self._id_count}"

    def act(self, actions: Iterable[StateAction], *, source: str, call_id: str | None = None) -> Reduction:
        """Apply actions to the state, all or none.

        Raises:
            ActionError: no reducer handles an action, or its reducer rejects it.
        """
        records = [self._reducers.record(action, source=source, call_id=call_id) for action in actions]
        reduction = self._reducers.reduce(self.state, records, first=len(self._actions))
        self.state = reduction.state
        self._actions.extend(reduction.actions)
        self._patches.extend(reduction.patches)
        return reduction

    def create_message(
        self,
        role: Literal["system", "user", "assistant", "tool"],
        content: str,
        origin: Origin,
        **more: Unpack[MessageFields],
    ) -> Message:
        """Create a message of this run, and add it to the conversation."""
        message = Message(
            id=self.new_id(), role=role, content=content, origin=origin, run_id=self.identity.run_id, **more
        )
        self.add_message(message)
        return message

    def add_message(self, message: Message) -> None:
        """Add a message to the conversation, unless it has one with the same id."""
        if message.id not in self._message_ids:
            self._message_ids.add(message.id)
            self.messages.append(message)
            self._new_messages += 1

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of a behavior's effect as JSON. It is written to the log with the next commit.

        Raises:
            EffectError: the call failed, or its result is not JSON. The error is written to the log, too.
        """
        try:
            given = await self._effects.ask(name, call)
            reply = given if isinstance(given, ModelAnswer) else ModelAnswer(given, Usage())
            answer = loads(dumps(to_jsonable_python(reply.answer)))
        except get_cancelled_exc_class():
            self._effect_records.append(EffectRecord(name=name, cancelled=True))
            raise
        except Exception as err:
            self._effect_records.append(EffectRecord(name=name, error=in_words(err)))
            raise EffectError(in_words(err)) from err
        self._effect_records.append(EffectRecord(name=name, answer=answer, usage=reply.usage))
        self.count_usage(reply.usage)
        return answer

    def count_usage(self, usage: Usage) -> None:
        """Add to the token usage of the run."""
        self.usage = add_usage(self.usage, usage)

    def record_interruption(self, interruption: Interruption) -> None:
        """Record in the next commit that a behavior or a request was interrupted."""
        self._interruptions.append(interruption)

    @contextmanager
    def undo_on_error(self, *, keep_effects: bool = True) -> Iterator[None]:
        """Undo all changes made inside if an exception leaves it.

        With `keep_effects`, the results of effects, their usage and the ids made inside remain.
        """
        state, actions, patches = self.state, len(self._actions), len(self._patches)
        messages, ids, usage = self._new_messages, self._id_count, self.usage
        effects, interruptions = len(self._effect_records), len(self._interruptions)
        try:
            yield
        except BaseException:
            self._drop_messages(self._new_messages - messages)
            self.state = state
            del self._actions[actions:], self._patches[patches:]
            if not keep_effects:
                self._id_count, self.usage = ids, usage
                del self._effect_records[effects:], self._interruptions[interruptions:]
            raise

    def discard(self) -> None:
        """Drop everything that is not committed."""
        self._drop_messages(self._new_messages)
        self.state = self._committed.document
        self._actions, self._patches, self._effect_records, self._interruptions = [], [], [], []

    def _drop_messages(self, count: int) -> None:
        for _ in range(count):
            self._message_ids.discard(self.messages.pop().id)
        self._new_messages -= count

    async def flush(self, reason: Reason) -> None:
        """Commit pending changes, if there are any, and wait until everything is durable.

        Raises:
            ContentError: as for `commit`.
            LogError: a commit failed.
        """
        if self._actions or self._effect_records or self._new_messages:
            self.commit(reason)
        await self.wait_until_durable()

    async def wait_until_durable(self) -> None:
        """Wait until all commits are durable. Pending changes stay pending.

        Raises:
            LogError: a commit failed.
        """
        if self._last_receipt:
            await self._last_receipt.result()

    def commit(self, reason: Reason, **fields: Unpack[ChangesetFields]) -> Receipt:
        """Submit the pending changes as one changeset, with these fields. Does not wait until it is durable.

        Raises:
            ContentError: it cannot be stored, or the state would be too large. The changes stay pending.
        """
        encoded = self._next(reason, fields)
        receipt = self._journal.submit(self._append(encoded, self._prelude.condition))
        self._advance(encoded, receipt)
        return receipt

    async def commit_end(self, reason: Reason, **fields: Unpack[ChangesetFields]) -> None:
        """Write the pending changes as the last changeset of this epoch. It is durable on return.

        Raises:
            ContentError: as for `commit`.
            VersionConflict: of the control stream: it has commands that the run has not applied. Nothing was
                written, and the changes stay pending.
            LogError: the log cannot be written.
        """
        encoded = self._next(reason, fields)
        condition = self._prelude.condition.and_head(self.identity.stream, self.control_version())
        receipt = self._journal.submit(self._append(encoded, condition))
        await receipt.result()
        self._advance(encoded, receipt)

    def _next(self, reason: Reason, fields: ChangesetFields) -> Encoded:
        """Return the changeset of the pending changes, with the state after it.

        Checked here, not by the writer: the writer would refuse it only after the run has continued.
        """
        control = self.control_version()
        changeset = Changeset(
            id=self.new_id(),
            thread_id=self.identity.thread_id,
            version=self.version + 1,
            run_id=self.identity.run_id,
            parent_run_id=self.identity.parent_run_id,
            epoch=self.identity.epoch,
            reason=reason,
            at=self._now(),
            messages=tuple(self.messages[len(self.messages) - self._new_messages :]),
            actions=tuple(self._actions),
            patches=tuple(self._patches),
            effects=tuple(self._effect_records),
            cut_off=tuple(self._interruptions),
            control=None if control == self._committed_control else control,
            **fields,
        )
        coded = encoded(changeset)
        return coded._replace(state=self._committed.replaced(self.state, coded.patches, len(coded.content)))

    def _append(self, encoded: Encoded, condition: Condition) -> Append:
        before = self._prelude.before
        last = self._last_receipt.append if self._last_receipt else None
        return Append.encoded([*before, encoded], self.version - len(before), condition, last)

    def _advance(self, encoded: Encoded, receipt: Receipt) -> None:
        assert encoded.state
        self._prelude = NO_PRELUDE
        self._committed, self._last_receipt, self.at = encoded.state, receipt, encoded.changeset.at
        self.version += 1
        self._actions, self._patches, self._new_messages = [], [], 0
        self._effect_records, self._interruptions = [], []
        self._committed_control = self.control_version()
