"""The JSON form of events."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from .event import Event

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_EXCLUDED: Mapping[str, bool | set[str]] = {"cursor": True, "message": {"provider"}}
"""The cursor is written by itself. The provider's own response is meant for its model only."""


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object: its `type`, its `cursor`, and its fields under their own names.

    `type` is the class name in snake case (`tool_call_finished`). `cursor` is the text `position.number`,
    which `subscribe(after=Cursor.parse(...))` and `threadlog follow --after` take; a transient event has
    null there. A message, outcome, suspension or decision is an object with all its fields.
    """
    fields = _EVENT.dump_python(event, mode="json", exclude=_EXCLUDED)
    return {"type": event.type, "cursor": str(event.cursor) if event.cursor else None, **fields}
