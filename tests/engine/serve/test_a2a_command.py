"""`threadlog serve`: what it serves where, to whom, and how it ends."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from a2a.types import GetTaskRequest
from anyio.to_thread import run_sync

from support.a2a_servers import AGENTS, COMPLETED, WORKING, Gate, Served, message, output, peer, serving
from support.command import assert_refused, run
from support.programs import TESTS
from threadlog.engine import Runtime
from threadlog.engine.serve.a2a.application import Application, Site, serve
from threadlog.store import Log
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio
CARD = ".well-known/agent-card.json"
SECRET = "a-secret-never-shown"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate().open() as gate:
        yield gate


def root(server: Served) -> str:
    return server.urls["planner"].removesuffix("agents/planner/")


def card(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(url + CARD).raise_for_status().json()
    return found


def test_every_agent_has_a_card_that_says_where_it_is_and_keeps_its_instructions(path: Path) -> None:
    with serving(path) as server:
        cards = {name: card(url) for name, url in server.urls.items()}

    assert {name: found["name"] for name, found in cards.items()} == {name: name for name in cards}
    assert {face["url"] for face in cards["planner"]["supportedInterfaces"]} == {server.urls["planner"]}
    assert "A secret." not in json.dumps(cards)


@pytest.mark.long
def test_a_card_names_the_address_that_it_is_told_to(path: Path) -> None:
    with serving(path, "--url https://agents.example/", "--host 0.0.0.0") as server:
        assert server.urls["payer"] == "https://agents.example/agents/payer/"


async def test_an_agent_that_is_named_is_served_at_the_root_as_well(path: Path) -> None:
    with serving(path, agents=f"{AGENTS}:tripper") as server:
        async with peer(root(server)) as at_the_root, peer(server.urls["tripper"]) as at_its_place:
            task = await at_the_root.send(message())
            assert await at_its_place.client.get_task(GetTaskRequest(id=task.id)) == task
            assert card(root(server))["name"] == "tripper"


@pytest.mark.long
def test_of_several_agents_none_is_at_the_root_unless_it_is_named(path: Path) -> None:
    with serving(path) as server:
        assert httpx.get(root(server) + CARD).status_code == 404


@pytest.mark.long
def test_the_only_agent_of_a_file_is_at_the_root(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        "from threadlog.engine import Agent, ScriptedModel\n"
        "planner = Agent('planner', ScriptedModel('done'))\n"
    )
    with serving(path, agents=str(file)) as server:
        assert card(root(server))["name"] == "planner"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.long
async def test_both_bindings_are_at_one_address(path: Path, binding: str) -> None:
    with serving(path) as server:
        async with peer(server.urls["tripper"], binding=binding) as client:
            task = await client.send(message())
            assert await client.client.get_task(GetTaskRequest(id=task.id)) == task


@pytest.mark.long
def test_a_client_of_the_protocol_0_3_is_served(path: Path) -> None:
    said = {"role": "user", "messageId": "m1", "kind": "message", "parts": [{"kind": "text", "text": "go"}]}
    request = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": said}}
    with serving(path) as server:
        answer = httpx.post(server.urls["tripper"], json=request).json()

    assert answer["result"]["status"]["state"] == "completed"


async def test_without_the_token_there_is_only_the_card(path: Path) -> None:
    with serving(path, "--token-env TOKEN", TOKEN=SECRET) as server:
        url = server.urls["tripper"]
        assert card(url)["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET}):
            refused = [httpx.post(url, headers=headers), httpx.get(f"{url}tasks", headers=headers)]
            assert [answer.status_code for answer in refused] == [401, 401]
        async with peer(url, token=SECRET) as client:
            assert (await client.send(message())).status.state == COMPLETED
        code, told = server.end(signal.SIGINT)

    assert (code, SECRET in told) == (130, False)
    with Log.open(path, readonly=True) as log:
        assert SECRET not in "".join(map(str, log.entries()))


@pytest.mark.long
def test_without_a_token_pages_in_browsers_are_not_answered(path: Path) -> None:
    """they may be anybody's, and post without asking"""
    headers = {"Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
    with serving(path) as server:
        assert httpx.post(server.urls["tripper"], headers=headers).status_code == 403


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.long
async def test_a_server_that_is_told_to_end_closes_its_runs_and_exits_with_130(
    path: Path, gate: Gate, by: signal.Signals
) -> None:
    with serving(path, gate=gate) as server:
        async with peer(server.urls["planner"]) as client:
            await client.send(message(), wait=False)
            await gate.asked()
        assert server.end(by) == (130, "")

    with Log.open(path, readonly=True) as log:
        assert [row.termination and row.termination.type for row in log.runs()] == ["cancelled"]


@pytest.mark.long
async def test_who_waits_for_a_task_when_the_server_ends_gets_it_as_it_is(path: Path, gate: Gate) -> None:
    ended = []
    with serving(path, gate=gate) as server:
        async with peer(server.urls["planner"]) as client, anyio.create_task_group() as tasks:

            async def end() -> None:
                await gate.asked()
                ended.append(await run_sync(server.end, signal.SIGTERM))

            tasks.start_soon(end)
            task = await client.send(message())

    assert task.status.state == WORKING
    assert ended == [(130, "")]


@pytest.mark.long
async def test_a_server_ends_under_a_client_that_follows(path: Path, gate: Gate) -> None:
    with serving(path, gate=gate) as server:
        async with httpx.AsyncClient() as http:
            body = {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "go"}]}}
            url = f"{server.urls['planner']}message:stream"
            async with http.stream("POST", url, json=body, headers={"A2A-Version": "1.0"}) as stream:
                assert "TASK_STATE_WORKING" in await anext(stream.aiter_text())
                assert server.end(signal.SIGINT)[0] == 130


