"""Remote agents: what the registry has of an agent that runs on another machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from ...reducers.reducer import Reducer
from ...store.changeset import AgentFacts
from ...store.document import dumps
from ...store.errors import DefinitionError
from ..models import Model
from .tool import Tool


@dataclass(frozen=True)
class RemoteAgent:
    """An agent behind an A2A server. A run of it follows a task there, on a thread that mirrors the task.

    Raises:
        DefinitionError: the address is none for HTTP or holds a password, or the extra is not installed.
    """

    name: str
    url: str
    """Where its agent card is: the server's own address, or that of the card if it ends with `.json`."""

    token_env: str | None = None
    """The environment variable with the bearer token that is sent. The log never has the token."""

    patience: float = 3600.0
    """Seconds for which a server that does not answer is tried again, before the run ends as an error."""

    card: Mapping[str, Any] | None = field(default=None, repr=False)
    """The agent card, if it was read; else it is read when a run begins."""

    adopts_orphans: ClassVar[bool] = True
    """Its runs go on where they are, whatever becomes of the process that follows them."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DefinitionError(f"the address of agent {self.name!r} is none for HTTP: {self.url!r}")
        if parts.username or parts.password:
            raise DefinitionError(
                f"the address of agent {self.name!r} holds a password, which the log would keep: "
                "put a token into the environment, and name it by token_env"
            )
        if find_spec("a2a") is None:
            raise DefinitionError(
                f"agent {self.name!r} needs the A2A SDK: install it with pip install 'threadlog[a2a]'"
            )

    @property
    def description(self) -> str:
        """What the agent says of itself, once its card was read."""
        return str(self.card.get("description", "")) if self.card else ""

    @property
    def output_type(self) -> type[BaseModel] | None:
        """None: an output is what the task gives."""
        return None

    def models(self) -> list[Model]:
        """None: it asks them where it is."""
        return []

    def toolbox(self) -> dict[str, Tool]:
        """None that are called here."""
        return {}

    def all_reducers(self) -> tuple[Reducer, ...]:
        """None of its own."""
        return ()

    def facts(self) -> AgentFacts:
        """The address and the card in force. The fingerprint is theirs."""
        given = {"url": self.url, "card": dict(self.card) if self.card else None}
        specification: dict[str, Any] = {
            "kind": "a2a",
            **given,
            "token_env": self.token_env,
            "patience": self.patience,
            "adopts_orphans": self.adopts_orphans,
        }
        fingerprint = sha256(dumps(given)).hexdigest()
        return AgentFacts(name=self.name, fingerprint=fingerprint, specification=specification)
