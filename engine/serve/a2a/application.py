"""The HTTP application: each agent at its own path, with JSON-RPC and REST at the same address.

    /agents/<name>/                                 one of the agents is also served at /
    /agents/<name>/.well-known/agent-card.json

Agent cards are public. Everything else needs the bearer token, if there is one. Without a token, requests
from web pages are refused: any page open in a browser on this machine could send them.
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
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH as CARD_PATH
from anyio.lowlevel import current_token
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ....store.errors import DefinitionError, RunError
from ...agents import Agent
from ...runs import RunService
from .agent_server import AgentServer
from .card import card

GRACE_SECONDS = 1
"""How long open requests may take when the server shuts down."""

_NAME = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Site:
    """Where agents are served, and who may use them."""

    url: str
    """The public address, without a slash at the end."""

    root: Agent | None = None
    """The agent that is also served at the root."""

    token: str | None = None
    """The bearer token of clients; without it, every client may use the agents."""


def path_of(agent: Agent) -> str:
    """Return the path of an agent.

    Raises:
        DefinitionError: the agent's name cannot be part of a path.
    """
    if not _NAME.fullmatch(agent.name):
        raise DefinitionError(f"agent {agent.name!r} cannot be served: use letters, digits and . _ ~ -")
    return f"/agents/{agent.name}"


class Application:
    """An ASGI application that serves agents. Serve it while the runtime is open."""

    def __init__(self, runtime: RunService, agents: Sequence[Agent], site: Site) -> None:
        places = [(agent, path_of(agent)) for agent in agents]
        places += [(site.root, "")] if site.root else []
        self._servers = [AgentServer(runtime, agent.name) for agent, _ in places]
        routes = [
            route
            for server, (agent, path) in zip(self._servers, places, strict=True)
            for route in _routes(server, agent, path, site)
        ]
        public = frozenset(path + CARD_PATH for _, path in places)
        self._guard = _AccessGuard(Starlette(routes=routes), site.token, public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)

    def close(self) -> None:
        """Answer requests that wait for a task at once, before the server shuts down."""
        for server in self._servers:
            server.close()


def _routes(handler: AgentServer, agent: Agent, path: str, site: Site) -> list[BaseRoute]:
    agent_card = card(agent, f"{site.url}{path}/", needs_token=site.token is not None)
    rest = create_rest_routes(handler, path_prefix=path, enable_v0_3_compat=True)
    return [
        *create_agent_card_routes(agent_card, card_url=path + CARD_PATH),
        *(
            route
            for address in dict.fromkeys([path or "/", f"{path}/"])
            for route in create_jsonrpc_routes(handler, address, enable_v0_3_compat=True)
        ),
        # Leave out the routes for tenants: they match any first path segment.
        *(route for route in rest if isinstance(route, Route)),
    ]


class _AccessGuard:
    """ASGI middleware that refuses requests without the bearer token or, without a token, from web pages."""

    def __init__(self, app: ASGIApp, token: str | None, public: frozenset[str]) -> None:
        self._app = app
        self._public = public
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_public = scope["path"] in self._public
        answer = None if is_public else self._refusal(dict(scope["headers"]))
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> ASGIApp | None:
        if self._expected is None:
            is_web_page = b"origin" in headers
            refusal = PlainTextResponse("web pages need a server with a bearer token", 403)
            return refusal if is_web_page else None
        if hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            return None
        return PlainTextResponse("send a bearer token", 401, headers={"WWW-Authenticate": "Bearer"})


# A subclass, because uvicorn has no option to leave signals alone.
class _Server(uvicorn.Server):
    """A server that leaves signals to the caller, which closes the runtime after them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Application, listening: socket.socket) -> None:
    """Serve on an open socket until Ctrl-C or SIGTERM, which cut off open streams.

    Raises:
        RunError: the event loop is not asyncio's.
    """
    if not hasattr(current_token().native_token, "call_soon_threadsafe"):
        raise RunError("the A2A server runs only on asyncio: use anyio.run(…, backend='asyncio')")
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
            tasks.start_soon(_shut_down, app, server, signals)
            await server.serve([listening])
            tasks.cancel_scope.cancel()


async def _shut_down(
    app: Application, server: uvicorn.Server, signals: AsyncIterator[signal.Signals]
) -> None:
    async for each in signals:
        app.close()
        server.handle_exit(each, None)
