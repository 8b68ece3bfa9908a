"""Finds a remote agent by its address."""

from dataclasses import replace

from ...store.errors import DefinitionError
from ..agents import RemoteAgent
from .remote_error import RemoteError


async def discover(url: str, *, name: str | None, token_env: str | None) -> RemoteAgent:
    """Return the agent at an address with its card. Without a `name`, it has the name on the card.

    Raises:
        DefinitionError: there is no agent card, or the agent cannot be defined.
    """
    agent = RemoteAgent(name or "", url, token_env=token_env)
    # Imported here, because programs without remote agents do not need the SDK.
    from .client import RemoteClient

    try:
        async with RemoteClient(agent) as client:
            card = await client.card()
    except RemoteError as err:
        raise DefinitionError(f"no agent was found at {url!r}: {err}") from err
    return replace(agent, name=name or str(card["name"]), card=card)
