"""A remote agent on loopback, served by the A2A SDK's own request handler. It fails on demand.

It must not run in a test's own process: collecting pending coroutines of the SDK hangs or fails the test that
runs at that moment. Tests start it in another process, through `remote_host.py`. It does what a prompt says:

echo …       says it, and gives it as an artifact
ask …        asks that, and ends with the answer
sign in      needs to be authorised, and ends with the answer
count …      gives the data as an artifact
wait         works until the server releases it
fail …       fails, and says why; `reject …` likewise
"""

import json
import socket
from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Self

import anyio
import uvicorn
from a2a.helpers import new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentSkill, Task
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

Fault = str
"""`500`, `401`, `garbage`, `hang`, `drop` (once it is done), `cut` (in the midst), `rename [and …]`.

`ignore` answers a message with its task, and drops the message.
"""


class Executor(AgentExecutor):
    """Does what the prompt says."""

    def __init__(self, ends: Event) -> None:
        self._ends = ends

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message
        if not context.current_task:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        task = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
        word, _, rest = context.get_user_input().partition(" ")
        said = [new_text_part(rest or word)]
        match "answer" if context.current_task else word:
            case "ask":
                await task.requires_input(task.new_agent_message(said))
            case "sign":
                await task.requires_auth(task.new_agent_message(said))
            case "fail":
                await task.failed(task.new_agent_message(said))
            case "reject":
                await task.reject(task.new_agent_message(said))
            case "wait":
                await task.start_work()
                await anyio.to_thread.run_sync(self._ends.wait, abandon_on_cancel=True)
                await self._complete(task, "waited")
            case "count":
                await task.add_artifact([new_data_part(json.loads(rest))])
                await task.complete()
            case _:
                await self._complete(task, context.get_user_input())

    async def _complete(self, task: TaskUpdater, text: str) -> None:
        await task.start_work(task.new_agent_message([new_text_part("at work")]))
        await task.add_artifact([new_text_part(text)])
        await task.complete(task.new_agent_message([new_text_part("done")]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


class SdkServer:
    """A server in a thread of its own."""

    def __init__(self, *, streaming: bool = True, extensions: tuple[str, ...] = ()) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(100)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.ends = Event()
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        """Every request: its method, its parameters, its headers."""
        self._faults: dict[str, deque[Fault]] = {}
        self._streaming, self._extensions = streaming, extensions
        self.happens: Callable[[int], None] = lambda place: None
        """Called at each request, before it is looked at and once it is answered: with 1, 2, 3, …"""
        self.moments = 0
        self._handlers: list[DefaultRequestHandler] = []
        """The last one answers. The others are kept: the SDK can hang when pending tasks are collected."""
        self.forget()
        config = uvicorn.Config(
            self,
            log_level=60,
            lifespan="off",
            loop="asyncio",
            http="h11",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def start(self) -> None:
        """Answer requests. The socket listens already: early ones wait."""
        self._thread.start()

    def close(self) -> None:
        """End all work soon, without waiting for it."""
        self.ends.set()
        self._server.should_exit = True

    def forget(self) -> None:
        """Drop all tasks, as a restart does."""
        self._store, card = InMemoryTaskStore(), self._card("follows instructions", self.url)
        self._handlers.append(DefaultRequestHandler(Executor(self.ends), self._store, card))
        self._show(card)

    def describe(self, description: str, at: str = "") -> None:
        """Change the description in the agent card, and its address to `at` if given."""
        self._show(self._card(description, at or self.url))

    def _card(self, description: str, url: str) -> AgentCard:
        return AgentCard(
            name="helper",
            description=description,
            version="1",
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            capabilities=AgentCapabilities(
                streaming=self._streaming, extensions=[AgentExtension(uri=uri) for uri in self._extensions]
            ),
            skills=[AgentSkill(id="s", name="s", description="s", tags=["t"])],
            supported_interfaces=[
                AgentInterface(protocol_binding="JSONRPC", url=f"{url}/", protocol_version="1.0")
            ],
        )

    def _show(self, card: AgentCard) -> None:
        """Answer with this card from now on."""
        routes = [*create_agent_card_routes(card), *create_jsonrpc_routes(self._handlers[-1], "/")]
        self._app = Starlette(routes=routes)

    def will(self, method: str, *faults: Fault) -> None:
        """Apply one fault to each next request of a method, the last one to all later ones.

        The method `card` stands for requests of the agent card.
        """
        self._faults[method] = deque(faults)

    @property
    def tasks(self) -> list[Task]:
        """All tasks, in the order of their creation."""
        return [task for owned in self._store._impl.tasks.values() for task in owned.values()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.join(10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        given: dict[str, Any] = json.loads(body) if body else {"method": "card", "params": {}}
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.asked.append((given["method"], given.get("params", {}), headers))
        self._moment()
        faults = self._faults.get(given["method"], deque(["none"]))
        fault = faults.popleft() if len(faults) > 1 else faults[0]
        if fault.startswith("rename"):
            body = body.replace(b'"contextId":"t1"', b'"contextId":"theirs"')
            fault = fault.removeprefix("rename").removeprefix(" and ") or "none"
        await self._answer(fault, scope, _again(body, receive), send)
        self._moment()

    def _moment(self) -> None:
        self.moments += 1
        self.happens(self.moments)

    async def _answer(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault:
            case "none":
                await self._app(scope, receive, send)
            case "hang":
                await anyio.sleep_forever()
            case "drop":
                await self._app(scope, receive, _nowhere)
                raise ConnectionAbortedError
            case "cut":
                await self._app(scope, receive, _cutting(send))
            case "ignore":
                given = json.loads(await _body(receive))
                task = next(each for each in self.tasks if each.id == given["params"]["message"]["taskId"])
                answer = {"jsonrpc": "2.0", "id": given["id"], "result": {"task": MessageToDict(task)}}
                await JSONResponse(answer)(scope, receive, send)
            case "garbage":
                await Response("<html>", media_type="application/json")(scope, receive, send)
            case _:
                await Response(status_code=int(fault))(scope, receive, send)


async def _nowhere(message: Message) -> None: ...


def _cutting(send: Send) -> Send:
    async def cut(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body":
            raise ConnectionAbortedError

    return cut


async def _body(receive: Receive) -> bytes:
    body, is_more = b"", True
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        is_more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Callable[[], Any]:
    first = deque([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Any:
        return first.popleft() if first else await receive()

    return again
