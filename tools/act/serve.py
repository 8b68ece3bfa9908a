"""`threadlog serve`: serve the agents of a user's file to A2A clients."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import click

from ...engine import Agent, Runtime
from ...engine.runs import OrphanPolicy
from ..agents import load_agents
from ..opening import log_options
from ..terminal import escape, one_line, print_json


@click.command()
@click.argument("agents", metavar="FILE.py[:AGENT]")
@click.option("--a2a", is_flag=True, required=True, help="Use the A2A protocol.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 for any free port.",
)
@click.option("--url", metavar="URL", help="The URL in the agent cards, if it is not that of host and port.")
@click.option(
    "--token-env", metavar="NAME", help="Require a bearer token: the value of this environment variable."
)
@click.option(
    "--orphans",
    type=click.Choice(("stop", "ask", "resume")),
    default="stop",
    show_default=True,
    help="For runs whose process died: stop them, ask a person, or resume them.",
)
@log_options
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
    orphans: OrphanPolicy,
) -> None:
    """Serve the agents of a file to other programs.

    Each agent is served at /agents/NAME/, until Ctrl-C or SIGTERM (exit code 130). The named agent, or the
    only agent of the file, is also served at /. Remote agents are not served; the others can delegate to
    them. A task is a run, and a context is a thread: every server on the same log, also after a restart,
    answers for the same tasks. A message to a context with an unfinished task is queued. Runs still running
    at shutdown are cancelled.
    """
    with _explain_missing_extra():
        from .a2a_server import Site, check_agents, serve_agents
    known, root = load_agents(agents)
    served = [agent for agent in known if isinstance(agent, Agent)]
    token = _token(token_env)
    check_agents(served)
    with _listen(host, port) as listening:
        _configure_logging()
        site = Site(url.rstrip("/") if url else _address(listening), root, token)
        runtime = Runtime.open(db, agents=known, orphans=orphans)
        report = partial(_print_addresses, as_json=as_json)
        anyio.run(serve_agents, runtime, served, site, listening, report, backend="asyncio")
    context.exit(130)


@contextmanager
def _explain_missing_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as err:
        if (err.name or "").startswith("threadlog"):
            raise
        raise click.UsageError(f"{err.name} is not installed: pip install 'threadlog[a2a]'") from err


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (token := os.environ.get(variable, "").strip()):
        raise click.UsageError(
            f"environment variable {variable!r} is empty: set it to the token, or omit --token-env"
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as err:
        problem = f"cannot listen on {host} port {port}: {err.strerror}"
        raise click.UsageError(f"{problem}; choose another --host or --port") from err


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _print_addresses(addresses: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({"agents": addresses}, indent=None)
        return
    for name, address in addresses.items():
        click.echo(f"{escape(name)}: {escape(address)}")


class _LineFormatter(logging.Formatter):
    """Formats each record of a library's log on one line, with control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        return one_line(f"threadlog: {record.getMessage()}" + (f": {error!r}" if error else ""))


def _configure_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