@pytest.mark.long
def test_what_clients_send_means_nothing_to_the_terminal(path: Path) -> None:
    request = {"jsonrpc": "2.0", "id": "\x1b[31m", "method": "GetTask", "params": {"id": ["\x1b[31m\n"]}}
    with serving(path) as server:
        assert httpx.post(server.urls["payer"], json=request).json()["error"]["code"] == -32602
        _, told = server.end(signal.SIGINT)

    assert "\x1b" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "command",
    [
        f"{AGENTS}",
        f"{AGENTS}:missing --a2a",
        "/nowhere/agents.py --a2a",
        f"{AGENTS} --a2a --port 99999",
        f"{AGENTS} --a2a --host 203.0.113.1",
        f"{AGENTS} --a2a --token-env NOWHERE",
        f"{TESTS / 'support' / 'command.py'} --a2a",
    ],
)
def test_what_cannot_be_served_is_refused_before_a_log_is_made(path: Path, command: str) -> None:
    assert_refused(run(f"serve {command} --db {path}"), 2)
    assert not path.exists()


def test_a_name_that_makes_no_path_is_refused(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "named.py"
    file.write_text("from threadlog.engine import Agent, ScriptedModel\na = Agent('a/b', ScriptedModel())\n")

    assert_refused(run(f"serve {file} --a2a --db {path}"), 2)
    assert not path.exists()


def test_a_port_that_is_taken_is_named(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        called = run(f"serve {AGENTS} --a2a --port {taken.getsockname()[1]} --db {path}")

    assert_refused(called, 2)
    assert "choose another --host or --port" in called.err


def test_without_the_extra_the_command_says_which_one_to_install(path: Path) -> None:
    # As Python has it: a module that is not there.
    code = (
        "import sys; sys.modules['uvicorn'] = None; from threadlog.tools.cli import main; "
        f"sys.argv[1:] = ['serve', {str(AGENTS)!r}, '--a2a', '--db', {str(path)!r}]; main()"
    )
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert called.returncode == 2
    assert "pip install 'threadlog[a2a]'" in called.stderr


@pytest.mark.long
def test_the_sdk_is_imported_only_where_agents_are_served() -> None:
    code = "import sys, threadlog.engine, threadlog.tools.cli; print('a2a' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.long
def test_under_trio_the_server_says_that_it_runs_on_asyncio(path: Path) -> None:
    async def whole() -> None:
        async with Runtime.open(path, agents=[]) as runtime:
            await serve(Application(runtime, [], Site("http://localhost")), listening)

    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(RunError, match="on asyncio"):
        anyio.run(whole, backend="trio")


@pytest.mark.long
async def test_agents_in_a_list_are_served(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "listed.py"
    file.write_text(
        "from threadlog.engine import Agent, ScriptedModel\n"
        "AGENTS = [Agent(name, ScriptedModel(f'I am {name}')) for name in ('one', 'two')]\n"
    )
    with serving(path, agents=str(file)) as server:
        async with peer(server.urls["two"]) as client:
            assert output(await client.send(message())) == "I am two"
