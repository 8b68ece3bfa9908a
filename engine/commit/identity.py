"""Whose changesets these are: the run, and the sources of what its loop does."""

from dataclasses import dataclass

from ...store.changeset import control_stream

LOOP = "agent_loop"
"""The source of what the loop itself does."""

GIVEN = "given"
"""The source of what a run begins with."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What every changeset of a run carries."""

    run_id: str
    thread_id: str
    epoch: int

    parent_run_id: str | None = None

    @property
    def stream(self) -> str:
        """The run's control stream."""
        return control_stream(self.run_id)
