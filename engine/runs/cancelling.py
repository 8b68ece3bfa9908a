"""Cancels runs and all their descendants."""

from collections.abc import Sequence

import anyio

from ...store.changeset import ControlEntry
from ...store.errors import RunOver
from ...store.following import POLL_SECONDS
from .dispatcher import Dispatcher
from .environment import Environment
from .queries import Queries
from .recovery import Recovery


class Cancelling:
    """Appends cancel commands, and ends cancelled orphans, which no other process would end."""

    def __init__(
        self, environment: Environment, queries: Queries, dispatcher: Dispatcher, recovery: Recovery
    ) -> None:
        self._env = environment
        self._queries = queries
        self._dispatcher = dispatcher
        self._recovery = recovery

    async def cancel(self, run_id: str, by: str | None, reason: str | None, *, wait: bool = False) -> bool:
        """Cancel a run and its descendants. False if all of them had finished."""
        tree = await self.cancel_tree(run_id, by, reason)
        for each in tree if wait else ():
            await self._wait_until_done(each)
        return any(tree.values())

    async def cancel_tree(self, run_id: str, by: str | None, reason: str | None) -> dict[str, bool]:
        """Cancel a run and its descendants. Return for each, by id, whether it was still active.

        The descendants of a finished run are cancelled too. No run starts below a finished or cancelled run,
        so its list of children is complete.
        """
        tree = {run_id: await self._cancel(run_id, by, reason)}
        for each in (found := [run_id]):
            for child in self._env.log.child_ids(each):
                if child not in tree:
                    tree[child] = await self._cancel(child, by, reason)
                    found.append(child)
        return tree

    async def _cancel(self, run_id: str, by: str | None, reason: str | None) -> bool:
        if self._queries.status(run_id) == "done":
            return False
        entry = ControlEntry(id=self._env.effects.new_id(), kind="cancel", by=by, content=reason)

        def choice(_: Sequence[ControlEntry]) -> list[ControlEntry]:
            found = self._env.log.run_status(run_id)
            return [] if found and found.is_cancelled else [entry]

        try:
            is_new = await self._env.stream(run_id).add(choice)
        except RunOver:
            return False
        await self._dispatcher.dispatch(run_id)
        if not is_new and (execution := self._env.executions.of(run_id)):
            execution.mailbox.cancel()
        await self._recovery.stop_orphan(run_id)
        return True

    async def _wait_until_done(self, run_id: str) -> None:
        """Wait until the run's end is durable. If its process dies, end it here."""
        while (row := self._env.log.run(run_id)) and row.status != "done":
            await self._recovery.stop_orphan(run_id)
            await anyio.sleep(POLL_SECONDS)
