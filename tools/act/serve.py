"""`threadlog serve`: the agents of a user's file, for A2A clients."""

import logging
import os
import socket
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import anyio
import click

from ...engine import Agent, RemoteAgent, Runtime
from ...engine.runs import Orphans
from ..agents import agents_at
from ..opening import on_a_log
from ..terminal import line, print_json, visible

MISSING = "{name} is not installed: pip install 'threadlog[a2a]'"


@click.command()
@click.argument("agents", metavar="FILE.py[:AGENT]")
@click.option("--a2a", is_flag=True, required=True, help="Serve them by the A2A protocol.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any.")
@click.option("--url", metavar="URL", help="How clients reach it, if not under that address: for the cards.")
@click.option("--token-env", metavar="NAME", help="Ask for the bearer token in this environment variable.")
@click.option(
    "--orphans",
    type=click.Choice(("stop", "ask", "resume")),
    default="stop",
    show_default=True,
    help="What becomes of runs whose process died: they are over, a person is asked, or they go on.",
)
@on_a_log
@click.pass_context
def serve(
    context: click.Context,
    db: str,
    as_json: bool,
    agents: str,
    a2a: bool,
    host: str,
    port: int,
    url: str | None,
    token_env: str | None,
    orphans: Orphans,
) -> None:
    """Serve the agents of a file, each at /agents/NAME/, until Ctrl-C or SIGTERM: then it exits with 130.

    An agent that is named, or the only one of the file, is served at / as well. The file's remote agents are
    not served: they may work for those that are. A task is a run and a context
    a thread of the log: another server on the file, or this one started again, answers for the same tasks. A
    message to a context where a task goes on waits for its turn. When the server ends, the runs that go on
    in it are cancelled, and the log says so.
    """
    known, root = agents_at(agents)
    serving, token = _serving(), _token(token_env)
    for agent in _served(known):
        # What is wrong with a name is said before a log is made.
        agent.models()
        serving.path_of(agent)
    with _listening(host, port) as listening:
        _log_in_lines()
        site = serving.Site(url.rstrip("/") if url else _address(listening), root, token)
        runtime = Runtime.open(db, agents=known, orphans=orphans)
        anyio.run(_serve, serving, runtime, _served(known), site, listening, as_json, backend="asyncio")
    context.exit(130)


async def _serve(
    serving: ModuleType,
    opened: Runtime,
    agents: Sequence[Agent],
    site: Any,
    listening: socket.socket,
    as_json: bool,
) -> None:
    async with opened as runtime:
        app = serving.Application(runtime, agents, site)
        _tell({agent.name: f"{site.url}{serving.path_of(agent)}/" for agent in agents}, as_json)
        await serving.serve(app, listening)


def _served(known: Sequence[Agent | RemoteAgent]) -> list[Agent]:
    return [agent for agent in known if isinstance(agent, Agent)]


def _serving() -> ModuleType:
    try:
        return import_module("...engine.serve.a2a", __package__)
    except ModuleNotFoundError as err:
        if (err.name or "").startswith("threadlog"):
            raise
        raise click.UsageError(MISSING.format(name=err.name)) from err


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (token := os.environ.get(variable, "").strip()):
        raise click.UsageError(
            f"the environment variable {variable!r} has no token: set it, or leave the option"
        )
    return token


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as err:
        problem = f"cannot listen on {host} port {port}: {err.strerror}"
        raise click.UsageError(f"{problem}; choose others with --host and --port") from err


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell(addresses: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"agents": addresses}, indent=None)
        return
    for name, address in addresses.items():
        click.echo(f"{visible(name)}: {visible(address)}")


class _Lines(logging.Formatter):
    """What libraries report, one line each: what clients have sent may be in it."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        return line(f"threadlog: {record.getMessage()}" + (f": {error!r}" if error else ""))


def _log_in_lines() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
