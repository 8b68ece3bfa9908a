"""Tasks whose server was killed: the next one stops, asks about or resumes them."""

from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGKILL

import pytest
from a2a.types import GetTaskRequest, Task

from support.a2a_servers import AGENTS, ASKING, COMPLETED, FAILED, Gate, message, output, peer, serving
from support.command import assert_refused, call

pytestmark = [pytest.mark.anyio, pytest.mark.long]

LEADING = """
from threadlog.engine import Agent, RemoteAgent, ScriptedModel, ToolCall

call = ToolCall("agent_run", {{"agent_id": "helper", "prompt": "go"}})
model = ScriptedModel(call, lambda request: request.messages[-1].content)
chief = Agent("chief", model, agents=["helper"])
helper = RemoteAgent("helper", "{url}")
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate().open() as gate:
        yield gate


async def killed_at_the_gate(path: Path, gate: Gate) -> Task:
    """A task whose model was being asked when its server was killed."""
    with serving(path, gate=gate) as server:
        async with peer(server.urls["planner"]) as planner:
            task = await planner.send(message("go"), wait=False)
            await gate.asked()
        server.end(SIGKILL)
    return task


@pytest.mark.parametrize(
    ("option", "state"), [("", FAILED), ("--orphans stop", FAILED), ("--orphans ask", ASKING)]
)
async def test_a_task_whose_server_was_killed_is_over_or_asks(
    path: Path, gate: Gate, option: str, state: int
) -> None:
    task = await killed_at_the_gate(path, gate)
    with serving(path, option, gate=gate) as server:
        async with peer(server.urls["planner"]) as planner:
            assert (await planner.client.get_task(GetTaskRequest(id=task.id))).status.state == state


async def test_a_task_whose_server_was_killed_goes_on(path: Path, gate: Gate) -> None:
    await killed_at_the_gate(path, gate)
    with serving(path, "--orphans resume", gate=gate) as server:
        async with peer(server.urls["planner"]) as planner:
            await (await gate.asked()).end("Three days.")
            again = await planner.send(message("go"))

    assert (again.status.state, output(again)) == (COMPLETED, "Three days.")


async def test_a_remote_agent_of_the_file_works_for_those_that_are_served_and_is_not_served(
    path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "leading.py"
    with serving(tmp_path / "remote.db") as remote:
        file.write_text(LEADING.format(url=remote.urls["talker"]))
        with serving(path, agents=str(file)) as server:
            assert list(server.urls) == ["chief"]
            async with peer(server.urls["chief"]) as chief:
                assert '"status":"completed"' in output(await chief.send(message("go")))


def test_orphans_are_not_left_alone_by_a_server(path: Path) -> None:
    refused = call(f"serve {AGENTS} --a2a --orphans leave --db {path}")

    assert_refused(refused, 2)
    assert not path.exists()
