"""The demo's third act: a process is killed between the halves of a payment, and nothing is paid twice."""

import signal
from pathlib import Path
from typing import Any

import pytest

from support.command import run
from threadlog.store import Log
from threadlog.tools.demo.payments import read_merchants

BILLS = ["Hotel Kamogawa", "Taxi MK", "Museum of Kyoto"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def results(folder: Path) -> Any:
    return run("demo --json --folder", folder).json()["crash"]


def test_the_process_was_killed(results: Any) -> None:
    assert results["exit_status"] == -signal.SIGKILL


def test_the_evidence_is_what_the_log_keeps_of_it(results: Any, folder: Path) -> None:
    with Log.open(folder / "demo.db", readonly=True) as log:
        (recovered,) = (each for each in log.read("payments") if each.reason == "recovered")

    assert recovered.orphan
    assert recovered.orphan.model_dump(mode="json") == results["evidence"]
    assert [call["fate"] for call in results["evidence"]["calls"]] == ["unknown", "not_started"]


def test_each_bill_is_paid_once_and_the_one_that_was_cut_off_has_no_receipt(
    results: Any, folder: Path
) -> None:
    assert read_merchants(folder / "payments.csv") == results["payments"] == BILLS
    assert read_merchants(folder / "receipts.csv") == results["receipts"] == [BILLS[0], BILLS[2]]


def test_the_person_who_has_looked_says_what_the_lists_say(results: Any) -> None:
    (decision,) = results["decisions"]

    assert decision["call"] == results["evidence"]["calls"][0]["call_id"]
    assert decision["result"] == {"paid": "Taxi MK", "receipt": False}


def test_the_run_goes_on_to_its_end_in_a_next_epoch(results: Any, folder: Path) -> None:
    with Log.open(folder / "demo.db", readonly=True) as log:
        row = log.run(results["run_id"])

    assert row
    assert (row.status, row.epoch, results["termination"]) == ("done", 2, {"type": "natural_end"})
    assert results["output"] == "All 3 are paid; without a receipt: Taxi MK."
