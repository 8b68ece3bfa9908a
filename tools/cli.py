"""The command `threadlog`: its commands, and what its exit codes mean.

0    fine
1    a check found something
2    wrong usage, or refused input
3    no such file, thread, run or version
4    the file cannot be read, written or understood
5    refused because of a conflict or a live owner
130  Ctrl-C
"""

import os
import sys
from io import TextIOWrapper

import click
from click.exceptions import NoArgsIsHelpError

from ..store import errors
from .act.control import cancel, decide, steer
from .act.recover import recover
from .act.run import run
from .act.serve import serve
from .check.audit import rebuild, replay, stats, verify
from .demo.command import demo
from .look.browse import diff, log, show, state, threads
from .look.follow import follow
from .look.pending import pending
from .look.runs import runs
from .terminal import line

_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.LogNotFound, 3),
    (errors.NotFound, 3),
    (errors.VersionConflict, 5),
    (errors.ChangesetExists, 5),
    (errors.RunError, 5),
    (errors.LogError, 4),
    (errors.ThreadlogError, 2),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="threadlog", message="%(prog)s %(version)s")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def cli(context: click.Context, as_json: bool) -> None:
    """Replayable agent runs in one SQLite file: see, check and replay what happened.

    Exit codes: 0 fine, 1 a check found something, 2 wrong usage or refused input, 3 no such file,
    thread, run or version, 4 the file cannot be read, written or understood, 5 conflict, 130 Ctrl-C.
    """
    context.obj = as_json


LOOKING = (threads, runs, show, log, state, diff)
CONTROLLING = (follow, pending, decide, steer, cancel, recover)
CHECKING = (verify, replay, rebuild, stats)

for command in (demo, run, serve, *LOOKING, *CONTROLLING, *CHECKING):
    cli.add_command(command)


def main() -> None:
    """Run the command and exit with its code. No error is shown as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What the terminal's encoding lacks is written as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except NoArgsIsHelpError as err:
        err.show()
        code = err.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        code = 0
    except Exception as err:
        code = _explained(err)
    _drop_what_cannot_be_written()
    sys.exit(code if isinstance(code, int) else 0)


def _explained(err: Exception) -> int:
    """Say what failed, and what to do next; the exit code."""
    match err:
        case click.UsageError(ctx=click.Context() as context):
            _say(err.format_message())
            _say(f"`{context.command_path} --help` says how it is used")
            return err.exit_code
        case click.ClickException():
            _say(err.format_message())
            return err.exit_code
        case errors.ThreadlogError():
            _say(err)
            return next(code for kind, code in _EXIT_CODES if isinstance(err, kind))
        case OSError():
            _say(f"{err.filename!r}: {err.strerror}" if err.filename else f"cannot write: {err}")
            return 4
    raise err


def _say(text: object) -> None:
    click.echo(f"threadlog: {line(text)}", err=True)


def _drop_what_cannot_be_written() -> None:
    # Python flushes again at exit, and would report what is known already.
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
