"""What connections may cost, how many there may be, and where a listener's come in and out."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from server.backoff import source_of

CUT_SECONDS = 1.0
"""How long a connection that was cut off may take to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may cost, and how many there may be; zero per address is no limit.

    A target may be longer than other lines, for SCEP's GET carries whole messages in it (scep-14);
    the size of a head is counted without it.

    `stall_seconds` is how long a client may leave an answer lying without taking a byte of it, and
    how long it may take to hang up once it was told that the connection ends.
    """

    handshake_seconds: float = 10.0
    header_seconds: float = 10.0
    header_bytes: int = 16 * 1024
    target_bytes: int = 64 * 1024
    line_bytes: int = 8 * 1024
    header_lines: int = 100
    keep_alive_seconds: float = 15.0
    stall_seconds: float = 5.0
    connections: int = 20_000
    connections_per_address: int = 0


class Gate:
    """Counts the open connections of all listeners, and refuses those beyond the limits.

    Who comes over the unix socket is one proxy with many clients behind it: only the total counts.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open = 0
        self._by_source: Counter[str] = Counter()

    @property
    def open(self) -> int:
        return self._open

    def admit(self, address: str) -> bool:
        if self._open >= self._limits.connections:
            return False
        if self._limits.connections_per_address:
            source = source_of(address)
            if source and self._by_source[source] >= self._limits.connections_per_address:
                return False
            self._by_source[source] += 1
        self._open += 1
        return True

    def leave(self, address: str) -> None:
        self._open -= 1
        if self._limits.connections_per_address:
            source = source_of(address)
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]


class Guest(Protocol):
    """A connection as its listener sees it."""

    def drain(self) -> None:
        """End now if idle, else after the running exchange."""
        ...

    def abort(self) -> None: ...


class Door:
    """Where the connections of one listener come in and go out."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._guests: dict[Guest, str] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self, guest: Guest, address: str) -> bool:
        """Let a connection in, if the gate does."""
        if not self._gate.admit(address):
            return False
        self._guests[guest] = address
        self._empty.clear()
        return True

    def leave(self, guest: Guest) -> None:
        """Count a connection out; one that was not let in does not count."""
        address = self._guests.pop(guest, None)
        if address is None:
            return
        self._gate.leave(address)
        if not self._guests:
            self._empty.set()

    async def drain(self, seconds: float) -> None:
        """Let running exchanges finish within the time, then cut off what is left."""
        for guest in tuple(self._guests):
            guest.drain()
        if not await self._is_empty(seconds):
            for guest in tuple(self._guests):
                guest.abort()
            await self._is_empty(CUT_SECONDS)

    async def _is_empty(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
