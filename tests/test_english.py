"""The words that the project no longer uses: its documentation says who does what, in common terms."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

DIALECT = re.compile(
    r"\b(whoever|whomever|somebody|nobody|goes on|is told|are told|what is wanted|without a word|comes behind"
    r"|takes in|has come|the one who|all the same|in its place)\b",
    re.IGNORECASE,
)
MOST = 10
"""Matches that may remain, where a common phrase happens to contain one."""


def tracked_files() -> list[Path]:
    """Return the sources and documents under version control; without git, those of the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0 and listing.stdout:
        return [ROOT / name for name in listing.stdout.splitlines()]
    folders = ("engine", "reducers", "store", "tools", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in (*found, *ROOT.glob("*")) if path.suffix in (".py", ".md")]


def test_the_project_is_written_in_plain_english() -> None:
    files = [path for path in tracked_files() if path != Path(__file__) and path.is_file()]

    matches = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for _ in DIALECT.finditer(line)
    ]

    assert len(files) > 100
    assert len(matches) <= MOST, "\n".join(matches)
