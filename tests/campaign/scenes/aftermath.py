"""What must hold of a log, whatever befell the process that wrote it: before and after it is recovered."""

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from campaign.scenes.agents import COUNTED, IDEMPOTENT
from campaign.scenes.stage import Stage
from campaign.scenes.witness import Line, effects, plain, said
from support.checks import assert_replays
from support.control_fold import Fold
from support.tree_fold import Tree
from threadlog.engine import Decision, Runtime
from threadlog.engine.events import run_events
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.reducers import replay
from threadlog.reducers.run import QUESTION
from threadlog.reducers.tool_call import ToolCallState, calls
from threadlog.store import Changeset, Log
from threadlog.store.appender import changes
from threadlog.store.changeset import control_stream
from threadlog.store.database import open_readable
from threadlog.store.errors import LogNotFound, NotALog, RunError

POLICIES: Sequence[OrphanPolicy] = ("stop", "ask", "resume")


def assert_kept(path: Path, lines: list[Line]) -> bool:
    """Whether there is a log; then it is whole, and has all that was acknowledged."""
    try:
        log = Log.open(path, readonly=True)
    except (LogNotFound, NotALog):
        assert [line for line in lines if line["what"] not in ("refused", "ended")] == [], "there is no log"
        return False
    with log:
        assert log.verify() == []
        assert_acknowledged(log, lines)
    assert_intact(path)
    return True


def assert_intact(path: Path) -> None:
    with closing(open_readable(path).connection) as reader:
        assert reader.execute("pragma integrity_check").fetchall() == [("ok",)]


def assert_acknowledged(log: Log, lines: list[Line]) -> None:
    fold = Fold(log.entries())
    for line in lines:
        run = fold.runs[line["run"]] if "run" in line else None
        match line:
            case {"what": "steered", "text": text}:
                assert run
                assert [text] == [each.content for each in run.entries if each.id == text]
            case {"what": "cancelled"}:
                assert run
                assert run.is_cancelled
            case {"what": "decided", "target": target, "approved": approved}:
                assert run
                given: list[Any] = [each.content for each in run.entries if each.kind == "decide"]
                names = {target, run.tickets.get(target, target)}
                assert any(each["target"] in names and each["approved"] == approved for each in given)
            case {"what": "result", "run": run_id, "result": result}:
                assert result in [
                    each["fact"]["result"] for each in told(log, run_id) if "result" in each["fact"]
                ]
    for run_id, listener in {(line["run"], line["listener"]) for line in lines if line["what"] == "fact"}:
        heard = [
            {"kind": line["kind"], "fact": line["fact"]}
            for line in lines
            if line["what"] == "fact" and (line["run"], line["listener"]) == (run_id, listener)
        ]
        assert_in_order(told(log, run_id), heard)
    assert_effects_known(log, lines)


def assert_in_order(known: list[Line], heard: list[Line]) -> None:
    """What was heard is a part of what is known, without a gap."""
    first = known.index(heard[0])
    assert known[first : first + len(heard)] == heard


def told(log: Log, run_id: str) -> list[Line]:
    """All facts of a run that the log has."""
    return [plain(event) for event in run_events(log, run_id)]


def assert_effects_known(log: Log, lines: list[Line]) -> None:
    """No tool has begun whose call is not in the log; no call that has begun is said not to have."""
    begun = list(effects(lines))
    asked, epochs = set[tuple[str, str]](), dict[str, int]()
    for changeset in (entry.changeset for entry in log.entries()):
        run_id = changeset.run_id or ""
        asked |= {(run_id, call.id) for message in changeset.messages for call in message.tool_calls}
        if changeset.reason in ("run_started", "run_resumed"):
            epochs[run_id] = changeset.at
        for lost in changeset.orphan.calls if changeset.orphan else ():
            of_it = [each for each in begun if (each.run_id, each.call_id) == (run_id, lost.call_id)]
            is_begun = any(epochs[run_id] < each.at < changeset.at for each in of_it)
            assert not (is_begun and lost.fate == "not_started"), (run_id, lost)
    assert {(each.run_id, each.call_id) for each in begun} <= asked


