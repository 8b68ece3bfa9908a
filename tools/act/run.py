"""`threadlog run`: run an agent from a user's file at the terminal."""

import dataclasses

import anyio
import click

from ..agents import load_agents
from ..opening import log_options
from ..run_view import result_json
from ..terminal import print_json
from .session import Session

SUCCESSFUL = ("natural_end", "behavior_requested", "suspended")


@click.command()
@click.argument("agent", metavar="FILE.py:AGENT")
@click.argument("prompt", required=False)
@click.option("--thread", metavar="THREAD", help="Continue this thread. Without it the run gets a new one.")
@click.option("--model", metavar="NAME", help="Use this model instead of the agent's: provider:model.")
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
    """Run an agent and show what it does. Without a PROMPT, resume the run that waits on --thread.

    Asks for approvals if it runs at a terminal. Ctrl-C cancels the run, and the log says so. Exits with 1 if
    the run ends in any way but by itself.
    """
    if prompt is None and thread is None:
        raise click.UsageError("give a PROMPT, or --thread with a run that waits")
    (_, *others), found = load_agents(agent)
    if found is None:
        raise click.UsageError(f"{agent!r} has several agents: name one, as FILE.py:AGENT")
    chosen = dataclasses.replace(found, model=model) if model else found
    # Refuse a wrong model name before a log is created.
    chosen.models()
    session = Session(db, chosen, others, thread, is_quiet=as_json)
    result = anyio.run(session.run, prompt)
    if as_json:
        print_json(result_json(result))
    if session.is_interrupted:
        again = f"threadlog run {agent} PROMPT --thread {result.thread_id} --db {db}"
        click.echo(f"cancelled; continue with: {again}", err=True)
        context.exit(130)
    context.exit(0 if result.termination.type in SUCCESSFUL else 1)
