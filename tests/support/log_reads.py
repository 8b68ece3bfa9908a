"""What a log says, read from its file by a log of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threadlog.reducers import replay
from threadlog.reducers.tool_call import calls
from threadlog.store import Changeset, Log, Message
from threadlog.store.changeset import ActionRecord, ControlEntry, control_stream
from threadlog.store.listing import RunRow


def read_history(path: Path, thread: str = "t1") -> list[Changeset]:
    """Return the changesets of a thread."""
    with Log.open(path, readonly=True) as log:
        return list(log.read(thread))


def read_run(path: Path, run_id: str) -> list[Changeset]:
    """Return the changesets of a run."""
    with Log.open(path, readonly=True) as log:
        return list(log.read_run(run_id))


def read_runs(path: Path) -> Sequence[RunRow]:
    """Return the row of every run."""
    with Log.open(path, readonly=True) as log:
        return log.runs()


def read_commands(path: Path, run_id: str) -> list[ControlEntry]:
    """Return the commands in a run's control stream, in order."""
    with Log.open(path, readonly=True) as log:
        return [each.entry for each in log.read(control_stream(run_id)) if each.entry]


def read_recoveries(path: Path) -> list[Changeset]:
    """Return the changesets that closed orphans."""
    with Log.open(path, readonly=True) as log:
        return [each.changeset for each in log.entries() if each.changeset.reason == "recovered"]


def read_reasons(path: Path) -> list[str]:
    """Return the reason of each changeset of thread t1."""
    return [changeset.reason for changeset in read_history(path)]


def read_actions(path: Path, name: str) -> list[ActionRecord]:
    """Return the recorded actions of one name on thread t1."""
    return [
        action for changeset in read_history(path) for action in changeset.actions if action.action == name
    ]


def read_payloads(path: Path, name: str) -> list[dict[str, Any]]:
    """Return the payloads of the recorded actions of one name on thread t1."""
    return [action.payload for action in read_actions(path, name)]


def read_messages(path: Path) -> tuple[Message, ...]:
    """Return the conversation of thread t1."""
    return replay(read_history(path)).messages


def read_tool_results(path: Path) -> list[str]:
    """Return the content of each tool message of thread t1."""
    return [message.content for message in read_messages(path) if message.role == "tool"]


def read_call_statuses(path: Path) -> dict[str, str]:
    """Return the status of each tool call of thread t1."""
    return {call.call_id: call.status for call in calls(replay(read_history(path)).state)}


def read_state(path: Path, thread: str = "t1") -> Any:
    """Return the state of a thread without the slices that belong to threadlog."""
    with Log.open(path, readonly=True) as log:
        return {key: value for key, value in log.state(thread).items() if not key.startswith("__")}
