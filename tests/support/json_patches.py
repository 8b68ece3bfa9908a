"""Operations of a JSON patch, and the outcome of a patch here and in jsonpatch."""

from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer

from threadlog.store.errors import PatchError
from threadlog.store.patch import Operation, apply

REFUSED = "refused"


def outcome(document: Any, patch: list[Operation]) -> Any:
    try:
        return apply(document, patch)
    except PatchError:
        return REFUSED


def oracle(document: Any, patch: list[Operation]) -> Any:
    try:
        return jsonpatch.apply_patch(deepcopy(document), deepcopy(patch))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
        return REFUSED


def add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def remove(path: str) -> Operation:
    return {"op": "remove", "path": path}


def replace(path: str, value: Any) -> Operation:
    return {"op": "replace", "path": path, "value": value}


def move(source: str, path: str) -> Operation:
    return {"op": "move", "from": source, "path": path}


def copy(source: str, path: str) -> Operation:
    return {"op": "copy", "from": source, "path": path}


def check(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}
