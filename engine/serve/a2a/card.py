"""How an agent presents itself to A2A clients: its instructions are its own affair. Pure."""

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

from ...agents import Agent
from ...remote import IDEMPOTENT

MODES = ("text/plain", "application/json")
BINDINGS = (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"))
"""All at the one address of the agent."""

VERSION_DIGITS = 12


def card(agent: Agent, url: str, *, needs_token: bool) -> AgentCard:
    """The card of an agent that is served at an address, which ends in a slash.

    Its version is the beginning of the fingerprint that the log has of the agent.
    """
    kept = "What it does is kept in a log, and goes on after a restart."
    description = agent.description or f"The agent {agent.name!r}. {kept}"
    made = AgentCard(
        name=agent.name,
        description=description,
        version=agent.facts().fingerprint[:VERSION_DIGITS],
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=False,
            extended_agent_card=False,
            extensions=[AgentExtension(uri=IDEMPOTENT, description="A message counts once, by its id.")],
        ),
        default_input_modes=MODES,
        default_output_modes=MODES,
        skills=[AgentSkill(id=agent.name, name=agent.name, description=description, tags=["agent"])],
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version=version)
            for binding, version in BINDINGS
        ],
    )
    if needs_token:
        scheme = SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Bearer"))
        made.security_schemes["bearer"].CopyFrom(scheme)
        made.security_requirements.append(SecurityRequirement(schemes={"bearer": StringList()}))
    return made
