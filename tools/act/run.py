"""`threadlog run`: run an agent of a user's file at the terminal."""

import dataclasses

import anyio
import click

from ..agents import load_agents
from ..next_steps import command_line
from ..opening import log_options
from ..run_view import result_json
from ..terminal import print_json
from .session import Session

SUCCESSFUL = ("natural_end", "behavior_requested", "suspended")
"""Terminations that exit with 0."""


@click.command()
@click.argument("agent", metavar="FILE.py:AGENT")
@click.argument("prompt", required=False)
@click.option("--thread", metavar="THREAD", help="Continue this thread. Default: a new thread.")
@click.option("--model", metavar="NAME", help="Use another model: provider:model.")
@log_options
@click.pass_context
def run(
    context: click.Context,
    db: str,
    as_json: bool,
    agent: str,
    prompt: str | None,
    thread: str | None,
    model: str | None,
) -> None:
    """Run an agent and print what it does. Without a PROMPT, resume the waiting run of --thread.

    At a terminal this asks for approvals; otherwise the run is left waiting. Ctrl-C cancels the run. Exits
    with 1 if the run fails or is stopped.
    """
    if prompt is None and thread is None:
        raise click.UsageError("give a PROMPT, or --thread to resume its waiting run")
    (_, *others), found = load_agents(agent)
    if found is None:
        raise click.UsageError(f"{agent!r} defines several agents: name one, as FILE.py:AGENT")
    chosen = dataclasses.replace(found, model=model) if model else found
    # Refuse a wrong model name before a log is created.
    chosen.models()
    session = Session(db, chosen, others, thread, is_quiet=as_json)
    result = anyio.run(session.run, prompt)
    if as_json:
        print_json(result_json(result))
    if session.is_interrupted:
        again = command_line("run", agent, "PROMPT", "--thread", result.thread_id, "--db", db)
        click.echo(f"Cancelled. Continue the thread with:\n  {again}", err=True)
        context.exit(130)
    context.exit(0 if result.termination.type in SUCCESSFUL else 1)
