"""What `serve` needs from the A2A SDK. Imported only where agents are served: the SDK is an extra."""

import socket
from collections.abc import Callable, Sequence

from ...engine import Agent, Runtime
from ...engine.serve.a2a import Application, Site, path_of, serve

__all__ = ["Site", "check_agents", "serve_agents"]


def check_agents(agents: Sequence[Agent]) -> None:
    """Refuse wrong names before a log is created.

    Raises:
        DefinitionError: an agent's name makes no path, or a model's name is wrong.
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
