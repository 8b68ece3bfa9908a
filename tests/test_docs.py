import re
import tomllib
from pathlib import Path

import click
import pytest

from support.command import call
from support.documents import DOCUMENTS, ROOT, Reader, anchors, blocks, commands, links, prose
from threadlog import engine, reducers, store
from threadlog.engine import events
from threadlog.tools import cli

README, ENGINE, STORE, REDUCERS, TOOLS, _ = DOCUMENTS
COMMANDS = cli.cli.commands
PAGES = [*DOCUMENTS, ROOT / "CHANGELOG.md"]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.does_not_replay("the documents verify and replay their logs themselves")
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_works_and_works_again(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)

    for is_first in (True, False):
        reader = Reader(folder, is_first=is_first)
        try:
            for block in blocks(document):
                reader.read(block)
        finally:
            reader.close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_in_a_document_is_used_by_a_command(document: Path) -> None:
    typed = "\n".join(block.text for block in blocks(document) if block.language == "console")

    files = [block.file for block in blocks(document) if block.language == "python" and block.file]

    assert [file for file in files if file not in typed] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_fits_on_one_screen_and_begins_with_two_commands() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert len(README.read_text().splitlines()) <= 150
    assert commands(README, "make") == ["demo", "test"]
    assert {"demo", "test"} <= set(targets)


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path != README], ids=name_of)
def test_the_readme_leads_to_every_other_document(document: Path) -> None:
    assert name_of(document) in links(README)


@pytest.mark.parametrize(
    ("package", "document"),
    [(engine, ENGINE), (store, STORE), (reducers, REDUCERS)],
    ids=["engine", "store", "reducers"],
)
def test_every_public_name_is_documented(package: object, document: Path) -> None:
    text = document.read_text()

    assert [name for name in vars(package)["__all__"] if not re.search(rf"\b{name}\b", text)] == []


def test_the_table_of_events_lists_all_of_them() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (durable|transient) \|", ENGINE.read_text(), re.MULTILINE)
    known = [getattr(events, name) for name in events.__all__]
    kinds = {each.type: each for each in known if hasattr(each, "type") and hasattr(each, "cursor")}

    expected = {
        name: "transient" if "cursor" in vars(kind) and kind.cursor is None else "durable"
        for name, kind in kinds.items()
    }

    assert dict(rows) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_has_help(name: str) -> None:
    command = COMMANDS[name]
    options = [option for option in command.params if isinstance(option, click.Option)]

    assert re.search(rf"^#+ .*`{name}`", TOOLS.read_text(), re.MULTILINE)
    assert [option.name for option in options if not option.help] == []
    assert command.help
    assert command.help.split(".")[0].split()[0] in call(f"{name} --help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", TOOLS.read_text()))
    options = {option for param in COMMANDS[name].params for option in param.opts if option.startswith("--")}

    assert options <= named


def test_every_option_in_the_documents_exists() -> None:
    typed = [line for document in DOCUMENTS for line in commands(document, "threadlog")]
    named = {option for line in typed for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)}
    known = {option for command in COMMANDS.values() for param in command.params for option in param.opts}

    assert named <= known | {"--help", "--version"}


def test_every_exit_code_is_documented() -> None:
    codes = re.findall(r"^(\d+) +(.+)$", cli.__doc__ or "", re.MULTILINE)

    assert len(codes) >= 7
    for code, meaning in codes:
        assert re.search(rf"\b{code}\b.*{re.escape(meaning)}", prose(TOOLS)), f"{code} {meaning}"


def test_the_changelog_begins_with_the_current_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (first, *_) = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert first.split()[0] == version
    assert call("--version").out.split()[-1] == version
