"""One HTTP/1.1 connection: aiohttp's parser and loop, with our deadlines and our error pages."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from server.http.tls_transport import peer_name

_log = structlog.get_logger("http")
LINGER_SECONDS = 2.0
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may cost, and how many there may be; zero per address is no limit."""

    header_seconds: float = 10.0
    header_bytes: int = 16 * 1024
    line_bytes: int = 8 * 1024
    keep_alive_seconds: float = 15.0
    connections: int = 20_000
    connections_per_address: int = 0


class Gate:
    """Counts open connections and refuses those beyond the limits."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open = 0
        self._by_address: Counter[str] = Counter()

    @property
    def open(self) -> int:
        return self._open

    def admit(self, address: str) -> bool:
        each = self._limits.connections_per_address
        if self._open >= self._limits.connections or (each and self._by_address[address] >= each):
            return False
        self._open += 1
        if each:
            self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open -= 1
        if self._limits.connections_per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


class BoundedConnection(RequestHandler):
    """Closes a connection whose next request's head does not come whole, in time and in size."""

    def __init__(self, manager: web.Server, limits: ConnectionLimits) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.keep_alive_seconds,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None to log nothing
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_timer()
            self._head_bytes = 0
        elif self._waiter is not None:  # No request is being read or answered: this is a head.
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.header_bytes:
                self._refuse_head()
            elif self._head_timer is None:
                self._start_timer()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed without repeating a byte of it."""
        del message
        correlation_id = os.urandom(8).hex()
        _log.info(
            "bad HTTP",
            correlation_id=correlation_id,
            status=status,
            peer=peer_name(self.transport) if self.transport is not None else None,
            kind=type(exc).__name__ if exc else None,
        )
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had been begun")
        answer = web.Response(
            status=status,
            text=f"This is not a request that can be served. [{correlation_id}]\n",
            headers={"Server": "enroll", "X-Request-ID": correlation_id},
        )
        answer.force_close()
        return answer

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self._limits.header_seconds, self._head_too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        self.force_close()

    def _refuse_head(self) -> None:
        if self.transport is not None:
            self.transport.write(TOO_LARGE)
        self.force_close()


def make_server(handler: Any) -> web.Server:
    """Make aiohttp's low-level server, which keeps count of its connections for draining."""
    return web.Server(handler)
