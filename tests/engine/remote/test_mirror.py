"""What of a remote task is mirrored, whatever of it was seen, in whatever pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from threadlog.engine.remote.mirror import drop_known_messages, mirror_messages, output
from threadlog.engine.remote.protocol import Artifact, Task, TaskMessage
from threadlog.store import Message

texts = st.text("abc ", min_size=1, max_size=4)


def said(number: int, text: str) -> TaskMessage:
    role = "ROLE_USER" if number % 3 == 0 else "ROLE_AGENT"
    return {"messageId": f"m{number}", "role": role, "parts": [{"text": text}]}


@st.composite
def lives(draw: st.DrawFn) -> list[Task]:
    """A task from its first message to its end: what its status says is in its history later."""
    messages = [said(n, text) for n, text in enumerate(draw(st.lists(texts, min_size=1, max_size=6)))]
    artifacts: list[Artifact] = [
        {"artifactId": f"a{n}", "parts": [{"text": text}]}
        for n, text in enumerate(draw(st.lists(texts, max_size=2)))
    ]
    grown: list[Task] = [
        {"id": "t", "status": {"state": "TASK_STATE_WORKING", "message": last}, "history": messages[:n]}
        for n, last in enumerate(messages)
    ]
    over: Task = {
        "id": "t",
        "status": {"state": "TASK_STATE_COMPLETED"},
        "history": messages,
        "artifacts": artifacts,
    }
    return [*grown, over]


def thread(seen: list[Task]) -> list[Message]:
    """The thread of a run that has seen these, one after the other."""
    found: dict[str, Message] = {}
    for task in seen:
        for message in mirror_messages(drop_known_messages(task, "run", found), "run", ["m0"]):
            found.setdefault(message.id, message)
    return list(found.values())


def read(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.visibility == "all"]


@given(lives(), st.data())
def test_what_is_seen_again_is_not_mirrored_again(life: list[Task], data: st.DataObject) -> None:
    """thread(seen with repeats) == thread(seen)"""
    often = [task for task in life for _ in range(data.draw(st.integers(1, 3)))]

    assert thread(often) == thread(life)


@given(lives(), st.data())
def test_what_was_missed_on_the_way_is_in_the_mirror_at_the_end(
    life: list[Task], data: st.DataObject
) -> None:
    """read(thread(some of it, and its end)) == read(thread(its end))"""
    some = [task for task in life[:-1] if data.draw(st.booleans())]

    assert read(thread([*some, life[-1]])) == read(thread(life[-1:]))


@given(lives())
def test_a_mirror_only_grows(life: list[Task]) -> None:
    for before, after in pairwise([thread(life[:n]) for n in range(len(life) + 1)]):
        assert after[: len(before)] == before


def test_the_output_is_the_text_of_the_artifacts_before_that_of_the_last_message() -> None:
    artifacts: list[Artifact] = [
        {"parts": [{"text": "one"}, {"data": {"two": 2}}]},
        {"parts": [{"text": "three"}]},
    ]
    task: Task = {"id": "t", "history": [said(1, "said")]}

    assert output({**task, "artifacts": artifacts}) == 'one\n{"two":2}\n\nthree'
    assert output(task) == "said"
