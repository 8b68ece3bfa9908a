"""The mutation check: its faults can be put in, the tests for them are there, and it tells the truth."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from campaign.mutants.mutant import Mutant
from campaign.mutants.mutation import ALL, ROOT, judged

QUICK = ("ignore the test operation", "let a run take in an entry twice")

HARMLESS = Mutant(
    "say the same in other words",
    "store/patch.py",
    "if index >= end:",
    "if not index < end:",
    ["store/test_rfc_6902.py::test_what_the_rfc_does_not_allow_is_refused"],
)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_put_into_the_tree_of_today(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text("utf-8")
    faulty = mutant.applied(source)

    assert faulty != source
    if mutant.file.endswith(".py"):
        compile(faulty, mutant.file, "exec")


def test_every_fault_has_a_name_of_its_own_and_somebody_who_catches_it() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in ALL).items() if count > 1] == []
    assert [mutant.name for mutant in ALL if not mutant.tests] == []


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_tests_that_are_named_for_faults_are_there() -> None:
    named = {tuple(test.split("[")[0].split("::")) for mutant in ALL for test in mutant.tests}
    there = {file: functions(file) for file, _ in named}

    assert [(file, test) for file, test in named if test not in there[file]] == []


@pytest.mark.long
def test_faults_are_caught_and_what_is_none_survives(tmp_path: Path) -> None:
    chosen = [*(mutant for mutant in ALL if mutant.name in QUICK), HARMLESS]

    verdicts = judged(chosen, tmp_path, jobs=2)

    caught = [verdict.caught_by and verdict.caught_by.split("[")[0] for verdict in verdicts]
    assert caught == [*(mutant.tests[0] for mutant in chosen[:-1]), None]
