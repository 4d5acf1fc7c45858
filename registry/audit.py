"""Verifying the audit log: every row against its chain, its seal and the checkpoints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

import sqlalchemy as sa

from registry.chain import GENESIS, Head, entry_hash, seal
from registry.checkpoints import CheckpointFile
from registry.engine import database_errors
from registry.rows import AnyRow
from registry.tables import event_streams, events

EDITED = "edited"
DELETED = "deleted"
REORDERED = "reordered"
INSERTED = "inserted"
CUT = "cut"
SEAL_BROKEN = "seal_broken"
CHECKPOINT_BROKEN = "checkpoint_broken"
CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFault:
    """One row that is not as it was written: its stream, its number, and what was done to it."""

    stream: str
    number: int
    kind: str
    detail: str


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
    """Check all events. Memory stays flat. Raises RegistryUnavailable."""
    report = AuditReport()
    marks = _marks(checkpoints, report)
    with database_errors(), engine.connect() as connection:
        heads = _sealed_heads(connection, seal_key, report)
        streams = set(connection.execute(sa.select(events.c.stream).distinct()).scalars())
        for stream in sorted(streams | set(heads) | set(marks)):
            _verify_stream(connection, stream, heads.get(stream), marks.get(stream, {}), report)
    return report


def export_events(engine: sa.Engine) -> Iterator[Mapping[str, object]]:
    """Give every row in the order of its chain. Raises RegistryUnavailable."""
    with database_errors(), engine.connect() as connection:
        for row in _rows(connection, sa.select(events).order_by(*_ORDER)):
            yield dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for a row as mapping


def _verify_stream(
    connection: sa.Connection,
    stream: str,
    head: Head | None,
    marks: Mapping[int, str],
    report: AuditReport,
) -> None:
    """Walk one chain, comparing each row with what the one before and the marks promise."""
    expected = Head(number=0, hash=GENESIS)
    query = sa.select(events).where(events.c.stream == stream).order_by(events.c.number)
    for row in _rows(connection, query):
        report.events += 1
        if row.number > expected.number + 1:
            missing = range(expected.number + 1, row.number)
            for number in list(missing)[:CHUNK]:
                report.fault(stream, number, DELETED, "the row is gone")
        elif row.number <= expected.number:
            report.fault(stream, row.number, INSERTED, "a number out of its order")
        elif row.previous_hash != expected.hash:
            report.fault(stream, row.number, REORDERED, "it does not follow the row before it")
        if entry_hash(row._mapping) != row.hash:  # noqa: SLF001 - a public name, as below
            report.fault(stream, row.number, EDITED, "its contents do not give its hash")
        mark = marks.get(row.number)
        if mark is not None and mark != row.hash:
            report.fault(stream, row.number, EDITED, "a checkpoint signed another row here")
        if head is not None and row.number > head.number:
            report.fault(stream, row.number, INSERTED, "it lies beyond the sealed head")
        expected = Head(number=row.number, hash=row.hash)
    _verify_end(stream, expected, head, marks, report)


def _verify_end(
    stream: str,
    last: Head,
    head: Head | None,
    marks: Mapping[int, str],
    report: AuditReport,
) -> None:
    promised = max([head.number if head is not None else 0, *marks], default=0)
    if last.number < promised:
        for number in list(range(last.number + 1, promised + 1))[:CHUNK]:
            report.fault(stream, number, CUT, f"the log ends before its promised end {promised}")
    elif head is None:
        if last.number:
            report.fault(stream, last.number, SEAL_BROKEN, "the stream's sealed head is gone")
    elif head.number == last.number and head.hash != last.hash:
        report.fault(stream, last.number, EDITED, "the sealed head is of another row")
    elif head.number < promised:
        report.fault(stream, head.number, SEAL_BROKEN, "the head is older than a checkpoint")


def _sealed_heads(
    connection: sa.Connection, seal_key: bytes, report: AuditReport
) -> dict[str, Head]:
    heads = {}
    for row in connection.execute(sa.select(event_streams)):
        head = Head(number=row.number, hash=row.hash)
        if not compare_digest(seal(seal_key, row.stream, head), row.seal):
            report.fault(row.stream, row.number, SEAL_BROKEN, "the head was not written by us")
        heads[row.stream] = head
    return heads


def _marks(checkpoints: CheckpointFile, report: AuditReport) -> dict[str, dict[int, str]]:
    """Collect from the checkpoints which row had which hash."""
    marks: dict[str, dict[int, str]] = {}
    for checkpoint in checkpoints.read():
        if not checkpoint.sound:
            detail = f"line {checkpoint.line} of the checkpoints was not signed by us"
            report.fault("", checkpoint.line, CHECKPOINT_BROKEN, detail)
        for stream, head in checkpoint.heads.items():
            if head.number:
                marks.setdefault(stream, {})[head.number] = head.hash
    return marks


def _rows(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> Iterator[AnyRow]:
    """Read in chunks, by position in the chain."""
    last: tuple[str, int] | None = None
    while True:
        chunk = query.limit(CHUNK)
        if last is not None:
            chunk = chunk.where(sa.tuple_(events.c.stream, events.c.number) > last)
        rows = connection.execute(chunk).all()
        yield from rows
        if len(rows) < CHUNK:
            return
        last = (rows[-1].stream, rows[-1].number)


_ORDER = (events.c.stream, events.c.number)
