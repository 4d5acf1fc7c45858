"""`enroll audit verify` finds what someone with the database changed (security I1, S25)."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.installation import Installation


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation.initialize(tmp_path_factory.mktemp("audit") / "home")
    for number in range(6):
        made.run("device", "add", f"pump-{number}")
    made.run("audit", "verify")
    return made


@pytest.fixture
def tampered(original: Installation, tmp_path: Path) -> Installation:
    home = tmp_path / "home"
    shutil.copytree(original.home, home)
    return Installation(home=home)


def cli_numbers(database: sqlite3.Connection) -> tuple[str, int]:
    """Give the stream of the commands, and its last number."""
    query = "SELECT stream, MAX(number) FROM events GROUP BY stream ORDER BY 2 DESC"
    stream, number = database.execute(query).fetchone()
    return str(stream), int(number)


def edit(database: sqlite3.Connection, stream: str, last: int) -> int:
    victim = last - 3
    database.execute(
        "UPDATE events SET actor = 'cli:nobody' WHERE stream = ? AND number = ?", (stream, victim)
    )
    return victim


def delete(database: sqlite3.Connection, stream: str, last: int) -> int:
    victim = last - 3
    database.execute("DELETE FROM events WHERE stream = ? AND number = ?", (stream, victim))
    return victim


def cut(database: sqlite3.Connection, stream: str, last: int) -> int:
    database.execute("DELETE FROM events WHERE stream = ? AND number = ?", (stream, last))
    return last


def reorder(database: sqlite3.Connection, stream: str, last: int) -> int:
    for old, new in ((last - 3, -1), (last - 2, last - 3), (-1, last - 2)):
        database.execute(
            "UPDATE events SET number = ? WHERE stream = ? AND number = ?", (new, stream, old)
        )
    return last - 3


def insert(database: sqlite3.Connection, stream: str, last: int) -> int:
    columns = [
        str(row[1]) for row in database.execute("PRAGMA table_info(events)") if row[1] != "number"
    ]
    names = ", ".join(columns)
    database.execute(
        f"INSERT INTO events (number, {names}) SELECT ?, {names} FROM events "  # noqa: S608 - names of columns
        "WHERE stream = ? AND number = ?",
        (last + 1, stream, last),
    )
    return last + 1


@pytest.mark.parametrize("tamper", [edit, delete, cut, reorder, insert])
def test_security_I1_a_tampered_row_is_found_and_named(
    tampered: Installation, tamper: Callable[[sqlite3.Connection, str, int], int]
) -> None:
    database = sqlite3.connect(tampered.home / "registry.db")
    stream, last = cli_numbers(database)
    number = tamper(database, stream, last)
    database.commit()
    database.close()

    verdict = tampered.call("audit", "verify", "-o", "json")

    assert verdict.returncode == 1
    assert f'"number": {number}' in verdict.stdout
    assert f'"stream": "{stream}"' in verdict.stdout


def test_the_whole_log_is_exported(original: Installation) -> None:
    lines = original.run("audit", "export").splitlines()

    assert sum('"device.registered"' in line for line in lines) == 6
    assert not any("BEGIN" in line for line in lines)
