"""The part of `serve` that needs the A2A SDK. The SDK is an extra, so only `serve` imports this."""

import socket
from collections.abc import Callable, Sequence

from ...engine import Agent, Runtime
from ...engine.serve.a2a import Application, Site, path_of, serve

__all__ = ["Site", "check_agents", "serve_agents"]


def check_agents(agents: Sequence[Agent]) -> None:
    """Check the names of agents and models, before a log is created.

    Raises:
        DefinitionError: an agent's name cannot be part of a URL, or a model's name is unknown.
    """
    for agent in agents:
        agent.models()
        path_of(agent)


async def serve_agents(
    opened: Runtime,
    agents: Sequence[Agent],
    site: Site,
    listening: socket.socket,
    report: Callable[[dict[str, str]], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM. `report` receives the address of each agent."""
    async with opened as runtime:
        application = Application(runtime, agents, site)
        report({agent.name: f"{site.url}{path_of(agent)}/" for agent in agents})
        await serve(application, listening)
