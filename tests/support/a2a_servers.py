"""Servers as processes of their own, clients of the SDK, and the gate at which the agents' model waits."""

import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers import get_data_parts, new_data_part
from a2a.types import (
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from support.command import start

AGENTS = Path(__file__).with_name("a2a_agents.py")
PATIENCE = 30.0

COMPLETED = TaskState.TASK_STATE_COMPLETED
WORKING = TaskState.TASK_STATE_WORKING
ASKING = TaskState.TASK_STATE_INPUT_REQUIRED
FAILED = TaskState.TASK_STATE_FAILED
CANCELED = TaskState.TASK_STATE_CANCELED
SUBMITTED = TaskState.TASK_STATE_SUBMITTED


class Asked:
    """A request of the model, and the way its answer goes back."""

    def __init__(self, messages: list[list[str]], stream: ByteStream) -> None:
        self.messages = messages
        self.is_over = anyio.Event()
        self._stream = stream

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self._send({"text": text})

    async def call(self, name: str, **arguments: Any) -> None:
        await self._send({"calls": [{"name": name, "arguments": arguments}]})
        await self._send(None)

    async def fail(self, why: str) -> None:
        await self._send({"fails": why})

    async def end(self, *texts: str) -> None:
        await self.say(*texts)
        await self._send(None)

    async def _send(self, part: Any) -> None:
        await self._stream.send(json.dumps(part).encode() + b"\n")
        if not part or "fails" in part:
            self.is_over.set()


class Gate:
    """Where the model of `planner` waits for what the test lets it say."""

    def __init__(self) -> None:
        self._put, self._get = anyio.create_memory_object_stream[Asked](99)
        self.port = 0

    async def asked(self) -> Asked:
        with anyio.fail_after(PATIENCE):
            return await self._get.receive()

    async def _serve(self, stream: ByteStream) -> None:
        async with stream:
            line = await BufferedByteReceiveStream(stream).receive_until(b"\n", 65536)
            asked = Asked(json.loads(line), stream)
            await self._put.send(asked)
            await asked.is_over.wait()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        self.port = listener.extra(SocketAttribute.local_port)
        async with listener, self._put, self._get, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield self
            tasks.cancel_scope.cancel()


class Served:
    """A server process, once it answers."""

    def __init__(self, db: Path, *options: str, agents: str = str(AGENTS), **environment: str) -> None:
        command = f"serve {agents} --a2a --db {db} --port 0 --json {' '.join(options)}"
        self.process = start(command, **environment)
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.process.communicate(timeout=PATIENCE)
        self.urls: dict[str, str] = json.loads(line)["agents"]

    def end(self, by: signal.Signals) -> tuple[int, str]:
        """How it ended, and what it had to say."""
        self.process.send_signal(by)
        _, told = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, told


@contextmanager
def serving(db: Path, *options: str, gate: Gate | None = None, **settings: str) -> Iterator[Served]:
    environment = {"GATE": str(gate.port)} if gate else {}
    server = Served(db, *options, **settings, **environment)
    with ExitStack() as stack:
        stack.callback(server.process.wait)
        stack.callback(server.process.kill)
        stack.enter_context(server.process.stdout or ExitStack())
        stack.enter_context(server.process.stderr or ExitStack())
        yield server


class Peer:
    """A client of the SDK for one agent."""

    def __init__(self, client: Client, http: httpx.AsyncClient) -> None:
        self.client = client
        self.http = http

    async def send(self, message: Message, *, wait: bool = True, history: int | None = None) -> Task:
        """The task that comes back; `wait`: when it is over, or asks."""
        settings = SendMessageConfiguration(return_immediately=not wait, history_length=history)
        request = SendMessageRequest(message=message, configuration=settings)
        with anyio.fail_after(PATIENCE):
            (answer,) = [each async for each in self.client.send_message(request)]
        return answer.task


@asynccontextmanager
async def peer(
    url: str, *, streaming: bool = False, binding: str = "JSONRPC", token: str | None = None
) -> AsyncIterator[Peer]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=[binding])
        yield Peer(ClientFactory(config).create(card), http)


def message(text: str = "go", id: str = "m1", context: str = "", task: str = "") -> Message:
    parts = [Part(text=text)]
    return Message(message_id=id, context_id=context, task_id=task, role=Role.ROLE_USER, parts=parts)


def answer(task: Task, *decisions: dict[str, Any], id: str = "a1") -> Message:
    """The answer to the questions of a task."""
    parts = [new_data_part({"decisions": list(decisions)})]
    return Message(message_id=id, task_id=task.id, role=Role.ROLE_USER, parts=parts)


def tickets(task: Task) -> list[str]:
    """What a task asks about."""
    (data,) = get_data_parts(task.status.message.parts)
    return [asked["ticket"] for asked in data["pending"]]


def output(task: Task) -> str:
    """The text of its artifact."""
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


def told(task: Task, events: Sequence[StreamResponse]) -> Task:
    """A task as a client assembles it from its updates."""
    made = Task()
    made.CopyFrom(task)
    for event in events:
        match event.WhichOneof("payload"):
            case "task":
                made.CopyFrom(event.task)
            case "status_update":
                made.status.CopyFrom(event.status_update.status)
            case "artifact_update":
                update = event.artifact_update
                if not update.append:
                    del made.artifacts[:]
                    made.artifacts.append(update.artifact)
                else:
                    made.artifacts[0].parts.extend(update.artifact.parts)
    return made


async def until(stream: AsyncIterator[StreamResponse], holds: Callable[[StreamResponse], bool]) -> list[Any]:
    """What a stream tells up to the first event for which something holds."""
    found = []
    with anyio.fail_after(PATIENCE):
        async for event in stream:
            found.append(event)
            if holds(event):
                break
    return found


async def working(planner: Peer, gate: Gate, text: str = "go", **ids: str) -> str:
    """The id of a task whose model has been asked and says nothing yet."""
    task = await planner.send(message(text, **ids), wait=False)
    assert task.status.state == WORKING
    return task.id


async def answered(gate: Gate, *texts: str) -> None:
    await (await gate.asked()).end(*texts)
