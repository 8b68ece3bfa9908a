"""Damage: bits, sectors and pages of a log are changed, and each is found, or was never read.

What verify does not name, and what can be read, is as it was written.
"""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from campaign.parts.part import Outcome, Part
from campaign.processes.writing import append, runs
from threadlog.store import Finding, Heads, Log
from threadlog.store.errors import ThreadlogError

CASES, SHORT_CASES = 6_000, 20
THREADS = 5
SECTOR, PAGE = 512, 4096

Damage = Callable[[bytearray, "Original", random.Random], object]


class Original(NamedTuple):
    """A log, as its file and its write-ahead log have it, and what is read from it."""

    file: bytes
    wal: bytes
    earlier: bytes
    """Its file when half of it was written."""
    heads: Heads
    threads: dict[str, Any]
    contents: list[tuple[str, int, bytes]]
    """Thread, version and content of each changeset."""


def original(folder: Path, seed: int) -> Original:
    path, dice = folder / "log.db", random.Random(seed)
    write(path, dice, "first")
    earlier = path.read_bytes()
    write(path, dice, "second")
    file = path.read_bytes()
    with Log.open(path) as log:
        append(log, "last", dice, lambda text: None)
        wal = path.with_name("log.db-wal").read_bytes()
        contents = log.writable()._connection.execute(
            "select name, version, content from changeset join thread on key = thread"
        )
        heads = log.heads()
        threads = {name: reading(log, name) for name in heads.threads}
        return Original(file, wal, earlier, heads, threads, contents.fetchall())


def write(path: Path, dice: random.Random, name: str) -> None:
    anyio.run(runs, path.parent, dice, lambda text: None)
    with Log.open(path, durability="normal") as log:
        for number in range(THREADS):
            append(log, f"{name}-{number}", dice, lambda text: None)


def reading(log: Log, thread: str) -> Any:
    return list(log.read(thread)), log.state(thread)


def a_bit(content: bytearray, whole: Original, dice: random.Random) -> None:
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def eight_bits(content: bytearray, whole: Original, dice: random.Random) -> None:
    for _ in range(8):
        a_bit(content, whole, dice)


def a_sector_of_zeros(content: bytearray, whole: Original, dice: random.Random) -> None:
    start = dice.randrange(0, len(content), SECTOR)
    content[start : start + SECTOR] = bytes(SECTOR)


def a_sector_of_anything(content: bytearray, whole: Original, dice: random.Random) -> None:
    start = dice.randrange(0, len(content), SECTOR)
    content[start : start + SECTOR] = dice.randbytes(SECTOR)


def a_page_of_another_place(content: bytearray, whole: Original, dice: random.Random) -> None:
    there, here = (dice.randrange(0, len(content), PAGE) for _ in range(2))
    content[here : here + PAGE] = content[there : there + PAGE]


def a_page_of_before(content: bytearray, whole: Original, dice: random.Random) -> None:
    """A write that the disk has told of, and not made."""
    start = dice.randrange(0, len(whole.earlier), PAGE)
    content[start : start + PAGE] = whole.earlier[start : start + PAGE]


def the_end_cut_off(content: bytearray, whole: Original, dice: random.Random) -> None:
    del content[dice.randrange(len(content)) :]


DAMAGES: tuple[Damage, ...] = (
    a_bit,
    eight_bits,
    a_sector_of_zeros,
    a_sector_of_anything,
    a_page_of_another_place,
    a_page_of_before,
    the_end_cut_off,
)


def run(seed: int, short: bool, folder: Path) -> Outcome:
    whole, outcome = original(folder, seed), Outcome()
    for number in range(SHORT_CASES if short else CASES):
        dice = random.Random(f"{seed} {number}")
        case = dice.choice([in_the_file, in_the_file, in_the_wal, in_a_row])
        try:
            outcome += Outcome(1, Counter([case(whole, folder, dice)]))
        except Exception as err:
            outcome.findings.append(f"case {number} of seed {seed}, {case.__name__}: {err!r}")
    return outcome


def in_the_file(whole: Original, folder: Path, dice: random.Random) -> str:
    content = bytearray(whole.file)
    damage = dice.choice(DAMAGES)
    damage(content, whole, dice)
    return judged(whole, look(folder, bytes(content), whole.wal, whole.heads))


def in_the_wal(whole: Original, folder: Path, dice: random.Random) -> str:
    """What is not yet in the database itself: SQLite drops what does not fit, and only heads tell."""
    wal = bytearray(whole.wal)
    dice.choice(DAMAGES[:5])(wal, whole, dice)
    return judged(whole, look(folder, whole.file, bytes(wal), whole.heads))


def in_a_row(whole: Original, folder: Path, dice: random.Random) -> str:
    """A bit of a changeset: it is named, and every other thread is read as it was."""
    thread, version, content = dice.choice(whole.contents)
    changed = bytearray(content)
    a_bit(changed, whole, dice)
    if content not in whole.file:
        return "in parts, and so elsewhere"
    # Wherever it stands: SQLite leaves copies behind in pages that it has split.
    seen = look(folder, whole.file.replace(content, changed), whole.wal, whole.heads)
    assert isinstance(seen, Seen), seen
    assert (thread, version) in {(each.thread, each.version) for each in seen.findings}, seen.findings
    others = {name: read for name, read in seen.threads.items() if name != thread}
    assert others == {name: read for name, read in whole.threads.items() if name != thread}
    return "rows named"


class Seen(NamedTuple):
    """What a damaged log shows."""

    findings: list[Finding]
    threads: dict[str, Any]
    """As they are read, or why not."""


def look(folder: Path, file: bytes, wal: bytes, heads: Heads) -> Seen | ThreadlogError:
    path = folder / "damaged.db"
    path.write_bytes(file)
    path.with_name("damaged.db-wal").write_bytes(wal)
    path.with_name("damaged.db-shm").unlink(missing_ok=True)
    try:
        with Log.open(path, readonly=True) as log:
            return Seen(log.verify(heads), {name: read(log, name) for name in heads.threads})
    except ThreadlogError as refusal:
        return refusal


def read(log: Log, thread: str) -> Any:
    try:
        return reading(log, thread)
    except ThreadlogError as refusal:
        return refusal


def judged(whole: Original, seen: Seen | ThreadlogError) -> str:
    """What became of a damage; an error if something else is read, and nothing says so."""
    if isinstance(seen, ThreadlogError):
        return "refused"
    wrong = [name for name, read in seen.threads.items() if read != whole.threads[name]]
    assert seen.findings or not wrong, f"not found: {wrong}"
    named = {finding.thread for finding in seen.findings}
    unread = any("could not read on" in finding.detail for finding in seen.findings)
    silent = [name for name in wrong if not isinstance(seen.threads[name], ThreadlogError)]
    assert unread or named.issuperset(silent), f"read otherwise, and not named: {silent}: {seen.findings}"
    if not seen.findings:
        return "never read"
    return "found" if wrong else "found, though all threads are read as they were"


PART = Part("flips", "bits, sectors and pages of a log are changed", run)
