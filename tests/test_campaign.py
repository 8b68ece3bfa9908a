"""The campaign in short: each part for seconds. `make campaign` runs it in full."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from campaign import __main__ as command
from campaign.parts.part import Outcome, Part
from support.programs import environment


@pytest.mark.long
@pytest.mark.parametrize("part", command.PARTS)
@pytest.mark.timeout(300)
def test_a_short_campaign_finds_nothing(part: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "campaign", part, "--short"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout


def test_what_is_found_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("sad", "nothing", lambda seed, short, folder: Outcome(2, findings=[f"lost with {seed}"]))
    monkeypatch.setattr(command, "PARTS", {"sad": part})

    result = CliRunner().invoke(command.campaign, ["--seed", "7"])

    assert (result.exit_code, result.output.splitlines()[0]) == (1, "THREADLOG_SEED=7")
    assert "| sad | nothing | 2 | 0.0 | 1 |" in result.output
    assert result.output.endswith("sad: lost with 7\n")
