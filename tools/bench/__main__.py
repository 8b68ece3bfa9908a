"""`make bench`: the store compared with raw SQLite at the same durability, interleaved in one run.

Every figure is the median over all rounds. Ratios are taken within a round, because shared machines drift.
"Raw" is INSERT + COMMIT of the same bytes, already encoded, into a table with the same key.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from .store import Figures, measure_growth, measure_loading, measure_round

ROUNDS = 5


def main() -> None:
    """Measure and print. The first argument names a folder on the disk to measure."""
    parent = sys.argv[1] if len(sys.argv) > 1 else "."
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        rounds = [measure_round(folder / str(n)) for n in range(ROUNDS)]
        table = Table(title=f"threadlog and raw SQLite ({ROUNDS} rounds)", title_justify="left")
        for column in ("figure", "measured", "target"):
            table.add_column(column)
        for name, target in TARGETS.items():
            table.add_row(name, _median(rounds, name), target)
        for name, value, target in (*measure_loading(folder / "loading"), *measure_growth(folder / "growth")):
            table.add_row(name, value, target)
        Console(width=110).print(table)
    finally:
        shutil.rmtree(folder)


TARGETS = {
    "raw FULL, µs per append": "",
    "raw NORMAL, µs per append": "",
    "append FULL ÷ raw rate": "≥ 0.75",
    "append NORMAL ÷ raw rate": "",
    "await append, one in flight, FULL ÷ raw rate": "≥ 0.55",
    "100 concurrent, FULL ÷ raw rate": "≥ 2.5",
    "100 concurrent ÷ one in flight": "",
    "p50 / p99 of append FULL, µs": "",
}


def _median(rounds: list[Figures], name: str) -> str:
    values = [figures[name] for figures in rounds]
    if pairs := [value for value in values if isinstance(value, tuple)]:
        return " / ".join(f"{median(part):.0f}" for part in zip(*pairs, strict=True))
    middle = median(value for value in values if not isinstance(value, tuple))
    return f"{middle:.2f}" if "÷" in name else f"{middle:.0f}"


if __name__ == "__main__":
    main()
