"""The hash chain of events: one chain per writing process, its head sealed."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from enroll.events import EnrollmentEvent
from enroll.failures import RegistryUnavailable
from registry.database import WriteTransaction
from registry.rows import compact_json, sorted_json, to_text
from registry.statements import Change, Place, Query, Values, inserting
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
    return hashlib.sha256(compact_json(_columns(row)).encode("ascii")).hexdigest()


def seal(key: bytes, stream: str, head: Head) -> str:
    """Seal a head, so that who has only the database cannot move it."""
    message = json.dumps([stream, head.number, head.hash]).encode("ascii")
    return hmac.new(key, message, hashlib.sha256).hexdigest()


class Chain:
    """Appends to one stream within one database transaction."""

    def __init__(
        self, transaction: WriteTransaction, stream: str, seal_key: bytes, head: Head
    ) -> None:
        self._transaction = transaction
        self._stream = stream
        self._seal_key = seal_key
        self._first = self.head = head

    @classmethod
    async def open(cls, transaction: WriteTransaction, stream: str, seal_key: bytes) -> "Chain":
        """Read the head, and keep others from moving it until the transaction ends.

        Raises RegistryUnavailable if we did not write it: sealing what follows would hide that.
        """
        rows = await transaction.rows(_HEAD, {"this_stream": stream})
        if not rows:
            return cls(transaction, stream, seal_key, _NO_HEAD)
        head = Head(number=rows[0].number, hash=rows[0].hash)
        if not hmac.compare_digest(seal(seal_key, stream, head).encode(), _octets(rows[0].seal)):
            raise RegistryUnavailable(
                f"the head of the audit log's stream {stream!r} was not written by us; "
                "run 'enroll audit verify' and restore the database from a backup",
                retry_after=60,
            )
        return cls(transaction, stream, seal_key, head)

    def rewind(self, head: Head) -> None:
        """Forget what was linked since, because it was undone."""
        self.head = head

    def link(self, entries: Iterable[EnrollmentEvent]) -> tuple[Change, list[Values]]:
        """Give the rows of entries numbered and hashed behind the head; the caller stores them."""
        rows: list[Values] = []
        for entry in entries:
            row: dict[str, object] = {
                "stream": self._stream,
                "number": self.head.number + 1,
                "occurred_at": to_text(entry.occurred_at),
                "name": entry.name.value,
                "device_id": entry.device_id,
                "actor": entry.actor,
                "correlation_id": entry.correlation_id,
                "facts": sorted_json(entry.facts),
                "previous_hash": self.head.hash,
            }
            row["hash"] = entry_hash(row)
            self.head = Head(number=self.head.number + 1, hash=str(row["hash"]))
            rows.append(row)
        return _INSERT, rows

    async def finish(self) -> int:
        """Write the head, once for all that was linked, and tell how many entries that was."""
        if self.head == self._first:
            return 0
        values = {
            "stream": self._stream,
            "this_number": self._first.number,
            "number": self.head.number,
            "hash": self.head.hash,
            "seal": seal(self._seal_key, self._stream, self.head),
        }
        changed = await self._transaction.change(_MOVE if self._first.number else _START, values)
        if changed != 1:
            raise RegistryUnavailable(f"another process writes the stream {self._stream!r}")
        return self.head.number - self._first.number


def _octets(stored: object) -> bytes:
    return str(stored).encode("utf-8", errors="backslashreplace")


def _move(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    columns = event_streams.c
    return (
        event_streams.update()
        .where(
            columns.stream == value(columns.stream),
            columns.number == value(columns.number, "this_number"),
        )
        .values({name: value(columns[name]) for name in ("number", "hash", "seal")})
    )


_columns = itemgetter(*COLUMNS)
_NO_HEAD = Head(number=0, hash=GENESIS)
_INSERT = inserting(events, *COLUMNS, "hash")
_START = inserting(event_streams, "stream", "number", "hash", "seal")
_MOVE = Change(_move)
_HEAD = Query(
    sa.select(event_streams.c.number, event_streams.c.hash, event_streams.c.seal)
    .where(event_streams.c.stream == sa.bindparam("this_stream"))
    .with_for_update()
)
