"""The agent card: the description of an agent for A2A clients, without its instructions. Pure."""

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
"""The protocols that are served, all at the same address."""

VERSION_DIGITS = 12


def card(agent: Agent, url: str, *, needs_token: bool) -> AgentCard:
    """Return the card of an agent that is served at `url`, which ends with a slash.

    The version is the beginning of the agent's fingerprint in the log.
    """
    durable = "Its tasks are kept in a log and survive a restart of the server."
    description = agent.description or f"The agent {agent.name!r}. {durable}"
    agent_card = AgentCard(
        name=agent.name,
        description=description,
        version=agent.snapshot().fingerprint[:VERSION_DIGITS],
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=False,
            extended_agent_card=False,
            extensions=[AgentExtension(uri=IDEMPOTENT, description="Each message id is accepted once.")],
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
        agent_card.security_schemes["bearer"].CopyFrom(scheme)
        agent_card.security_requirements.append(SecurityRequirement(schemes={"bearer": StringList()}))
    return agent_card
