"""Encoding and decoding of changesets, and the digests that chain them. Pure.

A row's content is the changeset as canonical JSON without its version, which is a column. Fields at their
default are left out, so a later format may add fields without changing old bytes.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from .changeset import Changeset
from .document import dumps
from .errors import ContentError, CorruptLog, NewerFormat, OlderFormat
from .state import State

FORMAT = 3
"""The format that this code reads and writes. Older ones were never released and are refused."""

GENESIS = bytes(32)
"""The digest before the first."""


class Encoded(NamedTuple):
    """A changeset ready to be written."""

    changeset: Changeset
    content: bytes
    """Its canonical bytes."""

    patches: Sequence[dict[str, Any]]
    """Its patches as plain JSON values, shared with no other object."""

    state: State | None = None
    """The thread's state after it, if the author has already applied the patches."""


def encode(changeset: Changeset) -> bytes:
    """Return the canonical bytes, without the version. Changesets that are equal as JSON have equal bytes.

    Raises:
        ContentError: a value would not survive unchanged, or is too deep or too large.
    """
    return encoded(changeset).content


def encoded(changeset: Changeset) -> Encoded:
    """Encode a changeset and return its patches as well. Raises as `encode`."""
    try:
        fields = changeset.model_dump(exclude_defaults=True, warnings="error")
    except PydanticSerializationError as err:
        # `model_copy` and dicts inside a record can hold values that were never validated.
        raise ContentError(f"not what a changeset may hold: {err}") from err
    fields.pop("version", None)
    content = dumps(fields, record=True)
    return Encoded(changeset, content, fields.get("patches", ()))


def decode(content: bytes, *, version: int, format: int = FORMAT) -> Changeset:
    """Return the changeset that `encode` made the bytes from, at its version.

    Raises:
        NewerFormat, OlderFormat: another version of threadlog wrote the bytes.
        CorruptLog: the bytes are no changeset.
    """
    refuse_format(format, "a changeset")
    try:
        changeset = Changeset.model_validate_json(content)
    except (ValidationError, TypeError) as err:
        # TypeError: a tool call without a name is refused by its __init__, as Python does.
        raise CorruptLog(f"the content of version {version} is no changeset: {err}") from err
    return changeset.model_copy(update={"version": version})


def refuse_format(format: int, what: str) -> None:
    """Raise unless this code reads the format.

    Raises:
        NewerFormat, OlderFormat: it does not.
    """
    if format > FORMAT:
        raise NewerFormat(f"{what} has format {format}; this threadlog reads format {FORMAT}: upgrade it")
    if format < FORMAT:
        raise OlderFormat(
            f"{what} has format {format}, of a version before the first release; this threadlog reads format "
            f"{FORMAT}: read it with the version that wrote it"
        )


def row_digest(previous: bytes, *, version: int, format: int, content: bytes) -> bytes:
    """Return the digest of a row: it seals content, thread, id, version and all earlier rows."""
    return sha256(previous + b"%d %d " % (format, version) + content).digest()


def file_digest(previous: bytes, *, position: int, digest: bytes) -> bytes:
    """Return the digest of the whole log up to a position."""
    return sha256(previous + b"%d " % position + digest).digest()
