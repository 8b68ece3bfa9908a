"""What an A2A client may ask of an agent: each request asks the log, or wants something of a run.

Nothing is kept beside the log: any server on it answers for any task, those of an earlier process too.

- A message without a task starts one, whose id is made from the agent, the context's id and the message's:
  said again, to whichever server, it is the same task. Without a context it gets one of its own, made from
  the message.
- Where another task of the context goes on or asks, a new one is `submitted` and waits for its turn.
- A message to a task that asks is the answer to its questions; to one that works, the agent is told it at the
  next step; to one that is over it is refused. Each counts once, by its id.
- A stream ends with its task, or, if it came with a message, when the task asks. Clients may leave: the task
  goes on.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import RequestHandler
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    InternalError,
    InvalidParamsError,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    PushNotificationNotSupportedError,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskNotCancelableError,
    TaskNotFoundError,
    TaskStatusUpdateEvent,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.task import apply_history_length, validate_history_length
from anyio import CancelScope, move_on_after

from ....store.changeset import Message as Prompt
from ....store.changeset import control_stream
from ....store.document import dumps
from ....store.errors import LogError, NotFound, RunOver, ThreadlogError
from ...commit import named_id
from ...runs import Runs
from .messages import CLIENT, answers_in, entry_id, message_id, text_of
from .task_list import AgentTasks
from .tasks import TaskFold
from .updates import Update, updates

log = logging.getLogger(__name__)

CANCEL_SECONDS = 10.0
"""How long a cancelled task is waited for: one whose process is gone does not end by itself."""

Until = Callable[[TaskFold], bool]


class AgentServer(RequestHandler):
    """Answers for one agent."""

    def __init__(self, runs: Runs, agent: str) -> None:
        self._runs = runs
        self._agent = agent
        self._tasks = AgentTasks(runs.log, agent)
        self._waiting: set[CancelScope] = set()
        self._is_ending = False

    def end(self) -> None:
        """Answer those who wait for the end of a task with the task as it is."""
        self._is_ending = True
        for scope in self._waiting:
            scope.cancel()

    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        with _translated(params):
            fold, until = await self._take(params)
            if not params.configuration.return_immediately:
                await self._wait(fold, until)
            return apply_history_length(self._tasks.fold(fold.task.id).task, params.configuration)

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Task | Update, None]:
        with _translated(params):
            fold, until = await self._take(params)
            yield apply_history_length(_now(fold), params.configuration)
            async with aclosing(self._following(fold, until)) as following:
                async for update in following:
                    yield update

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Task | Update, None]:
        with _translated(params):
            fold = self._tasks.fold(params.id)
            if fold.is_final:
                raise UnsupportedOperationError(f"task {params.id!r} is over: get it instead")
            yield _now(fold)
            async with aclosing(self._following(fold, lambda fold: fold.is_final)) as following:
                async for update in following:
                    yield update

    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        with _translated(params):
            validate_history_length(params)
            return apply_history_length(self._tasks.fold(params.id).task, params)

    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        with _translated(params):
            validate_history_length(params)
            return self._tasks.page(params)

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        with _translated(params):
            is_over = self._tasks.fold(params.id).is_final
            with move_on_after(CANCEL_SECONDS):
                is_over = is_over or not await self._runs.cancel_and_wait(params.id, by=CLIENT)
            if is_over:
                raise TaskNotCancelableError(f"task {params.id!r} is over")
            return self._tasks.fold(params.id).task

    async def _take(self, params: SendMessageRequest) -> tuple[TaskFold, Until]:
        """Take a message in: its task, and when that has come to where the message wanted it to come."""
        validate_history_length(params.configuration)
        if params.configuration.HasField("task_push_notification_config"):
            raise _no_push_notifications()
        if not params.message.task_id:
            return await self._start(params.message), _is_settled
        taken = await self._tell(self._tasks.fold(params.message.task_id), params.message)
        fold = self._tasks.fold(params.message.task_id)
        return fold, lambda fold: _is_settled(fold) and (fold.is_final or fold.control >= taken)

    async def _start(self, message: Message) -> TaskFold:
        text = text_of(message)
        context_id = message.context_id or _own_context(self._agent, message)
        task_id = named_id("task", self._agent, context_id, message.message_id)
        prompt = Prompt(
            id=entry_id(message.message_id, self._agent), role="user", content=text, run_id=task_id
        )
        await self._runs.start(self._agent, [prompt], thread=context_id, if_active="queue", id=task_id)
        return self._tasks.fold(task_id)

    async def _tell(self, fold: TaskFold, message: Message) -> int:
        """Say something to a task, once: where on its control stream; 0 of its first message."""
        task = fold.task
        if message.context_id and message.context_id != task.context_id:
            raise InvalidParamsError(f"task {task.id!r} is not of the context {message.context_id!r}")
        if message.message_id in {said.message_id for said in task.history[:1]}:
            return 0
        if not (known := self._told(task.id, message.message_id)):
            await self._say(fold, message)
            known = self._told(task.id, message.message_id)
        return known

    async def _say(self, fold: TaskFold, message: Message) -> None:
        task_id, id = fold.task.id, message.message_id
        if fold.is_final:
            raise UnsupportedOperationError(f"task {task_id!r} is over: send a message without a task")
        if decisions := answers_in(message, fold.asked):
            await self._runs.decide(task_id, decisions)
        elif fold.is_asking:
            tickets = [asked.suspension.ticket for asked in fold.asked]
            raise InvalidParamsError(
                f"task {task_id!r} waits for decisions about {tickets}: send a data part "
                '{"decisions": [{"target": ticket, "approved": true}]}, or, to one question, "yes" or "no"'
            )
        else:
            await self._runs.steer(task_id, text_of(message), by=CLIENT, id=entry_id(id))

    def _told(self, task_id: str, id: str) -> int:
        """Where a message stands on the control stream of a task: its last version; 0 if it is new."""
        stream = self._runs.log.read(control_stream(task_id))
        entries = ((each.version, each.entry) for each in stream if each.entry)
        return max((version for version, entry in entries if message_id(entry.id) == id), default=0)

    async def _wait(self, fold: TaskFold, until: Until) -> None:
        """Return when a task has come where it is to come, or when the server ends."""
        with CancelScope() as scope:
            self._waiting.add(scope)
            if self._is_ending:
                # Its message came in while the end was announced.
                scope.cancel()
            try:
                async with aclosing(self._following(fold, until)) as following:
                    async for _ in following:
                        pass
            finally:
                self._waiting.discard(scope)

    async def _following(self, fold: TaskFold, until: Until) -> AsyncGenerator[Update, None]:
        if until(fold):
            return
        async with aclosing(updates(self._runs, self._tasks, fold)) as following:
            async for update in following:
                yield update
                # The status is told last of what a changeset has brought.
                if isinstance(update, TaskStatusUpdateEvent) and until(fold):
                    return

    async def on_create_task_push_notification_config(self, params: Any, context: ServerCallContext) -> Any:
        raise _no_push_notifications()

    async def on_get_task_push_notification_config(self, params: Any, context: ServerCallContext) -> Any:
        raise _no_push_notifications()

    async def on_list_task_push_notification_configs(self, params: Any, context: ServerCallContext) -> Any:
        raise _no_push_notifications()

    async def on_delete_task_push_notification_config(self, params: Any, context: ServerCallContext) -> Any:
        raise _no_push_notifications()

    async def on_get_extended_agent_card(self, params: Any, context: ServerCallContext) -> AgentCard:
        raise UnsupportedOperationError("there is no other card than the public one")


def _no_push_notifications() -> PushNotificationNotSupportedError:
    return PushNotificationNotSupportedError("no push notifications here: stream, or get the task")


def _is_settled(fold: TaskFold) -> bool:
    return fold.is_final or fold.is_asking


def _now(fold: TaskFold) -> Task:
    # What is told is put into words later: the fold may have gone on by then.
    task = Task()
    task.CopyFrom(fold.task)
    return task


def _own_context(agent: str, message: Message) -> str:
    """The same for the same message; another one for another client's that has the same id."""
    said = [part.SerializeToString(deterministic=True).hex() for part in message.parts]
    return named_id("context", agent, message.message_id, dumps(said).decode())


@contextmanager
def _translated(params: Any) -> Iterator[None]:
    """Every error as one of the protocol's.

    Raises:
        A2AError: what it says is for the client; what concerns the file stays here.
    """
    validate_proto_required_fields(params)
    try:
        yield
    except NotFound as err:
        raise TaskNotFoundError(str(err)) from err
    except RunOver as err:
        raise UnsupportedOperationError(str(err)) from err
    except LogError as err:
        log.error("%s", err)
        raise InternalError("the log cannot be read or written now: try again later") from err
    except ThreadlogError as err:
        raise InvalidParamsError(str(err)) from err
