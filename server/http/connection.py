"""One HTTP/1.1 connection: aiohttp's parser, one exchange at a time, a deadline per wait."""

import asyncio
import re
import time
from enum import Enum, auto
from math import inf
from typing import cast

import structlog
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from server.http.answers import Answer
from server.http.front import Front
from server.http.limits import ConnectionLimits, Door
from server.http.peer import Peer

_log = structlog.get_logger("connection")
SLICE = 64 * 1024
"""How much of an answer is handed to the transport at a time, and how much is read ahead."""

_LAST_CHUNK = re.compile(rb"(?:\A|\r\n)0{1,8}\r\n\r\n\Z")
_LAST_CHUNK_OCTETS = 16


class Waiting(Enum):
    """What a connection waits for; each wait has its own deadline, and its own end."""

    HEAD = auto()
    EXCHANGE = auto()
    CLIENT_TO_READ = auto()
    CLIENT_TO_HANG_UP = auto()


class HTTPConnection(BaseProtocol):
    """Reads requests one after another, lets the front answer them, and ends when it should.

    A request that comes before the last one's answer is not looked at until then. A door is given
    where no TLS stands before this connection.
    """

    __slots__ = (
        "_answering",
        "_door",
        "_end_of_input",
        "_expires",
        "_front",
        "_head_octets",
        "_last_octets",
        "_left",
        "_limits",
        "_lost_track",
        "_payload",
        "_peer",
        "_read_ahead",
        "_timer",
        "_waiting",
    )

    def __init__(self, front: Front, limits: ConnectionLimits, door: Door | None = None) -> None:
        loop = asyncio.get_running_loop()
        parser = HttpRequestParser(
            self,
            loop,
            SLICE,
            max_line_size=limits.target_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.header_lines,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=1,
        )
        super().__init__(loop, parser)
        self._front = front
        self._limits = limits
        self._door = door
        self._waiting = Waiting.HEAD
        self._answering: asyncio.Task[None] | None = None
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._head_octets = 0
        self._read_ahead = b""
        self._last_octets: bytes | None = None
        self._end_of_input = False
        self._lost_track = False
        self._timer: asyncio.TimerHandle | None = None
        self._expires = inf
        self._left: float = inf

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._peer = Peer(stream)
        if self._door is not None and not self._door.enter(self, self._peer.address):
            self._waiting = Waiting.CLIENT_TO_HANG_UP
            stream.abort()
            return
        self.transport = stream
        self._expect(Waiting.HEAD, self._limits.header_seconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._door is not None:
            self._door.leave(self)
        self._waiting = Waiting.CLIENT_TO_HANG_UP
        self._peer.gone = True
        if not self._payload.is_eof():
            self._payload.set_exception(ConnectionResetError("the client hung up"))
        super().connection_lost(exc)
        # Both know us: without this, only the collector could free the connection, and looking
        # through thousands of connections for a few that are gone takes it long.
        self._parser = None
        self._payload = EMPTY_PAYLOAD

    def data_received(self, data: bytes) -> None:
        if self._lost_track or self._waiting is Waiting.CLIENT_TO_HANG_UP:
            return
        if self._answering is None or not self._payload.is_eof():
            self._parse(data)
        elif data:
            self._read_ahead += data
            if len(self._read_ahead) > SLICE:
                self._pause_reading_for_buffer()

    def eof_received(self) -> bool:
        """Take the end of what the client sends; who has sent a whole request gets its answer."""
        self._end_of_input = True
        if not self._payload.is_eof():
            self._payload.set_exception(RequestPayloadError("the body has no end"))
        return self._answering is not None and self._waiting is not Waiting.CLIENT_TO_HANG_UP

    # What the listener wants.

    def drain(self) -> None:
        """End now if idle, else after the running exchange; the front tells so in its answers."""
        if self._waiting is Waiting.HEAD and not self._head_octets:
            self._end()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # Requests in.

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None  # noqa: S101 - until the connection is lost
        try:
            messages, _, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._cannot_parse(error)
            return
        except Exception as error:  # noqa: BLE001 - however a parser fails, it is the request's fault
            self._cannot_parse(error)
            return
        if self._answering is not None:
            self._check_last_chunk(data)
        elif messages:
            ((message, payload),) = messages
            self._begin(message, payload, data)
        elif data:
            self._head_goes_on(len(data))

    def _begin(self, message: RawRequestMessage, payload: StreamReader, data: bytes) -> None:
        octets, self._head_octets = self._head_octets + len(data), 0
        # In pieces, aiohttp's parser in Python lets a field be as long as a target.
        if octets > self._limits.line_bytes and not _fits(message, self._limits):
            self._refuse(431, "This head is too large.", "head too large")
            return
        self._payload = payload
        if message.chunked:
            self._last_octets = b""
            self._check_last_chunk(data)
        self._waiting, self._expires = Waiting.EXCHANGE, inf
        arrived = time.perf_counter() - self._peer.unread_for()
        coroutine = self._exchange(message, payload, arrived)
        self._answering = self._loop.create_task(coroutine)

    def _head_goes_on(self, octets: int) -> None:
        if not self._head_octets:
            self._expect(Waiting.HEAD, self._limits.header_seconds)
        self._head_octets += octets
        if self._head_octets > self._limits.header_bytes + self._limits.target_bytes:
            self._refuse(431, "This head is too large.", "head too large")

    def _check_last_chunk(self, data: bytes) -> None:
        """Demand that a chunked body ends without trailers, and that nothing comes after it.

        No client of ours sends trailers, and a request that follows before it was answered cannot
        be told from them (security T5).
        """
        if self._last_octets is None:
            return
        self._last_octets = (self._last_octets + data[-_LAST_CHUNK_OCTETS:])[-_LAST_CHUNK_OCTETS:]
        if self._payload.is_eof():
            if not _LAST_CHUNK.search(self._last_octets):
                self._payload.set_exception(RequestPayloadError("something follows the last chunk"))
            self._last_octets = None

    def _cannot_parse(self, error: Exception) -> None:
        if self._answering is not None:
            # The exchange that waits for this body gives the answer; no more can be understood.
            self._lost_track = True
            self._payload.set_exception(RequestPayloadError("the body cannot be read"))
        elif isinstance(error, LineTooLong) and error.args[1] == self._limits.target_bytes:
            self._refuse(414, "This address is too long.", "target too long")
        elif isinstance(error, LineTooLong):
            self._refuse(431, "A line of this head is too long.", "line too long")
        else:
            self._refuse(400, "This is not a request that can be served.", type(error).__name__)

    def _refuse(self, status: int, words: str, kind: str) -> None:
        """Answer what is no request, and end."""
        assert self.transport is not None  # noqa: S101 - not yet lost, or nothing would come
        answer = self._front.refuse(status, words, self._peer, kind)
        self.transport.write(answer.head + answer.body)
        self._end(politely=True)

    # Answers out.

    async def _exchange(
        self, message: RawRequestMessage, payload: StreamReader, arrived: float
    ) -> None:
        try:
            answer = await self._front.serve(message, payload, self._peer, arrived)
            await self._send(answer)
        except ConnectionError:
            return
        except Exception:  # noqa: BLE001 - a fault of ours ends the connection, not the server
            _log.exception("exchange failed")
            self.abort()
            return
        if self.transport is None:
            return
        if answer.close or not payload.is_eof():
            self._end(politely=not payload.is_eof())
        else:
            self._go_on()

    async def _send(self, answer: Answer) -> None:
        """Hand an answer on as fast as the client takes it. Raises ConnectionError."""
        if self.transport is None:
            return
        if len(answer.body) <= SLICE:
            self.transport.write(answer.head + answer.body)
        else:
            self.transport.write(answer.head)
            rest = memoryview(answer.body)
            while rest and self.transport is not None:
                self.transport.write(rest[:SLICE])
                rest = rest[SLICE:]
                await self._taken()
        await self._taken()

    async def _taken(self) -> None:
        """Wait until the client has taken what it was sent, but for a little."""
        if self._paused:
            self._expect_progress(Waiting.CLIENT_TO_READ)
            await self._drain_helper()
            self._waiting, self._expires = Waiting.EXCHANGE, inf

    def _go_on(self) -> None:
        """Turn to the next request, which may have come already."""
        assert self._parser is not None  # noqa: S101 - until the connection is lost
        self._answering = None
        self._payload = EMPTY_PAYLOAD
        self._parser.message_consumed()
        self._expect(Waiting.HEAD, self._limits.keep_alive_seconds)
        data, self._read_ahead = self._read_ahead, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        self._parse(data)
        if self._end_of_input and self._answering is None:
            self._end()

    # Ends and deadlines.

    def _end(self, *, politely: bool = False) -> None:
        """Close once all that was written has gone.

        Politely: let the client hang up first. What it still sends would turn our close into a
        reset, and a reset can overtake the answer.
        """
        transport = self.transport
        if transport is None or self._waiting is Waiting.CLIENT_TO_HANG_UP:
            return
        self._expect_progress(Waiting.CLIENT_TO_HANG_UP)
        self._read_ahead = b""
        if politely and not self._end_of_input:
            try:
                transport.write_eof()
            except OSError:
                transport.abort()
                return
            transport.resume_reading()
        else:
            transport.close()

    def _expect(self, waiting: Waiting, seconds: float) -> None:
        self._waiting = waiting
        self._expires = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._expires:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._expires, self._look_at_clock)

    def _expect_progress(self, waiting: Waiting) -> None:
        self._left = inf
        self._expect(waiting, self._limits.stall_seconds)

    def _look_at_clock(self) -> None:
        """Act if time is up. Deadlines move with every request; the timer follows when it rings."""
        self._timer = None
        if self._expires == inf:
            return
        if self._loop.time() < self._expires:
            self._timer = self._loop.call_at(self._expires, self._look_at_clock)
        elif self._waiting is not Waiting.HEAD:
            self._expect_to_shrink()
        elif self._head_octets:
            self._refuse(408, "This request took too long to arrive.", "slow head")
        else:
            self._end()

    def _expect_to_shrink(self) -> None:
        """Go on waiting while the client takes what it was sent; else cut it off."""
        if self.transport is None:
            return
        left = self.transport.get_write_buffer_size()
        if 0 < left < self._left:
            self._left = left
            self._expect(self._waiting, self._limits.stall_seconds)
        else:
            self.transport.abort()


def _fits(message: RawRequestMessage, limits: ConnectionLimits) -> bool:
    """Tell whether a head's fields are in bounds, all and each, but for spaces around values."""
    lengths = [len(name) + len(value) + 4 for name, value in message.raw_headers]
    return sum(lengths) <= limits.header_bytes and max(lengths, default=0) <= limits.line_bytes
