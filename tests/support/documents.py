"""The documents of the repository: their code blocks, links and headings, and how blocks are executed.

Every block has a language, and every language an executor in `Reader`. A block that cannot be executed in a
test has a comment on the line before it that says why: `<!-- not run: REASON -->`.

A block whose first line is a comment with a file name (`# bills.py`, `-- bills.db`) belongs to that file.
"""

import re
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Any, NamedTuple

from support.shell import Shell

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    *(ROOT / package / "README.md" for package in ("engine", "store", "reducers", "tools", "tests")),
)
SCHEMA = " ".join(
    " ".join((ROOT / "store" / name).read_text().split()) for name in ("schema.sql", "derived.sql")
)
PORT = "8000"
"""The port in the documents. Each test uses a free one instead."""

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"(?:#|--) (?P<name>[\w.]+\.\w+)\n")


class Block(NamedTuple):
    """A code block of a document."""

    place: str
    """The document and the line, for error messages."""

    language: str
    text: str
    reason: str | None
    """Why it is not executed."""

    @property
    def file(self) -> str | None:
        """The file that the block is or belongs to."""
        found = _FILE.match(self.text)
        return found["name"] if found else None


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(
            f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, found.start('text'))}",
            found["language"],
            found["text"],
            found["reason"],
        )
        for found in _BLOCK.finditer(text)
    ]


def commands(document: Path, program: str) -> list[str]:
    """Return what follows a program's name after the prompts of a document."""
    console = "\n".join(block.text for block in blocks(document) if block.language == "console")
    return re.findall(rf"^\$ {program} +(.*)$", console, re.MULTILINE)


def prose(document: Path) -> str:
    """Return a document without its code blocks."""
    return _BLOCK.sub("", document.read_text())


def links(document: Path) -> list[str]:
    """Return the targets of the links of a document, without those on the web."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    return [target for target in targets if "://" not in target]


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Reader:
    """Executes the blocks of a document in order, as a reader would who tries all of it in one folder."""

    def __init__(self, folder: Path, *, is_first: bool) -> None:
        """A second reader of the same folder compares no output: what is there already is not new."""
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._port = _free_port()
        self._shell = Shell(folder, compares=is_first)

    def read(self, block: Block) -> None:
        block = block._replace(text=block.text.replace(PORT, self._port))
        if block.reason is None:
            getattr(self, f"_{block.language}")(block)

    def close(self) -> None:
        self._shell.close()
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(self._folder):
                del sys.modules[name]

    def _python(self, block: Block) -> None:
        if block.file:
            (self._folder / block.file).write_text(block.text)
        else:
            exec(compile(block.text, block.place, "exec"), self._names)

    def _console(self, block: Block) -> None:
        self._shell.run(block.text, block.place)

    def _sql(self, block: Block) -> None:
        """A block without a file is a part of the schema."""
        if block.file is None:
            assert all(_normalized(each) in SCHEMA for each in block.text.split(";\n")), block.place
            return
        connection = sqlite3.connect(f"file:{self._folder / block.file}?mode=ro", uri=True)
        try:
            assert connection.execute(block.text).fetchall(), f"{block.place}: no rows"
        finally:
            connection.close()


def _normalized(statement: str) -> str:
    return " ".join(statement.split())


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])
