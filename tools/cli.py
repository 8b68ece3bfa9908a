"""The `threadlog` command: its subcommands and exit codes.

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
from .act import cancel, decide, recover, run, serve, steer
from .check import copy, rebuild, replay, stats, verify
from .demo import demo
from .look import diff, follow, log, pending, runs, show, state, threads
from .terminal import one_line

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
    """Run agents, see what they did, check and replay it: every step is in one SQLite file.

    Exit codes: 0 fine, 1 a check found something, 2 wrong usage or refused input, 3 no such file,
    thread, run or version, 4 the file cannot be read, written or understood, 5 conflict, 130 Ctrl-C.
    """
    context.obj = as_json


LOOK = (threads, runs, show, log, state, diff, pending, follow)
ACT = (run, serve, decide, steer, cancel, recover)
CHECK = (verify, replay, rebuild, stats, copy)

for command in (demo, *LOOK, *ACT, *CHECK):
    cli.add_command(command)


def main() -> None:
    """Run the command and exit with its code. Known errors are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # The terminal's encoding may lack characters.
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
        code = _explain(err)
    _discard_unwritable_output()
    sys.exit(code if isinstance(code, int) else 0)


def _explain(err: Exception) -> int:
    """Print what failed and what to do next; return the exit code."""
    match err:
        case click.UsageError(ctx=click.Context() as context):
            _say(err.format_message())
            _say(f"see `{context.command_path} --help`")
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
    click.echo(f"threadlog: {one_line(text)}", err=True)


def _discard_unwritable_output() -> None:
    # Python flushes again at exit, and would report the error a second time.
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
