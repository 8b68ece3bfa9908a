"""Remote agents: agents that run on another machine, as the registry knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from ...reducers.reducer import Reducer
from ...store.changeset import AgentSnapshot
from ...store.document import dumps
from ...store.errors import DefinitionError
from ..models import Model
from .tool import Tool


@dataclass(frozen=True)
class RemoteAgent:
    """An agent of an A2A server. A run follows a task of the server, on a thread that mirrors the task.

    Raises:
        DefinitionError: the address is not HTTP or contains a password, or the extra is not installed.
    """

    name: str
    url: str
    """The address of the server, or of the agent card if it ends with `.json`."""

    token_env: str | None = None
    """The environment variable that has the bearer token. The log never contains the token."""

    patience: float = 3600.0
    """Seconds to retry while the server does not answer. Then the run ends with an error."""

    card: Mapping[str, Any] | None = field(default=None, repr=False)
    """The agent card, if it was already read. Otherwise it is read when a run begins."""

    adopts_orphans: ClassVar[bool] = True
    """The remote run continues even if the process that follows it dies."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DefinitionError(f"the address of agent {self.name!r} is not an HTTP URL: {self.url!r}")
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
        """The description in the agent card, if the card was read."""
        return str(self.card.get("description", "")) if self.card else ""

    @property
    def output_type(self) -> type[BaseModel] | None:
        """None: the output is that of the task."""
        return None

    def models(self) -> list[Model]:
        """Return no models: the remote agent asks its own."""
        return []

    def toolbox(self) -> dict[str, Tool]:
        """Return no tools: the remote agent calls its own."""
        return {}

    def all_reducers(self) -> tuple[Reducer, ...]:
        """Return no reducers."""
        return ()

    def snapshot(self) -> AgentSnapshot:
        """Return the specification, with the fingerprint of the address and the card."""
        given = {"url": self.url, "card": dict(self.card) if self.card else None}
        specification: dict[str, Any] = {
            "kind": "a2a",
            **given,
            "token_env": self.token_env,
            "patience": self.patience,
        }
        fingerprint = sha256(dumps(given)).hexdigest()
        return AgentSnapshot(
            name=self.name, fingerprint=fingerprint, specification=specification, adopts_orphans=True
        )
