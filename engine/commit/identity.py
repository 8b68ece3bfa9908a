"""The identity of a run in its changesets, and the sources of its own actions."""

from dataclasses import dataclass

from ...store.changeset import control_stream

LOOP = "agent_loop"
"""The source of actions of the run loop."""

GIVEN = "given"
"""The source of actions that set the state a run starts with."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The ids that every changeset of an epoch carries."""

    run_id: str
    thread_id: str
    epoch: int

    parent_run_id: str | None = None

    @property
    def stream(self) -> str:
        """The name of the run's control stream."""
        return control_stream(self.run_id)
