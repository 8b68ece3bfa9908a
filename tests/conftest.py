import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

if importlib.util.find_spec("threadlog") is None:
    root = Path(__file__).parent.parent
    spec = importlib.util.spec_from_file_location("threadlog", root / "__init__.py")
    assert spec
    assert spec.loader
    sys.modules["threadlog"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["threadlog"])

from support import trip_agents
from support.provider_requests import MODELS, running
from support.provider_server import FakeProvider
from support.remote_host import RemoteHost, hosting
from support.soundness import OPENED_LOGS
from threadlog.store import Log

pytest_plugins = ["support.selection"]

settings.register_profile("dev", deadline=None, max_examples=25)
# The same examples in every run: what a check finds must not depend on the day.
settings.register_profile("all", derandomize=True, deadline=None, max_examples=100, print_blob=True)
# Where faults are injected (campaign/mutants) any failing example will do: it is not shrunk.
settings.register_profile("faults", settings.get_profile("all"), phases=(Phase.explicit, Phase.generate))
settings.load_profile("dev")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture(autouse=True)
def opened_logs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check the logs that a test has left, unless its marker says why they do not replay."""
    is_async = "anyio_backend" in request.fixturenames
    backend = request.getfixturevalue("anyio_backend") if is_async else "asyncio"
    OPENED_LOGS.observe(monkeypatch)
    yield
    if not request.node.get_closest_marker("does_not_replay"):
        assert OPENED_LOGS.problems(backend) == []


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with Log.open(path, durability="normal") as log:
        yield log


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that runs of an agent have left. Tests only read it."""
    path = tmp_path_factory.mktemp("trips") / "trips.db"
    trip_agents.make_log(path)
    return path


@pytest.fixture
def own(db: Path, tmp_path: Path) -> Path:
    """A log of the test's own, to change or damage."""
    return Path(shutil.copy(db, tmp_path / "own.db"))


@pytest.fixture
def snapshots_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots after a few versions: the same for all examples of a law."""
    monkeypatch.setattr("threadlog.store.derived.SNAPSHOT_EVERY", 3)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, FakeProvider]]:
    """A server for each format of a provider, by the model that it has."""
    with running() as servers:
        yield servers


@pytest.fixture(params=MODELS)
def provider(request: pytest.FixtureRequest, servers: dict[str, FakeProvider]) -> FakeProvider:
    server = servers[request.param]
    server.forget()
    return server


@pytest.fixture(scope="session")
def remote_host() -> Iterator[RemoteHost]:
    """The process for servers of the A2A SDK: one for all tests, each test has a server of its own there."""
    with hosting() as host:
        yield host