async def lived_on(stage: Stage, seed: str) -> None:
    """The next process recovers what it finds, all is decided, and every run comes to its end."""
    dice = random.Random(seed)
    async with stage.open(dice.choice(POLICIES)) as runtime:
        async for _ in changes(runtime.log):
            for row in [row for row in runtime.log.open_runs() if row.status == "waiting"]:
                # It may be over since: the cancellation of another one has reached it.
                with suppress(RunError):
                    await decided(stage, runtime, row.run_id, dice)
            if not runtime.active_runs():
                break
        assert await runtime.recover() == []
    assert not stage.path.with_name(stage.path.name + ".live").exists(), "a lock is left"


async def decided(stage: Stage, runtime: Runtime, run_id: str, dice: random.Random) -> None:
    """Every question of a run is answered; for a lost call, in one of three ways."""
    row = runtime.log.run(run_id)
    if row is None or row.control < runtime.log.head(control_stream(run_id)):
        return
    if row.agent == "helper":
        await runtime.steer(run_id, "blue")
    elif asked := runtime.pending(run_id):
        await runtime.decide(run_id, [answer(stage, run_id, call, dice) for call in asked])


def answer(stage: Stage, run_id: str, call: ToolCallState, dice: random.Random) -> Decision:
    if not (call.suspension and call.suspension.action == QUESTION) or call.name == QUESTION:
        return Decision.approve(call.call_id)
    match dice.choice(["happened", "again", "not"]):
        case "happened":
            return Decision.approve(call.call_id, "it happened")
        case "again":
            stage.witness.say("again", call=[run_id, call.call_id])
            return Decision.approve(call.call_id)
    return Decision.deny(call.call_id, "it did not happen")


async def assert_lawful(stage: Stage, before: list[Line]) -> None:
    """Every law that can be said of the log once all runs are over, and of what the tools have done.

    What was acknowledged `before` it was recovered is still there.
    """
    await assert_replays(stage.path, *stage.cast.agents)
    assert_intact(stage.path)
    with Log.open(stage.path, readonly=True) as log:
        assert_acknowledged(log, before)
        entries = list(log.entries())
        assert all(run.is_over for run in Fold(entries).runs.values())
        tree = Tree(entries)
        assert {row.run_id: (row.status, row.epoch) for row in log.runs()} == tree.standing()
        for row in log.threads():
            assert_calls_ended(list(log.read(row.thread_id)))
    assert_once(said(stage.path.parent.with_name("said")))


def assert_calls_ended(history: list[Changeset]) -> None:
    """Every call has one outcome, and what was counted is how many calls there were."""
    thread = replay(history)
    assert {call.status for call in calls(thread.state)} <= {"succeeded", "failed", "cancelled"}
    outcomes = [(changeset.run_id, each) for changeset in history for each in changeset.tool_calls]
    final = [(run_id, each) for run_id, each in outcomes if each.outcome != "suspended"]
    assert set(Counter((run_id, each.call_id) for run_id, each in final).values()) <= {1}
    called = [each for _, each in final if each.executed and each.outcome == "succeeded"]
    assert thread.state.get("budget", {}).get("spent", 0) == sum(each.name in COUNTED for each in called)
    spoken = Counter((each.run_id, each.tool_call_id) for each in thread.messages if each.role == "tool")
    assert set(spoken.values()) <= {1}


def assert_once(lines: list[Line]) -> None:
    """What must not be done twice was done once, unless a person said so; the rest had one key each time."""
    done = Counter((each.run_id, each.call_id) for each in effects(lines) if each.tool not in IDEMPOTENT)
    again = Counter(tuple(line["call"]) for line in lines if line["what"] == "again")
    assert {call: times for call, times in done.items() if times > 1 + again[call]} == {}
    keys = {(each.run_id, each.call_id, each.key) for each in effects(lines)}
    assert set(Counter((run_id, call_id) for run_id, call_id, _ in keys).values()) <= {1}
