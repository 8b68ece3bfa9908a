"""The requests of A2A clients to one agent. Each request reads the log, or appends a command to a run.

All state is in the log, so any server that has it open answers for any task, including those of earlier
processes.

- A message without a task starts one. The task's id is derived from the agent and the ids of the context and
  the message, so a message that is sent again, to any server, finds the same task. Without a context, the
  message gets one of its own.
- While another task of the context runs or waits, a new task is `submitted` and waits for its turn.
- A message to a task that waits for input answers its questions. A working task receives the message before
  its next step. A finished task rejects it. Each message id counts once.
- A stream ends with its task or, if it was opened by sending a message, when the task asks for input. The
  task itself continues without clients.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Never

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import RequestHandler
from a2a.types import (
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
from google.protobuf.message import Message as Protobuf

from ....store.changeset import Message as Prompt
from ....store.changeset import control_stream
from ....store.document import dumps
from ....store.errors import LogError, NotFound, RunOver, ThreadlogError
from ...commit import named_id
from ...runs import RunService
from .messages import CLIENT, decisions_in, entry_id, message_id, text_of
from .task_list import AgentTasks
from .tasks import TaskFold
from .updates import Update, updates

log = logging.getLogger(__name__)

CANCEL_SECONDS = 10.0
"""How long to wait for a cancelled task to end: it does not end while its process is suspended."""

Until = Callable[[TaskFold], bool]


# A subclass, because the routes of the SDK accept only a `RequestHandler`.
class AgentServer(RequestHandler):
    """Answers the requests to one agent."""

    def __init__(self, runs: RunService, agent: str) -> None:
        self._runs = runs
        self._agent = agent
        self._tasks = AgentTasks(runs.log, agent)
        self._waiting: set[CancelScope] = set()
        self._is_closing = False

    def close(self) -> None:
        """Answer requests that wait for a task with the task as it is now."""
        self._is_closing = True
        for scope in self._waiting:
            scope.cancel()

    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        with _translate_errors(params):
            fold, until = await self._accept(params)
            if not params.configuration.return_immediately:
                await self._wait(fold, until)
            return apply_history_length(self._tasks.fold(fold.task.id).task, params.configuration)

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Task | Update, None]:
        with _translate_errors(params):
            fold, until = await self._accept(params)
            yield apply_history_length(_snapshot(fold), params.configuration)
            async with aclosing(self._updates(fold, until)) as following:
                async for update in following:
                    yield update

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Task | Update, None]:
        with _translate_errors(params):
            fold = self._tasks.fold(params.id)
            if fold.is_final:
                raise UnsupportedOperationError(f"task {params.id!r} is over: get it instead")
            yield _snapshot(fold)
            async with aclosing(self._updates(fold, lambda fold: fold.is_final)) as following:
                async for update in following:
                    yield update

    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        with _translate_errors(params):
            validate_history_length(params)
            return apply_history_length(self._tasks.fold(params.id).task, params)

    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        with _translate_errors(params):
            validate_history_length(params)
            return self._tasks.page(params)

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        with _translate_errors(params):
            is_over = self._tasks.fold(params.id).is_final
            with move_on_after(CANCEL_SECONDS):
                is_over = is_over or not await self._runs.cancel(params.id, wait=True, by=CLIENT)
            if is_over:
                raise TaskNotCancelableError(f"task {params.id!r} is over")
            return self._tasks.fold(params.id).task

    async def _accept(self, params: SendMessageRequest) -> tuple[TaskFold, Until]:
        """Accept a message. Return its task, and the condition under which the message has been handled."""
        validate_history_length(params.configuration)
        if params.configuration.HasField("task_push_notification_config"):
            raise _no_push_notifications()
        if not params.message.task_id:
            return await self._start(params.message), _is_settled
        version = await self._deliver(self._tasks.fold(params.message.task_id), params.message)
        fold = self._tasks.fold(params.message.task_id)
        return fold, lambda fold: _is_settled(fold) and (fold.is_final or fold.control >= version)

    async def _start(self, message: Message) -> TaskFold:
        text = text_of(message)
        context_id = message.context_id or _new_context(self._agent, message)
        task_id = named_id("task", self._agent, context_id, message.message_id)
        prompt = Prompt(
            id=entry_id(message.message_id, self._agent), role="user", content=text, run_id=task_id
        )
        await self._runs.start(self._agent, [prompt], thread=context_id, if_active="queue", id=task_id)
        return self._tasks.fold(task_id)

    async def _deliver(self, fold: TaskFold, message: Message) -> int:
        """Deliver a message to a task, once. Return its control version; 0 for the task's first message."""
        task = fold.task
        if message.context_id and message.context_id != task.context_id:
            raise InvalidParamsError(f"task {task.id!r} does not belong to context {message.context_id!r}")
        if message.message_id in {first.message_id for first in task.history[:1]}:
            return 0
        if not (version := self._control_version(task.id, message.message_id)):
            await self._submit(fold, message)
            version = self._control_version(task.id, message.message_id)
        return version

    async def _submit(self, fold: TaskFold, message: Message) -> None:
        task_id, id = fold.task.id, message.message_id
        if fold.is_final:
            raise UnsupportedOperationError(f"task {task_id!r} is over: send a message without a task")
        if decisions := decisions_in(message, fold.asked):
            await self._runs.decide(task_id, decisions)
        elif fold.is_asking:
            tickets = [asked.suspension.ticket for asked in fold.asked]
            raise InvalidParamsError(
                f"task {task_id!r} waits for decisions about {tickets}: send a data part "
                '{"decisions": [{"target": ticket, "approved": true}]}, or, to one question, "yes" or "no"'
            )
        else:
            await self._runs.steer(task_id, text_of(message), by=CLIENT, id=entry_id(id))

    def _control_version(self, task_id: str, id: str) -> int:
        """Return the version of a message on the control stream of its task; 0 if the message is new."""
        stream = self._runs.log.read(control_stream(task_id))
        entries = ((each.version, each.entry) for each in stream if each.entry)
        return max((version for version, entry in entries if message_id(entry.id) == id), default=0)

    async def _wait(self, fold: TaskFold, until: Until) -> None:
        """Return when the condition holds, or when the server closes."""
        with CancelScope() as scope:
            self._waiting.add(scope)
            if self._is_closing:
                # The message was accepted while the server began to close.
                scope.cancel()
            try:
                async with aclosing(self._updates(fold, until)) as following:
                    async for _ in following:
                        pass
            finally:
                self._waiting.discard(scope)

    async def _updates(self, fold: TaskFold, until: Until) -> AsyncGenerator[Update, None]:
        if until(fold):
            return
        async with aclosing(updates(self._runs, self._tasks, fold)) as following:
            async for update in following:
                yield update
                # The status is the last update of a changeset.
                if isinstance(update, TaskStatusUpdateEvent) and until(fold):
                    return

    async def on_create_task_push_notification_config(
        self, params: object, context: ServerCallContext
    ) -> Never:
        raise _no_push_notifications()

    async def on_get_task_push_notification_config(self, params: object, context: ServerCallContext) -> Never:
        raise _no_push_notifications()

    async def on_list_task_push_notification_configs(
        self, params: object, context: ServerCallContext
    ) -> Never:
        raise _no_push_notifications()

    async def on_delete_task_push_notification_config(
        self, params: object, context: ServerCallContext
    ) -> Never:
        raise _no_push_notifications()

    async def on_get_extended_agent_card(self, params: object, context: ServerCallContext) -> Never:
        raise UnsupportedOperationError("there is no extended agent card: read the public one")


def _no_push_notifications() -> PushNotificationNotSupportedError:
    return PushNotificationNotSupportedError(
        "push notifications are not supported: stream the task, or get it"
    )


def _is_settled(fold: TaskFold) -> bool:
    return fold.is_final or fold.is_asking


def _snapshot(fold: TaskFold) -> Task:
    # The SDK serializes an answer later, when the fold may have changed.
    task = Task()
    task.CopyFrom(fold.task)
    return task


def _new_context(agent: str, message: Message) -> str:
    """Return an id derived from the whole message: messages of different clients may have the same id."""
    parts = [part.SerializeToString(deterministic=True).hex() for part in message.parts]
    return named_id("context", agent, message.message_id, dumps(parts).decode())


@contextmanager
def _translate_errors(params: Protobuf) -> Iterator[None]:
    """Translate errors to those of the protocol. Log problems with the file here: they are not the client's.

    Raises:
        A2AError: the request is invalid, or failed.
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
