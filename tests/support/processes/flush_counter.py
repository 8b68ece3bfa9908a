"""A process that appends and counts its flushes, with the library of faults.c loaded before it.

flush_counter.py PATH DURABILITY TIMES

So many appends; for each, how often files of the log were flushed so far.
"""

import sys
from pathlib import Path
from typing import Any

from campaign.faults.injection import Kind, counted, record
from support.logs import changeset
from threadlog.store import Log


def main(path: Path, durability: Any, times: int) -> None:
    # Before the files are opened: of others nothing is counted.
    record(path.parent, path.with_name("calls"))
    with Log.open(path, durability=durability) as log:
        for number in range(times):
            log.append(changeset(f"c{number}"), number)
            sys.stdout.write(f"{counted(Kind.SYNC)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
