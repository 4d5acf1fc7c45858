"""Signed heads of all event chains, in a file outside the database: a cut tail shows."""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.chain import GENESIS, Head
from registry.engine import database_errors
from registry.rows import to_text
from registry.tables import event_streams

LONGEST_LINE = 1024 * 1024
NOT_OURS = "was not signed by us"
OUT_OF_ORDER = "does not follow the line before it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The heads of all streams at one moment. `fault` says what is wrong with the line, if any."""

    line: int
    heads: Mapping[str, Head]
    fault: str | None = None


class CheckpointFile:
    """One JSON object a line, each signed and naming the hash of the one before."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path = path
        self._key = key

    def append(self, engine: sa.Engine, now: datetime) -> None:
        """Sign the present heads, if they are not those of the last line already.

        Raises RegistryUnavailable, OSError.
        """
        with database_errors(), engine.connect() as connection:
            rows = connection.execute(sa.select(event_streams)).all()
        heads = {row.stream: {"number": row.number, "hash": row.hash} for row in rows}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # Each line names the one before it.
            last = _last_line(file)
            if last and _heads_of(last) == heads:
                return
            previous = hashlib.sha256(last).hexdigest() if last else GENESIS
            body = {"at": to_text(now), "heads": heads, "previous": previous}
            signature = base64.b64encode(self._key.sign(_canonical(body))).decode("ascii")
            line = json.dumps({**body, "signature": signature}, sort_keys=True)
            file.write(line.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Iterator[Checkpoint]:
        """Read and verify every line, in order. What was never finished is no line."""
        if not self._path.exists():
            return
        previous: str | None = GENESIS
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                checkpoint = self._verified(number, line[:-1], previous)
                yield checkpoint
                # A line that is not ours is a fault by itself, whatever the next one names.
                is_ours = checkpoint.fault != NOT_OURS
                previous = hashlib.sha256(line[:-1]).hexdigest() if is_ours else None

    def _verified(self, number: int, line: bytes, previous: str | None) -> Checkpoint:
        try:
            body = json.loads(line)
            signature = base64.b64decode(body.pop("signature"))
            self._key.public_key().verify(signature, _canonical(body))
            heads = {
                str(stream): Head(number=int(head["number"]), hash=str(head["hash"]))
                for stream, head in body["heads"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidSignature):
            return Checkpoint(line=number, heads={}, fault=NOT_OURS)
        if previous is not None and body["previous"] != previous:
            return Checkpoint(line=number, heads=heads, fault=OUT_OF_ORDER)
        return Checkpoint(line=number, heads=heads)


def _last_line(file: BinaryIO) -> bytes:
    """Give the last line, and take away what was never finished behind it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LONGEST_LINE))
    *lines, unfinished = file.read().split(b"\n")
    if unfinished:
        file.truncate(size - len(unfinished))
    return lines[-1] if lines else b""


def _canonical(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _heads_of(line: bytes) -> object:
    try:
        return json.loads(line)["heads"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
