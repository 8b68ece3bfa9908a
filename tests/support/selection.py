"""Which tests run: a quick selection by default, every one of them with `--all`.

The quick selection leaves out tests marked `long`, runs each asynchronous test on one of the two event loops
(which one depends on its name alone, so that half of them run on trio), and gives property tests 25 examples
where `--all` gives them 100.
"""

from zlib import crc32

import pytest
from hypothesis import settings

BACKENDS = ("asyncio", "trio")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run all tests, on both event loops")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes seconds, so it runs with --all only")
    config.addinivalue_line("markers", "does_not_replay(reason): the logs of this test need not replay")
    if config.getoption("--all") and not config.getoption("--hypothesis-profile"):
        settings.load_profile("all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    quick = [item for item in items if not item.get_closest_marker("long") and is_on_its_loop(item)]
    chosen = set(quick)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = quick


def is_on_its_loop(item: pytest.Item) -> bool:
    """Whether a test needs no event loop, or runs on the one that its name chooses."""
    callspec = getattr(item, "callspec", None)
    backend = callspec.params.get("anyio_backend") if callspec else None
    if backend not in BACKENDS:
        return True
    others = [part for part in item.nodeid.replace("]", "-").replace("[", "-").split("-") if part != backend]
    return bool(backend == BACKENDS[crc32("-".join(others).encode()) % 2])
