"""The agents of a runtime behind HTTP: each at a path of its own, JSON-RPC and REST at the same address.

    /agents/<name>/                                 and, for one of them, also  /
    /agents/<name>/.well-known/agent-card.json

Cards are public. Everything else needs the bearer token, if there is one; without one, no page in a browser
is answered: it could be anybody's, on the machine of somebody who may ask.
"""

import hmac
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import uvicorn
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from anyio.lowlevel import current_token
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ....store.errors import DefinitionError, RunError
from ...agents import Agent
from ...runs import Runs
from .agent_server import AgentServer
from .card import card

CARD = "/.well-known/agent-card.json"
GRACE_SECONDS = 1
"""For requests that are being answered when the server is to end."""

_NAME = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Site:
    """Where agents are served, and to whom."""

    url: str
    """As clients reach it, without a slash at its end."""

    root: Agent | None = None
    """The agent that is served at the root, too."""

    token: str | None = None
    """What clients must bear; without it everybody may ask."""


def path_of(agent: Agent) -> str:
    """Where an agent is served.

    Raises:
        DefinitionError: its name makes no path.
    """
    if not _NAME.fullmatch(agent.name):
        raise DefinitionError(f"agent {agent.name!r} cannot be served: use letters, digits and . _ ~ -")
    return f"/agents/{agent.name}"


class Application:
    """The agents as an ASGI application, to be served while the runtime is open."""

    def __init__(self, runtime: Runs, agents: Sequence[Agent], site: Site) -> None:
        places = [(agent, path_of(agent)) for agent in agents]
        places += [(site.root, "")] if site.root else []
        self._servers = [AgentServer(runtime, agent.name) for agent, _ in places]
        routes = [
            route
            for server, (agent, path) in zip(self._servers, places, strict=True)
            for route in _routes(server, agent, path, site)
        ]
        public = frozenset(path + CARD for _, path in places)
        self._door = _Door(Starlette(routes=routes), site.token, public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)

    def end(self) -> None:
        """The server is about to end: nobody is kept waiting."""
        for server in self._servers:
            server.end()


def _routes(handler: AgentServer, agent: Agent, path: str, site: Site) -> list[BaseRoute]:
    shown = card(agent, f"{site.url}{path}/", needs_token=site.token is not None)
    rest = create_rest_routes(handler, path_prefix=path, enable_v0_3_compat=True)
    return [
        *create_agent_card_routes(shown, card_url=path + CARD),
        *(
            route
            for address in dict.fromkeys([path or "/", f"{path}/"])
            for route in create_jsonrpc_routes(handler, address, enable_v0_3_compat=True)
        ),
        # The others take any first part of a path for the name of a tenant; there are none.
        *(route for route in rest if isinstance(route, Route)),
    ]


class _Door:
    """Lets pass who may ask."""

    def __init__(self, app: ASGIApp, token: str | None, public: frozenset[str]) -> None:
        self._app = app
        self._public = public
        self._wanted = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_public = scope["path"] in self._public
        answer = None if is_public else self._refusal(dict(scope["headers"]))
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> ASGIApp | None:
        if self._wanted is None:
            is_page = b"origin" in headers
            return PlainTextResponse("serve with a token to be asked by pages", 403) if is_page else None
        if hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
            return None
        return PlainTextResponse("a bearer token is needed", 401, headers={"WWW-Authenticate": "Bearer"})


class _Server(uvicorn.Server):
    """Ends when it is told to; signals are the caller's affair, who closes the runtime behind it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Application, listening: socket.socket) -> None:
    """Answer on an open socket until Ctrl-C or SIGTERM; streams are cut off then.

    Raises:
        RunError: this is not asyncio.
    """
    if not hasattr(current_token().native_token, "call_soon_threadsafe"):
        raise RunError("the A2A server runs on asyncio alone: use anyio.run(…, backend='asyncio')")
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            tasks.start_soon(_end, app, server, signals)
            await server.serve([listening])
            tasks.cancel_scope.cancel()


async def _end(app: Application, server: uvicorn.Server, signals: AsyncIterator[signal.Signals]) -> None:
    async for each in signals:
        app.end()
        server.handle_exit(each, None)
