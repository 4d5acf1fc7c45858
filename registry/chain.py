"""The hash chain of events: one chain per writing process, its head sealed."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enroll.events import EnrollmentEvent
from registry.rows import to_text
from registry.tables import event_streams, events

GENESIS = "0" * 64
COLUMNS = (
    "stream",
    "number",
    "occurred_at",
    "name",
    "device_id",
    "actor",
    "correlation_id",
    "facts",
    "previous_hash",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last entry of a stream."""

    number: int
    hash: str


def entry_hash(row: Mapping[Any, Any]) -> str:
    """Hash one entry: SHA-256 over all its columns, written so that nothing can be confused."""
    canonical = json.dumps(
        [row[each] for each in COLUMNS], ensure_ascii=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def seal(key: bytes, stream: str, head: Head) -> str:
    """Seal a head, so that who has only the database cannot move it."""
    message = json.dumps([stream, head.number, head.hash]).encode("ascii")
    return hmac.new(key, message, hashlib.sha256).hexdigest()


class Chain:
    """Appends to one stream within one database transaction."""

    def __init__(self, connection: sa.Connection, stream: str, seal_key: bytes) -> None:
        self._connection = connection
        self._stream = stream
        self._seal_key = seal_key
        self._head = _read_head(connection, stream)
        self._first = self._head

    @property
    def head(self) -> Head:
        return self._head

    def rewind(self, head: Head) -> None:
        """Forget what was appended since, because its savepoint was rolled back."""
        self._head = head

    def append(self, entries: Sequence[EnrollmentEvent]) -> None:
        rows = []
        for entry in entries:
            row: dict[str, object] = {
                "stream": self._stream,
                "number": self._head.number + 1,
                "occurred_at": to_text(entry.occurred_at),
                "name": entry.name.value,
                "device_id": entry.device_id,
                "actor": entry.actor,
                "correlation_id": entry.correlation_id,
                "facts": json.dumps(entry.facts, sort_keys=True, separators=(",", ":")),
                "previous_hash": self._head.hash,
            }
            row["hash"] = entry_hash(row)
            self._head = Head(number=self._head.number + 1, hash=str(row["hash"]))
            rows.append(row)
        if rows:
            self._connection.execute(_INSERT, rows)

    def finish(self) -> None:
        """Write the head, once for all that was appended."""
        if self._head == self._first:
            return
        values = {
            "number": self._head.number,
            "hash": self._head.hash,
            "seal": seal(self._seal_key, self._stream, self._head),
        }
        if self._first.number:
            self._connection.execute(_UPDATE, {"this_stream": self._stream, **values})
        else:
            self._connection.execute(_START, {"stream": self._stream, **values})


def _read_head(connection: sa.Connection, stream: str) -> Head:
    row = connection.execute(_HEAD, {"this_stream": stream}).one_or_none()
    return Head(number=row.number, hash=row.hash) if row else Head(number=0, hash=GENESIS)


_INSERT = events.insert()
_START = event_streams.insert()
_UPDATE = (
    event_streams.update()
    .where(event_streams.c.stream == sa.bindparam("this_stream"))
    .values(number=sa.bindparam("number"), hash=sa.bindparam("hash"), seal=sa.bindparam("seal"))
)
_HEAD = sa.select(event_streams.c.number, event_streams.c.hash).where(
    event_streams.c.stream == sa.bindparam("this_stream")
)
