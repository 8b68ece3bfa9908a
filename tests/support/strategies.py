"""What the laws are tried on. Only things that can be reached: a history's every patch fits its state."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import JsonValue

from threadlog.store.changeset import (
    Changeset,
    ControlEntry,
    Executor,
    Message,
    Record,
    RunRequest,
    RunStatus,
    ThreadMetadata,
    TrackedPatch,
    control_stream,
)
from threadlog.store.document import pointer
from threadlog.store.errors import PatchError
from threadlog.store.patch import Operation, apply

texts = st.text(max_size=6)
integers = st.integers(-(2**63), 2**64 - 1) | st.integers(-2, 2)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, 1e300])
scalars = st.none() | st.booleans() | integers | floats | texts
keys = st.sampled_from(["a", "b", "c", "0", "1", "-", "", "/", "~", "~1", "a/b", "ключ"]) | texts
json = st.recursive(
    scalars,
    lambda items: st.lists(items, max_size=4) | st.dictionaries(keys, items, max_size=4),
    max_leaves=10,
)
documents = st.dictionaries(keys, json, max_size=4)
near = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, 2**53, 2.0**53, "", "1"]),
    lambda items: st.lists(items, max_size=2) | st.dictionaries(st.sampled_from("ab"), items, max_size=2),
    max_leaves=3,
)
"""Values so alike that two of them are often the same JSON, and often only equal in Python."""


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The pointers of a document, each with what is there."""
    yield pointer(path), document
    if isinstance(document, dict | list):
        for key, item in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(item, (*path, key))


def gaps(document: Any) -> Iterator[str]:
    """The pointers at which something new may be added to a document."""
    for path, item in places(document):
        if isinstance(item, dict):
            yield f"{path}/new"
        elif isinstance(item, list):
            yield from (f"{path}/-", f"{path}/{len(item)}")


astray = st.sampled_from(["", "/", "/a", "a", "/a/01", "/a/-1", "/0", "/a/b/c", "/~2", "/a~", "/a/1e0", "/-"])


@st.composite
def operations(draw: st.DrawFn, document: Any, *, valid: bool = False) -> Operation:
    """An operation that means a place of the document; without `valid` it may be malformed."""
    found = dict(places(document))
    paths = st.sampled_from([*found, *gaps(document)])
    paths = paths if valid else paths | paths | astray
    names = ["add", "add", "remove", "replace", "move", "copy", "test"]
    made: Operation = {"op": draw(st.sampled_from(names)), "path": draw(paths), "from": draw(paths)}
    made["value"] = draw(json if made["op"] != "test" else st.just(found.get(made["path"])) | json)
    if not valid and draw(st.integers(0, 19)) == 0:
        del made[draw(st.sampled_from(["op", "path", "from", "value"]))]
    return made


@st.composite
def fitting(draw: st.DrawFn, document: Any, *, most: int = 4) -> list[Operation]:
    """A patch that applies to the document, every operation to what the ones before it made."""
    patch: list[Operation] = []
    for _ in range(draw(st.integers(0, most))):
        operation = draw(operations(document, valid=True))
        try:
            document = apply(document, [operation])
        except PatchError:
            continue
        patch.append(operation)
    return patch


@st.composite
def patches(draw: st.DrawFn, document: Any) -> list[Operation]:
    """A patch that may apply to the document or not."""
    patch = draw(fitting(document))
    stray = draw(st.lists(operations(apply(document, patch)), max_size=2))
    return patch + stray


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Values for a field of a record."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is JsonValue:
        return json
    if origin is Annotated:
        return values(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (UnionType, Union):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(texts, values(arguments[1]), max_size=2)
    if issubclass(annotation, Record):
        return records(annotation)
    simple = {str: texts, int: st.integers(0, 2**63 - 1), float: floats, bool: st.booleans()}
    return simple.get(annotation, st.none())


def records(record: type[Record], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Records with every field drawn, as its type allows."""
    fields = {name: values(field.annotation) for name, field in record.model_fields.items()}
    return st.builds(record, **{**fields, **given})


entries = st.one_of(
    records(ControlEntry, kind=st.just("start"), start=records(RunRequest)),
    records(ControlEntry, kind=st.sampled_from(["decide", "cancel", "steer"]), start=st.none()),
)
changesets: st.SearchStrategy[Changeset] = records(
    Changeset, version=st.integers(1, 9), entry=st.none() | entries
)

threads = st.sampled_from(["t1", "t2", "поток"])
messages = records(Message, id=st.sampled_from(["m1", "m2", "m3"]), tool_calls=st.just(()))
facts = st.none() | records(RunStatus)


@st.composite
def histories(draw: st.DrawFn, *, longest: int = 8) -> list[Changeset]:
    """Changesets of several threads in the order of appending, at version 0: none is in a log yet."""
    states: dict[str, Any] = {}
    history = []
    for number in range(draw(st.integers(0, longest))):
        thread = draw(threads)
        patch = draw(fitting(states.get(thread, {}), most=3))
        states[thread] = apply(states.get(thread, {}), patch)
        run = draw(st.sampled_from([None, "r1", "r2"]))
        if run and draw(st.booleans()):
            entry = draw(entries)
            stream = control_stream(run)
            history.append(
                Changeset(
                    id=f"e{number}", thread_id=stream, reason="control", at=number, run_id=run, entry=entry
                )
            )
        history.append(
            Changeset(
                id=f"c{number}",
                thread_id=thread,
                reason="edited",
                at=number,
                run_id=run,
                parent_run_id=draw(st.sampled_from([None, "r0"])) if run else None,
                epoch=draw(st.integers(0, 2)),
                messages=draw(st.lists(messages, max_size=2).map(tuple)),
                patches=(TrackedPatch(operations=tuple(patch), source="test"),),
                run=draw(facts) if run else None,
                thread=draw(st.none() | records(ThreadMetadata)),
                executor=draw(st.none() | records(Executor)),
                control=draw(st.none() | st.integers(0, 3)),
            )
        )
    return history
