"""A script with a kind of lock that is not the one of this system: lock_kind.py KIND SCRIPT ARGUMENT…"""

import runpy
import sys
from pathlib import Path

from threadlog.engine.runs import flock, liveness, windows_lock
from threadlog.engine.runs.locks import LockKind

KINDS: dict[str, LockKind] = {"flock": flock, "windows": windows_lock}

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    liveness.LOCK_KIND = KINDS[sys.argv.pop(0)]
    runpy.run_path(str(Path(__file__).with_name(sys.argv[0])), run_name="__main__")
