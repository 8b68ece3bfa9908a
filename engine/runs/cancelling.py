"""How runs are brought to their end: cancelled with all that they have started, or recovered."""

from collections.abc import Sequence

import anyio

from ...store.changeset import ControlEntry
from ...store.errors import RunError, RunOver
from ...store.listing import RunRow
from ...store.log import POLL_SECONDS
from ..commit import Effects
from .dispatcher import Dispatch
from .launcher import Launcher
from .queries import Views
from .recovery import Recovered, Recovery


class Ends(Views):
    """The ends of the runs of a log, for whoever wants them."""

    _effects: Effects
    _launcher: Launcher
    _dispatch: Dispatch
    _recovery: Recovery

    async def cancel(self, run_id: str, *, by: str | None = None, reason: str | None = None) -> bool:
        """Cancel a run and all that it has started. False if it is over already.

        That it is wanted is durable on return. A run that waits or is queued is over then; one that goes
        on ends as soon as it can, wherever it does. Cancelled twice it does not wait for what behaviors
        do at its end either.

        Raises:
            NotFound: there is no such run.
        """
        if self._status(run_id) == "done":
            return False
        return (await self._cancel_tree(run_id, by, reason))[run_id]

    async def recover(self, run_id: str | None = None, *, force: bool = False) -> list[Recovered]:
        """Recover the runs whose process died, or one of them, as `orphans` says: durable on return.

        Which they were; none if there are none, so it may be repeated. Where orphans are left alone, to
        recover them stops them. With `force` a run is taken from whoever executes it: a process that is
        stopped keeps its runs, and writes nothing more of this one when it wakes.

        Raises:
            NotFound: there is no such run.
            RunError: somebody executes it, and nothing says to use force.
        """
        if run_id is None:
            return await self._recovery.recover_all()
        row = self._row(run_id)
        if row.status == "running" and not force and not self._recovery.is_orphan(row):
            raise RunError(
                f"run {run_id!r} is executed by {_who(row)}, which is alive: cancel it, or use force"
            )
        found = await self._recovery.recover(run_id, force=force)
        return [found] if found else []

    async def cancel_and_wait(self, run_id: str, *, by: str | None = None, reason: str | None = None) -> bool:
        """As `cancel`, and return once the end of that very run is durable, wherever it goes on.

        Raises:
            NotFound: there is no such run.
        """
        cancelled = await self.cancel(run_id, by=by, reason=reason)
        await self._over(run_id)
        return cancelled

    async def stop(self, run_id: str, *, by: str | None = None, reason: str | None = None) -> bool:
        """Cancel a run and all that it has started, and return once all of that is over. False if it was.

        Raises:
            NotFound: there is no such run.
        """
        self._status(run_id)
        tree = await self._cancel_tree(run_id, by, reason)
        for each in tree:
            await self._over(each)
        return any(tree.values())

    def _children(self, run_id: str) -> list[str]:
        # The queue first: a run that begins meanwhile is found among those that began.
        queued = [row.run_id for row in self.log.queued() if row.parent_run_id == run_id]
        return list(dict.fromkeys([*queued, *(row.run_id for row in self.log.children(run_id))]))

    async def _cancel_tree(self, run_id: str, by: str | None, reason: str | None) -> dict[str, bool]:
        """Cancel a run and all below it: each, and whether it was not over before.

        What is over in between shields nothing. Nothing begins below a run that is over or cancelled, so
        what it has started is known when it is.
        """
        tree = {run_id: await self._cancel(run_id, by, reason)}
        for each in (found := [run_id]):
            for child in self._children(each):
                if child not in tree:
                    tree[child] = await self._cancel(child, by, reason)
                    found.append(child)
        return tree

    async def _cancel(self, run_id: str, by: str | None, reason: str | None) -> bool:
        if self._status(run_id) == "done":
            return False
        entry = ControlEntry(id=self._effects.new_id(), kind="cancel", by=by, content=reason)

        def choice(known: Sequence[ControlEntry]) -> list[ControlEntry]:
            # What was taken in has ended an epoch before this one.
            row = self.log.run(run_id)
            is_wanted = any(each.kind == "cancel" for each in known[row.control if row else 0 :])
            return [] if is_wanted else [entry]

        try:
            is_new = await self._dispatch.stream(run_id).add(choice)
        except RunOver:
            return False
        await self._dispatch.attend(run_id)
        if not is_new and (execution := self._launcher.of(run_id)):
            execution.control.cancel()
        await self._recovery.stop_orphan(run_id)
        return True

    async def _over(self, run_id: str) -> None:
        """Return once the run's end is durable. Its process may die before: then nothing more comes of it."""
        while (row := self.log.run(run_id)) and row.status != "done":
            await self._recovery.stop_orphan(run_id)
            await anyio.sleep(POLL_SECONDS)


def _who(row: RunRow) -> str:
    return f"process {row.executor.pid} on {row.executor.host}" if row.executor else "somebody"
