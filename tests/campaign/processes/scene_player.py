"""The process in which the scenes are played, with the faults loaded before everything else.

    python -m campaign.processes.scene_player FOLDER SEED URL short | full | CASE

It forks a process for each case, in which one call goes wrong, and another one that looks at what is left.
What came of it is in the files `found-…` of the folder, as lines of JSON.
"""

import gc
import os
import shutil
import sys
import traceback
from functools import partial
from pathlib import Path

import anyio
from anyio._backends import _asyncio  # noqa: F401  # it is imported here, not in each process

from campaign.faults import injection
from campaign.faults.cases import WAYS, Case, Way, case_of, chosen
from campaign.faults.injection import How, Kind
from campaign.scenes.aftermath import assert_kept, assert_lawful, lived_on
from campaign.scenes.agents import Cast
from campaign.scenes.forked_cases import End, forked
from campaign.scenes.scenes import SCENES, Scene, crashed
from campaign.scenes.stage import Stage
from campaign.scenes.witness import Witness, said
from threadlog.store import database
from threadlog.store.document import dumps
from threadlog.store.errors import LogError, RunError


class Hurt:
    """Plays the scenes of one campaign below a folder, each case by itself."""

    def __init__(self, folder: Path, seed: int, url: str) -> None:
        self._folder = folder
        self._seed = seed
        self._cast = Cast(url)
        self._cases = 0

    def counts(self, name: str) -> dict[Kind, int]:
        """How many calls of each kind a scene makes."""
        self._prepared(SCENES[name])
        end = forked(partial(self._play, SCENES[name], None), self._place / "errors")
        assert end.status == 0, end
        (counted,) = (line["counts"] for line in said(self._place / "said") if line["what"] == "ended")
        return {Kind(kind): number for kind, number in enumerate(counted)}

    def finding(self, case: Case) -> tuple[bool, str | None]:
        """Whether the call went wrong, or was not made; and what was found then."""
        scene = SCENES[case.scene]
        self._prepared(scene)
        hurt = forked(partial(self._play, scene, case), self._place / "errors")
        lines = said(self._place / "said")
        fired = hurt.is_killed or any(line.get("fired") for line in lines)
        if problem := _problem(hurt, case):
            return True, problem
        check = forked(partial(self._check, case), self._place / "errors")
        return fired, f"afterwards: {check.errors or check}" if check.status or check.is_late else None

    def _prepared(self, scene: Scene) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        self._cases += 1
        (self._place / "log").mkdir(parents=True)
        if scene.is_behind_crash:
            shutil.copytree(self._crashed(), self._place, dirs_exist_ok=True)

    def _crashed(self) -> Path:
        """The log of a process that was killed with runs of several kinds."""
        folder = self._folder / "crashed"
        if not folder.exists():
            (folder / "log").mkdir(parents=True)
            witness = Witness(folder / "said")
            play = partial(crashed, Stage(folder / "log" / "log.db", witness, self._cast, "crashed"))
            end = forked(partial(anyio.run, play), self._folder / "errors")
            assert end.is_killed, end
        return folder

    @property
    def _place(self) -> Path:
        return self._folder / str(self._cases)

    @property
    def _path(self) -> Path:
        return self._place / "log" / "log.db"

    def _stage(self, *, is_first: bool) -> Stage:
        name = f"t{self._seed}-{os.getppid()}-{self._cases}"
        return Stage(self._path, Witness(self._place / "said"), self._cast, name, is_first=is_first)

    def _play(self, scene: Scene, case: Case | None) -> None:
        stage = self._stage(is_first=not scene.is_behind_crash)
        given = case or Case("", Kind.WRITE, Way(How.NOT), 0)
        # SQLite treats a lock that fails as one that another process holds.
        database.BUSY_SECONDS = 0.2
        stage.is_hopeless = given.way.is_for_ever
        injection.arm(self._path.parent, given.kind, given.way.how, given.number, given.last)
        problem = None
        try:
            anyio.run(scene.play, stage)
        except (LogError, RunError) as err:
            problem = repr(err)
        counts = [injection.counted(kind) for kind in Kind]
        stage.witness.say("ended", problem=problem, counts=counts, fired=injection.fired())

    def _check(self, case: Case) -> None:
        stage, before = self._stage(is_first=False), said(self._place / "said")
        if assert_kept(self._path, before):
            anyio.run(lived_on, stage, f"{self._seed} {case}")
            anyio.run(assert_lawful, stage, before)


def _problem(end: End, case: Case) -> str | None:
    """What a process did that it must not do, whatever befalls it."""
    if end.is_late:
        return f"it hangs: {end.errors}"
    is_to_die = case.way.how in (How.KILL_BEFORE, How.KILL_AMID, How.KILL_AFTER)
    if (end.is_killed and is_to_die) or end.status == 0:
        return end.errors if "Traceback" in end.errors or "Exception ignored" in end.errors else None
    return f"it ended with {end.status}: {end.errors}"


class Units:
    """All numbers of some ways to go wrong, and what was found."""

    def __init__(self, folder: Path, seed: int, url: str) -> None:
        self._hurt = Hurt(folder, seed, url)
        self._found = os.open(folder.with_name(f"found-{folder.name}"), os.O_WRONLY | os.O_CREAT, 0o644)

    def all_of(self, scene: str, kind: Kind, way: Way) -> None:
        """Calls 1, 2, 3 … until the scene makes no such call."""
        number, fired = 1, True
        while fired:
            fired = self.one(Case(scene, kind, way, number))
            number += 1

    def one(self, case: Case) -> bool:
        """Whether the call went wrong."""
        fired, problem = self._hurt.finding(case)
        self._say(case=str(case), kind=case.kind.name.lower(), fired=fired, problem=problem)
        return fired

    def counted(self) -> None:
        """How many calls of each kind the scenes make."""
        for name in SCENES:
            counts = self._hurt.counts(name)
            self._say(scene=name, counts={kind.name.lower(): number for kind, number in counts.items()})

    def few(self, seed: int) -> None:
        """A few cases of each scene."""
        for name in SCENES:
            for case in chosen(name, self._hurt.counts(name), seed):
                self.one(case)

    def _say(self, **line: object) -> None:
        os.write(self._found, dumps(line) + b"\n")


def main(folder: Path, seed: int, url: str, what: str) -> None:
    # A process that is forked does not look through what is here already: that would take half of its time.
    gc.freeze()
    if what == "full":
        everything(folder, seed, url)
        return
    units = Units(folder / "0", seed, url)
    if what == "short":
        units.few(seed)
    else:
        units.one(case_of(what))


def everything(folder: Path, seed: int, url: str) -> None:
    """All cases, in more processes than there are processors: a case waits as long as it works."""
    Units(folder / "all", seed, url).counted()
    every = [(scene, kind, way) for scene in SCENES for kind in Kind for way in WAYS[kind]]
    workers = 2 * (os.cpu_count() or 1)
    children = []
    for index in range(workers):
        if (pid := os.fork()) == 0:
            try:
                units = Units(folder / str(index), seed, url)
                for scene, kind, way in every[index::workers]:
                    units.all_of(scene, kind, way)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in children]
    assert ended == [0] * workers, f"not all was tried: {ended}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
