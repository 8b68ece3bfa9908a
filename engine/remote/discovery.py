"""From an address to a remote agent: its card is read."""

from dataclasses import replace

from ...store.errors import DefinitionError
from ..agents import RemoteAgent
from .remote_error import RemoteError


async def discovered(url: str, *, name: str | None, token_env: str | None) -> RemoteAgent:
    """The agent behind an address, under the name that its card gives unless there is another one.

    Raises:
        DefinitionError: there is no agent card, or the agent cannot be defined.
    """
    agent = RemoteAgent(name or "", url, token_env=token_env)
    # Late: without a remote agent nobody needs the SDK.
    from .client import Remote

    try:
        async with Remote(agent) as remote:
            card = await remote.card()
    except RemoteError as err:
        raise DefinitionError(f"no agent was found at {url!r}: {err}") from err
    return replace(agent, name=name or str(card["name"]), card=card)
