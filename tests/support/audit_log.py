"""An audit log of several chains with its checkpoints, to be tampered with."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enroll.events import EnrollmentEvent, EventName
from registry.audit import AuditReport, verify_events
from registry.chain import COLUMNS, entry_hash
from registry.checkpoints import CheckpointFile
from registry.engine import open_engine
from tests.support.builders import an_event, an_id
from tests.support.fakes import START
from tests.support.registries import SEAL_KEY, make_database, open_sqlite, sqlite_url

CHECKPOINT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MAIN, CLI, WORKER = "main", "cli", "worker-2"
LENGTHS = {MAIN: 12, CLI: 4, WORKER: 1}
CHECKPOINTED = {MAIN: 9, CLI: 4, WORKER: 1}
"""How far the last checkpoint goes."""

Fault = tuple[str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLog:
    """A database whose audit log is checked, and what else the check needs."""

    database: Path
    checkpoints: Path

    @property
    def checkpoint_file(self) -> CheckpointFile:
        return CheckpointFile(self.checkpoints, CHECKPOINT_KEY)

    def verify(self, *, seal_key: bytes = SEAL_KEY) -> AuditReport:
        engine = open_engine(sqlite_url(self.database), 5)
        try:
            return verify_events(engine, seal_key=seal_key, checkpoints=self.checkpoint_file)
        finally:
            engine.dispose()

    def faults(self) -> list[Fault]:
        return [(each.stream, each.number, each.kind) for each in self.verify().faults]

    def sign(self) -> None:
        engine = open_engine(sqlite_url(self.database), 5)
        try:
            self.checkpoint_file.append(engine, START)
        finally:
            engine.dispose()

    @contextmanager
    def tamper(self) -> Iterator[sqlite3.Connection]:
        """Open the database as a thief of it would, without our keys and our constraints."""
        connection = sqlite3.connect(self.database)
        try:
            connection.execute("PRAGMA foreign_keys = OFF")
            yield connection
            connection.commit()
        finally:
            connection.close()

    def row(self, stream: str, number: int) -> dict[str, Any]:
        with self.tamper() as database:
            database.row_factory = sqlite3.Row
            found = database.execute(
                "SELECT * FROM events WHERE stream = ? AND number = ?", (stream, number)
            ).fetchone()
        return dict(found)

    def change(self, stream: str, number: int, /, **values: object) -> None:
        """Edit columns of one row."""
        settings = ", ".join(f"{name} = ?" for name in values)
        with self.tamper() as database:
            database.execute(
                f"UPDATE events SET {settings} WHERE stream = ? AND number = ?",  # noqa: S608 - names of columns
                (*values.values(), stream, number),
            )

    def delete(self, stream: str, *numbers: int) -> None:
        with self.tamper() as database:
            database.executemany(
                "DELETE FROM events WHERE stream = ? AND number = ?",
                [(stream, number) for number in numbers],
            )

    def insert(self, row: dict[str, Any]) -> None:
        names = ", ".join(row)
        places = ", ".join("?" * len(row))
        with self.tamper() as database:
            database.execute(
                f"INSERT INTO events ({names}) VALUES ({places})",  # noqa: S608 - names of columns
                tuple(row.values()),
            )

    def shift(self, stream: str, first: int, by: int) -> None:
        """Move all rows from this one on to other numbers."""
        with self.tamper() as database:
            for sign, offset in ((-1, 0), (-1, by)):
                database.execute(
                    "UPDATE events SET number = ? * number + ? WHERE stream = ? "
                    "AND (number >= ? OR number < 0)",
                    (sign, offset, stream, first),
                )


def rehashed(row: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Make a row whose contents give its hash, as anyone can."""
    made = {**row, **changes}
    return {**made, "hash": entry_hash({name: made[name] for name in COLUMNS})}


def an_audit_log(folder: Path) -> AuditLog:
    """Write a clean log: three chains, and checkpoints of all but the last rows."""
    database, checkpoints = _clean()
    made = AuditLog(database=folder / "registry.db", checkpoints=folder / "checkpoints.jsonl")
    made.database.write_bytes(database)
    made.checkpoints.write_bytes(checkpoints)
    return made


def some_events(stream: str, first: int, last: int) -> list[EnrollmentEvent]:
    """Make events that use every column, and leave out each that may be left out."""
    return [
        an_event(
            list(EventName)[number % len(EventName)],
            occurred_at=START + timedelta(minutes=number),
            actor=f"cli:Jürgen {number}",
            device_id=an_id(f"device {number}") if number % 3 else None,
            correlation_id=f"{stream}-{number}" if number % 4 else None,
            facts={"number": number, "text": 'Łódź "quoted" 💧', "list": [1, [], {}]},
        )
        for number in range(first, last + 1)
    ]


@lru_cache
def _clean() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = AuditLog(
            database=make_database(folder / "registry.db"),
            checkpoints=folder / "checkpoints.jsonl",
        )
        with asyncio.Runner() as runner:
            for first, last in ((1, 3), (4, 7), (8, 9), (10, 12)):
                runner.run(_write(log.database, MAIN, first, last))
                if first == 4:
                    runner.run(_write(log.database, CLI, 1, 3))
                if first == 8:
                    runner.run(_write(log.database, CLI, 4, 4))
                    runner.run(_write(log.database, WORKER, 1, 1))
                if first < 10:
                    log.sign()
        return log.database.read_bytes(), log.checkpoints.read_bytes()


async def _write(database: Path, stream: str, first: int, last: int) -> None:
    registry = open_sqlite(database, stream=stream)
    try:
        for event in some_events(stream, first, last):
            async with registry.unit_of_work() as uow:
                uow.events.append(event)
                await uow.commit()
    finally:
        await registry.close()
