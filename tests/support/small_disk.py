"""A disk that may really be full: a small tmpfs, where this machine lets one be mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def mount(place: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "threadlog-test", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(place: Path, size: str = "512k") -> Iterator[bool]:
    """Whether `place` is a disk of its own of this size; unprivileged users cannot have one."""
    mounted = mount(place, f"size={size}")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
