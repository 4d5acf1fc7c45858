"""Verifying the audit log: every row against its chain, its seal and the checkpoints."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

import sqlalchemy as sa

from registry.chain import Head, seal
from registry.chain_walk import SEAL_BROKEN, AuditFault, ChainWalk, Row
from registry.checkpoints import CheckpointFile
from registry.engine import SQLITE, database_errors
from registry.tables import event_streams, events

CHECKPOINT_BROKEN = "checkpoint_broken"
CHUNK = 1_000
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What a verification found."""

    events: int = 0
    faults: list[AuditFault] = field(default_factory=list)

    def fault(self, stream: str, number: int, kind: str, detail: str) -> None:
        self.faults.append(AuditFault(stream=stream, number=number, kind=kind, detail=detail))


def verify_events(
    engine: sa.Engine, *, seal_key: bytes, checkpoints: CheckpointFile
) -> AuditReport:
    """Check all events, as they are at one moment. Memory stays flat. Raises RegistryUnavailable.

    The checkpoints are read first: what they promise is in the database by then.
    """
    report = AuditReport()
    marks = _marks(checkpoints, report)
    with _view(engine) as connection:
        heads = _heads(connection)
        unseen = set(heads) | set(marks)
        for stream, rows in itertools.groupby(_rows(connection), lambda row: str(row["stream"])):
            unseen.discard(stream)
            _verify(stream, rows, heads.get(stream), seal_key, marks, report)
        for stream in unseen:
            _verify(stream, (), heads.get(stream), seal_key, marks, report)
    report.faults.sort(key=lambda fault: (fault.stream, fault.number))
    return report


def export_events(engine: sa.Engine) -> Iterator[Mapping[str, object]]:
    """Give every row in the order of its chain, all of one moment. Raises RegistryUnavailable."""
    with _view(engine) as connection:
        query = sa.select(events).order_by(events.c.stream, events.c.number)
        for row in connection.execute(query).yield_per(CHUNK).mappings():
            yield dict(row)


def _verify(
    stream: str,
    rows: Iterable[Row],
    sealed: tuple[Head, bytes] | None,
    seal_key: bytes,
    marks: Mapping[str, Mapping[int, str]],
    report: AuditReport,
) -> None:
    """Walk one stream from its last row to its first."""
    head = None
    if sealed is not None:
        head, mac = sealed
        if not compare_digest(seal(seal_key, stream, head).encode(), mac):
            report.fault(stream, head.number, SEAL_BROKEN, "the head was not written by us")
            head = None
    walk = ChainWalk(stream, head=head, is_sealed=sealed is not None, marks=marks.get(stream, {}))
    for row in rows:
        report.events += 1
        walk.see(row)
    report.faults.extend(walk.finish())


def _heads(connection: sa.Connection) -> dict[str, tuple[Head, bytes]]:
    """Read every stream's head and seal, whatever has been written there."""
    found = {}
    for row in connection.execute(sa.select(event_streams)):
        number = row.number if isinstance(row.number, int) else 0
        mac = str(row.seal).encode("utf-8", errors="backslashreplace")
        found[str(row.stream)] = (Head(number=number, hash=str(row.hash)), mac)
    return found


def _rows(connection: sa.Connection) -> Iterator[Row]:
    """Read all rows, those of a stream together, the last one first."""
    query = sa.select(events).order_by(events.c.stream.desc(), events.c.number.desc())
    return iter(connection.execute(query).yield_per(CHUNK).mappings())


@contextmanager
def _view(engine: sa.Engine) -> Iterator[sa.Connection]:
    """See the database at one moment, whatever is being written, or was ever written into it."""
    with database_errors(), engine.connect() as connection, _any_text(connection):
        is_sqlite = connection.dialect.name == SQLITE
        connection.exec_driver_sql("BEGIN" if is_sqlite else _BEGIN_READING)
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


@contextmanager
def _any_text(connection: sa.Connection) -> Iterator[None]:
    """Let SQLite give what was tampered with until it is no text; PostgreSQL holds no such."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != SQLITE:
        yield
        return
    driver.text_factory = lambda octets: octets.decode("utf-8", errors="surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = str


def _marks(checkpoints: CheckpointFile, report: AuditReport) -> dict[str, dict[int, str]]:
    """Collect from the checkpoints which row had which hash."""
    marks: dict[str, dict[int, str]] = {}
    for checkpoint in checkpoints.read():
        if checkpoint.fault is not None:
            detail = f"line {checkpoint.line} of the checkpoints {checkpoint.fault}"
            report.fault("", checkpoint.line, CHECKPOINT_BROKEN, detail)
        for stream, head in checkpoint.heads.items():
            if head.number:
                marks.setdefault(stream, {})[head.number] = head.hash
    return marks
