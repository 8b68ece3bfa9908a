"""Run control at the terminal: decide, steer, cancel. What each means is the runtime's to say."""

import getpass
from typing import Any

import click

from ...engine.commit import Effects
from ...engine.control import Decision
from ...engine.runtime import Runtime
from ...store.changeset import ControlEntry
from ...store.document import parse
from ...store.errors import ContentError, RunOver
from ..look.runs import ended
from ..opening import Decorated, on_a_log
from ..standing import Standing, standing
from .wish import Wish, carry_out


def on_a_run(function: Decorated) -> Decorated:
    """Adds what commands have in common that want something of a run."""
    by = click.option(
        "--by", metavar="NAME", help="Who wants it, for the log. Your login name, if not given."
    )
    wait = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=0.5,
        metavar="SECONDS",
        help="How long to wait for a process to take it in. Recorded it is at once.  [default: 0.5]",
    )
    return by(wait(on_a_log(function)))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("target", metavar="TARGET")
@click.option("--approve", is_flag=True, help="The call goes on.")
@click.option("--deny", is_flag=True, help="The call is refused, and the model is told so.")
@click.option("--reason", metavar="TEXT", help="Why not: the model is told.")
@click.option("--result", metavar="JSON", help="What else you answer, as JSON.")
@click.option("--id", metavar="ID", help="An id for the decision, instead of one made from the ticket.")
@on_a_run
def decide(
    db: str,
    as_json: bool,
    run_id: str,
    target: str,
    approve: bool,
    deny: bool,
    reason: str | None,
    result: str | None,
    by: str | None,
    id: str | None,
    wait: float,
) -> None:
    """Answer a call that waits for a person. TARGET is its ticket or call id: `threadlog pending` has both.

    The answer is recorded at once. A process that has the run's agent goes on with it; if none is there, this
    says how to start one. The same answer again changes nothing; another one is refused.
    """
    if approve == deny:
        raise click.UsageError("say either --approve or --deny")
    if approve and reason is not None:
        raise click.UsageError("--reason says why not: it goes with --deny")
    given = Decision(target, approve, _parsed(result), reason, _named(by), id)

    async def do(runtime: Runtime) -> None:
        await runtime.decide(run_id, [given])

    def is_it(entry: ControlEntry) -> bool:
        content = entry.content if isinstance(entry.content, dict) else {}
        return entry.kind == "decide" and content.get("target") == target

    what = f"{target} is {'approved' if approve else 'denied'}"
    carry_out(Wish(db, run_id, what, given.by, do, is_it), as_json, wait)


def _parsed(result: str | None) -> Any:
    try:
        return None if result is None else parse(result)
    except ContentError as err:
        raise click.UsageError(f"--result is {err}") from err


def _named(by: str | None) -> str | None:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A user without a name, as in a container.
        return None


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("text", metavar="TEXT")
@click.option("--id", metavar="ID", help="An id: the same text with the same id counts once.")
@on_a_run
def steer(
    db: str, as_json: bool, run_id: str, text: str, by: str | None, id: str | None, wait: float
) -> None:
    """Say something to a run: the model reads it at its next step. A run that waits goes on with it."""
    if not text.strip():
        raise click.UsageError("say something: TEXT is empty")
    entry_id, name = id or Effects().new_id(), _named(by)

    async def do(runtime: Runtime) -> None:
        await runtime.steer(run_id, text, by=name, id=entry_id)

    wish = Wish(db, run_id, f"the run is told {text!r}", name, do, lambda entry: entry.id == entry_id)
    carry_out(wish, as_json, wait)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--reason", metavar="TEXT", help="Why, for the log.")
@on_a_run
def cancel(db: str, as_json: bool, run_id: str, reason: str | None, by: str | None, wait: float) -> None:
    """Cancel a run, and all that it has started.

    One that waits or is queued is over at once; one that goes on ends as soon as it can, wherever it does.
    """
    name = _named(by)

    async def do(runtime: Runtime) -> None:
        if not await runtime.cancel(run_id, by=name, reason=reason):
            _refuse_unless_cancelled(standing(runtime.log, run_id))

    wish = Wish(db, run_id, "the run is to be cancelled", name, do, lambda entry: entry.kind == "cancel")
    carry_out(wish, as_json, wait)


def _refuse_unless_cancelled(now: Standing) -> None:
    """Pass if what was wanted is so already."""
    if now.termination is None or now.termination.type != "cancelled":
        raise RunOver(now.run_id, ended(now.termination))
