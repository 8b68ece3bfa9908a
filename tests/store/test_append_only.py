"""The database itself refuses to change, delete or insert rows."""

from pathlib import Path

import pytest

from support.log_files import open_sqlite, read_tables
from support.logs import append_all, changeset
from threadlog.store import Log
from threadlog.store.database import sqlite3

INSERT = (
    "insert into changeset select {}, format, content, digest, file_digest from changeset where id = 'c1'"
)
PUT = INSERT.replace("insert", "insert or replace")
TAMPERING = [
    "update changeset set content = x'00'",
    "update changeset set position = position + 10",
    "update thread set name = 'other'",
    "update or replace thread set name = 't2' where name = 't1'",
    "delete from changeset",
    "delete from changeset where position = (select max(position) from changeset)",
    "delete from thread",
    INSERT.format("9, thread, 3, 'c9'"),
    INSERT.format("4, thread, 9, 'c9'"),
    INSERT.format("0, thread, 3, 'c9'"),
    INSERT.format("4, 2, 3, 'c9'"),
    PUT.format("position, thread, version, id"),
    PUT.format("4, thread, 1, 'c9'"),
    PUT.format("1, thread, 3, 'c9'"),
    PUT.format("4, thread, 3, id"),
    "insert or replace into thread values (1, 't9')",
    "insert or replace into thread values (3, 't1')",
    "insert into thread values (9, 't9')",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_no_row_is_changed_deleted_or_put_in_between(log: Log, path: Path, statement: str) -> None:
    append_all(log, [changeset("c1"), changeset("c2", "t2"), changeset("c3")])
    before = read_tables(path)

    with open_sqlite(path) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute(statement)

    assert read_tables(path) == before


def test_an_append_to_no_thread_is_refused_by_the_database(log: Log, path: Path) -> None:
    with open_sqlite(path) as connection:
        connection.execute("pragma foreign_keys = on")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("insert into changeset values (1, 9, 1, 'c1', 1, x'', x'', x'')")
