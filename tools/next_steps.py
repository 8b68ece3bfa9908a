"""Command lines for the next step, ready to copy and paste."""

import shlex


def decide_line(db: str, run_id: str, target: str) -> str:
    """Return the line that approves a call; with --deny instead of --approve it denies the call."""
    return _threadlog("decide", run_id, target, "--approve", "--db", db)


def pending_line(db: str, run_id: str) -> str:
    """Return the line that lists the questions of a run."""
    return _threadlog("pending", run_id, "--db", db)


def recover_line(db: str, run_id: str) -> str:
    """Return the line that closes a run whose process died."""
    return _threadlog("recover", run_id, "--db", db)


def resume_line(db: str, thread_id: str) -> str:
    """Return the line that starts a process to resume the waiting run of a thread."""
    # Not quoted: a placeholder that the user replaces.
    return f"threadlog run FILE.py:AGENT {shlex.join(('--thread', thread_id, '--db', db))}"


def _threadlog(*words: str) -> str:
    return shlex.join(("threadlog", *words))
