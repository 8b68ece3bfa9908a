"""A run's thread as the run works on it: what is queued for the log, and what waits for the next commit.

    act, say -> waiting -> commit -> queued in order, after the version before

State, messages and version are those after everything queued: a commit that fails ends the run, so no
one ever sees them otherwise. Each changeset is encoded once, here; the state after it is the one that its
actions were reduced to, and goes to the writer with it.
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
    """The one place from which a run writes."""

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
        """Work on a thread that includes what the `prelude` puts before the first changeset.

        `author` is who writes, if it is not the run's loop: it becomes part of the ids.
        """
        self.identity = identity
        self._author = ":".join(filter(None, [identity.run_id, str(identity.epoch), author]))
        self.state: Any = thread.state
        self.version = thread.version
        self.messages: list[Message] = list(thread.messages)
        self.at = 0
        """The moment of the last changeset; 0 before the first of this epoch."""
        self.usage = Usage()
        """The tokens that the run has cost so far."""
        self._committed = State(thread.state).measured()
        self._committed_control = control_taken(thread.state, identity.run_id)
        """Up to where the control stream was taken in by the changesets so far."""
        self._journal = journal
        self._prelude: Prelude | None = prelude
        """Until the first append has been made."""
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
        """How many of the messages wait for the next commit."""

    @property
    def is_open(self) -> bool:
        """Whether this epoch has begun in the log."""
        return self.at > 0

    @property
    def pending_actions(self) -> int:
        """How many actions wait for the next commit."""
        return len(self._actions)

    def control_version(self) -> int:
        """Up to which version of its control stream the run has taken in what is there."""
        return control_taken(self.state, self.identity.run_id)

    def new_id(self) -> str:
        """The next id of this epoch, for a message or a changeset: the same whenever the run is repeated."""
        self._id_count += 1
        return f"{self._author}:{self._id_count}"

    def act(self, actions: Iterable[StateAction], *, source: str, call_id: str | None = None) -> Reduction:
        """Change the state by actions, all or none.

        Raises:
            ActionError: one of them is not understood, or does not fit the state.
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
        """Put a new message of this run into the conversation."""
        message = Message(
            id=self.new_id(), role=role, content=content, origin=origin, run_id=self.identity.run_id, **more
        )
        self.add_message(message)
        return message

    def add_message(self, message: Message) -> None:
        """Put a message into the conversation; one whose id is there already is skipped."""
        if message.id not in self._message_ids:
            self._message_ids.add(message.id)
            self.messages.append(message)
            self._new_messages += 1

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the world for a behavior. The answer, made JSON, goes into the log with the next commit.

        Raises:
            EffectError: there was none, or it cannot be kept. That is in the log, too.
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
        """Count tokens as the run's."""
        self.usage = add_usage(self.usage, usage)

    def record_interruption(self, interruption: Interruption) -> None:
        """Note for the next commit that a behavior or a request is no longer waited for."""
        self._interruptions.append(interruption)

    @contextmanager
    def undo_on_error(self, *, keep_effects: bool = True) -> Iterator[None]:
        """Whatever is done inside is undone if it raises; what the world has answered is kept.

        Not if it `is_whole`: then it is as if it had never been tried.
        """
        state, actions, patches, said = self.state, len(self._actions), len(self._patches), self._new_messages
        ids, asked, cut_off, usage = (
            self._id_count,
            len(self._effect_records),
            len(self._interruptions),
            self.usage,
        )
        try:
            yield
        except BaseException:
            self._drop_messages(self._new_messages - said)
            self.state = state
            del self._actions[actions:], self._patches[patches:]
            if not keep_effects:
                self._id_count, self.usage = ids, usage
                del self._effect_records[asked:], self._interruptions[cut_off:]
            raise

    def discard(self) -> None:
        """Forget all that waits."""
        self._drop_messages(self._new_messages)
        self.state = self._committed.document
        self._actions, self._patches, self._effect_records, self._interruptions = [], [], [], []

    def _drop_messages(self, count: int) -> None:
        for _ in range(count):
            self._message_ids.discard(self.messages.pop().id)
        self._new_messages -= count

    async def flush(self, reason: Reason) -> None:
        """Return once all that was done is durable; what waits is committed for the reason.

        Raises:
            ContentError: as `commit`.
            LogError: a commit failed.
        """
        if self._actions or self._effect_records or self._new_messages:
            self.commit(reason)
        await self.wait_until_durable()

    async def wait_until_durable(self) -> None:
        """Return once all that was committed is durable; what waits still does.

        Raises:
            LogError: a commit failed.
        """
        if self._last_receipt:
            await self._last_receipt.result()

    def commit(self, reason: Reason, **fields: Unpack[ChangesetFields]) -> Receipt:
        """Queue all that waits as one changeset, with further fields of it.

        Raises:
            ContentError: something in it cannot be kept, or the state would be too large. It still waits.
        """
        encoded = self._next(reason, fields)
        receipt = self._journal.submit(self._append(encoded, self._condition()))
        self._advance(encoded, receipt)
        return receipt

    async def commit_end(self, reason: Reason, **fields: Unpack[ChangesetFields]) -> None:
        """Write all that waits as the last changeset of this epoch: durable on return.

        Raises:
            ContentError: as `commit`.
            VersionConflict: of the run's control stream: it holds commands that the run has not applied.
                Nothing was written, and all still waits.
            LogError: it cannot be written.
        """
        encoded = self._next(reason, fields)
        condition = self._condition().and_head(self.identity.stream, self.control_version())
        receipt = self._journal.submit(self._append(encoded, condition))
        await receipt.result()
        self._advance(encoded, receipt)

    def _next(self, reason: Reason, fields: ChangesetFields) -> Encoded:
        """The changeset that holds all that waits, with the state after it.

        Checked here and not by the writer: there it would be refused after the run has continued.
        """
        taken = self.control_version()
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
            control=None if taken == self._committed_control else taken,
            **fields,
        )
        coded = encoded(changeset)
        return coded._replace(state=self._committed.replaced(self.state, coded.patches, len(coded.content)))

    def _condition(self) -> Condition:
        return (self._prelude or NO_PRELUDE).condition

    def _append(self, encoded: Encoded, condition: Condition) -> Append:
        before = (self._prelude or NO_PRELUDE).before
        last = self._last_receipt.append if self._last_receipt else None
        return Append.encoded([*before, encoded], self.version - len(before), condition, last)

    def _advance(self, encoded: Encoded, receipt: Receipt) -> None:
        assert encoded.state
        self._prelude = None
        self._committed, self._last_receipt, self.at = encoded.state, receipt, encoded.changeset.at
        self.version += 1
        self._actions, self._patches, self._new_messages = [], [], 0
        self._effect_records, self._interruptions = [], []
        self._committed_control = self.control_version()
