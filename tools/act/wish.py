"""Something that is wanted of a run: recorded, then waited for a moment, then told what has come of it.

It is durable first, and acted on by whoever executes the run: this process has no agents, and executes
nothing. So the answer has two parts: that it is recorded, and who has taken it in.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from ...engine.runtime import Runtime
from ...store.changeset import ControlEntry, control_stream
from ...store.log import Log
from ..look.runs import ended
from ..opening import reading
from ..standing import Standing, asking, executed_by, going_on, is_gone, recovering, standing
from ..terminal import console, line, print_json, styled

Deed = Callable[[Runtime], Awaitable[object]]


class Wish(NamedTuple):
    """Something that is wanted of a run."""

    db: str
    run_id: str
    what: str
    """In words, as it is told."""

    by: str | None
    do: Deed
    """Records it."""

    is_it: Callable[[ControlEntry], bool]
    """Whether an entry of the run's control stream is it."""


class Recorded(NamedTuple):
    """A wish that is in the log."""

    wish: Wish
    version: int
    """Its place in the run's control stream; the end of that, if it was there before."""

    is_new: bool


def carry_out(wish: Wish, as_json: bool, wait: float) -> None:
    """Record it, wait a moment for somebody to take it in, and say what has come of it."""
    # Opened to be read first: a file that is not there is not made.
    with reading(wish.db) as log:
        standing(log, wish.run_id)
    recorded = anyio.run(_record, wish)
    with reading(wish.db) as log:
        now = _taken_in(log, recorded, wait)
    if as_json:
        print_json(_json(recorded, now))
    else:
        _print(recorded, now)


async def _record(wish: Wish) -> Recorded:
    stream = control_stream(wish.run_id)
    async with Runtime.open(wish.db, agents=[], orphans="leave") as runtime:
        before = runtime.log.head(stream)
        await wish.do(runtime)
        new = runtime.log.read(stream, after=before)
        version = next((each.version for each in new if each.entry and wish.is_it(each.entry)), None)
        return Recorded(wish, version or runtime.log.head(stream), version is not None)


def _taken_in(log: Log, recorded: Recorded, wait: float) -> Standing:
    """Where the run is when somebody has taken it in, or nobody has for a while."""
    now = standing(log, recorded.wish.run_id)
    for _ in log.changes(timeout=wait):
        now = standing(log, recorded.wish.run_id)
        if _is_settled(recorded, now):
            break
    return now


def _is_settled(recorded: Recorded, now: Standing) -> bool:
    return now.status == "done" or now.control >= recorded.version


def _json(recorded: Recorded, now: Standing) -> dict[str, Any]:
    return {
        "run_id": now.run_id,
        "thread_id": now.thread_id,
        "is_new": recorded.is_new,
        "taken_in": _is_settled(recorded, now),
        "status": now.status,
        "termination": now.termination.model_dump(exclude_none=True) if now.termination else None,
        "executor": now.executor.model_dump() if now.executor else None,
    }


def _print(recorded: Recorded, now: Standing) -> None:
    wish = recorded.wish
    by = f", by {wish.by}" if wish.by and recorded.is_new else ""
    told = f"{'recorded' if recorded.is_new else 'nothing new'}: {line(wish.what + by)}"
    console.print(styled(told, "green"), soft_wrap=True)
    console.print(styled(_outcome(recorded, now)), soft_wrap=True)


def _outcome(recorded: Recorded, now: Standing) -> str:
    """Who has taken it in; if nobody has, who will."""
    wish, who = recorded.wish, executed_by(now.executor)
    is_settled = _is_settled(recorded, now)
    match now.status:
        case "done":
            return f"run {line(now.run_id)} is over ({line(ended(now.termination))})"
        case "queued":
            return f"the run waits for its turn on thread {line(now.thread_id)}, and takes it in as it starts"
        case "running" if is_settled:
            return f"{line(who)} has taken it in, and goes on"
        case "running" if is_gone(wish.db, now.executor):
            gone = f"nobody has taken it in: {line(who)}, which executed the run, is gone"
            return f"{gone}. Close the run:\n  {recovering(wish.db, now.run_id)}"
        case "running":
            return f"{line(who)} executes the run, and takes it in as soon as it can"
        case _ if is_settled:
            return (
                f"{line(who)} has taken it in, and the run waits for a person: {asking(wish.db, now.run_id)}"
            )
        case _:
            start = going_on(wish.db, now.thread_id)
            return f"no process has gone on with the run: start one that has agent {now.agent!r}:\n  {start}"
