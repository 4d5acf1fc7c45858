"""TLS between a plain asyncio transport and an inner protocol, by pyOpenSSL over memory BIOs."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol, cast

from OpenSSL import SSL, crypto

from server.http.limits import Door
from server.http.peer import peer_name
from server.http.plaintext import PlaintextTransport
from server.http.tls_records import RecordFollower

RECORD = 16 * 1024
CHUNK = 64 * 1024
EXPANSION = 512
"""More than TLS adds to the records of one chunk."""


class HandshakeObserver(Protocol):
    """Told of handshakes that came to nothing."""

    def handshake_failed(self, peer: str, reason: str) -> None: ...


class InnerProtocol(Protocol):
    """What speaks over TLS: an asyncio protocol that can be brought to rest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def drain(self) -> None: ...


class TLSServerProtocol(asyncio.BufferedProtocol):
    """Terminates TLS for one connection and hands the plaintext to an inner protocol.

    The inner protocol is made when the handshake is done, and sees a `PlaintextTransport`. Into
    `buffer` records are received; connections of one loop share it, for each empties it at once.
    """

    __slots__ = (
        "_behind",
        "_buffer",
        "_closing",
        "_deadline",
        "_door",
        "_handshake_seconds",
        "_inner",
        "_inner_paused",
        "_loop",
        "_make_context",
        "_make_inner",
        "_observer",
        "_reading",
        "_records",
        "_said_goodbye",
        "_shaking",
        "_transport",
        "_write_blocked",
        "connection",
        "context",
    )

    def __init__(
        self,
        *,
        context: Callable[[], SSL.Context],
        inner: Callable[[], InnerProtocol],
        handshake_seconds: float,
        observer: HandshakeObserver,
        door: Door,
        buffer: memoryview,
    ) -> None:
        self._make_context = context
        self._make_inner = inner
        self._handshake_seconds = handshake_seconds
        self._observer = observer
        self._door = door
        self._buffer = buffer
        self._inner: InnerProtocol | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._shaking = False
        self._closing = False
        self._said_goodbye = False
        # Reading stops while the inner side wants nothing, and while the client takes nothing.
        self._inner_paused = False
        self._write_blocked = False
        self._reading = True
        # One that came whole is read without asking for more.
        self._records = RecordFollower()
        self._behind = False

    # What the plain transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        if not self._door.enter(self, peer_name(transport)):
            self._closing = True
            self._transport.abort()
            return
        self._loop = asyncio.get_running_loop()
        self.context = self._make_context()
        self.connection = SSL.Connection(self.context, None)
        self.connection.set_accept_state()
        self._deadline = self._loop.call_later(self._handshake_seconds, self._too_slow)
        self._shaking = True

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            return
        is_one_record = self._records.is_one(self._buffer, nbytes)
        self.connection.bio_write(self._buffer[:nbytes])
        if self._inner is None:
            self._shake_hands()
        elif is_one_record and self._reading and not self._behind:
            self._read_record(nbytes)
        else:
            self._behind = True
            self._read()

    def eof_received(self) -> bool:
        """Take the end of the stream without close_notify for what it is: an end.

        HTTP knows by itself where a request ends, so nothing can be cut short unnoticed.
        """
        if self._inner is None or self._closing:
            return False
        return bool(self._inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._door.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inner is None:
            self._failed("the client hung up" if exc is None else "the connection broke")
            return
        inner, self._inner = self._inner, None
        inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._write_blocked = True
        if self._inner is not None:
            self._inner.pause_writing()
        self._read_or_not()

    def resume_writing(self) -> None:
        self._write_blocked = False
        if self._inner is not None:
            self._inner.resume_writing()
        self._read_or_not()

    # What the listener wants.

    def drain(self) -> None:
        if self._inner is None:
            self.abort()
        else:
            self._inner.drain()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    # What the inner side asks for, through its transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._said_goodbye:
            return
        try:
            if len(data) <= CHUNK:
                self.connection.sendall(data)
                self._flush(len(data) + EXPANSION)
                return
            rest = memoryview(data)
            while rest:
                self.connection.sendall(rest[:CHUNK])
                self._flush(CHUNK + EXPANSION)
                rest = rest[CHUNK:]
        except SSL.Error:
            self.abort()

    def pause_reading(self) -> None:
        self._inner_paused = True
        self._read_or_not()

    def resume_reading(self) -> None:
        if self._inner_paused:
            self._inner_paused = False
            self._read_or_not()

    def write_eof(self) -> None:
        """Say that no more will come, and go on reading."""
        if not self._closing:
            self._say_goodbye()
            self._transport.write_eof()

    def close(self) -> None:
        """Send close_notify and close once all that was written has gone."""
        if not self._closing:
            self._say_goodbye()
            self._closing = True
            self._transport.close()

    @property
    def is_closing(self) -> bool:
        return self._closing

    @property
    def is_reading(self) -> bool:
        return self._reading

    @property
    def plain(self) -> asyncio.Transport:
        return self._transport

    def peer_chain(self) -> tuple[bytes, ...]:
        """Give the certificates that the client sent, DER, its own first; none if it sent none."""
        try:
            leaf = self.connection.get_peer_certificate()
            if leaf is None:
                return ()
            above = self.connection.get_peer_cert_chain() or []
            found = [crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in (leaf, *above)]
        except (SSL.Error, crypto.Error):
            return ()
        return tuple(dict.fromkeys(found))

    # The handshake.

    def _shake_hands(self) -> None:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        except SSL.Error as error:
            self._flush()
            self._failed(_reason(error))
            self._closing = True
            self._transport.close()
            return
        assert self._deadline is not None  # noqa: S101 - set when the connection was made
        self._deadline.cancel()
        self._shaking = False
        self._flush()
        if self._closing:
            return
        self._inner = self._make_inner()
        self._inner.connection_made(PlaintextTransport(self))
        if self._write_blocked:
            self._inner.pause_writing()
        self._behind = True
        self._read()

    def _too_slow(self) -> None:
        self._failed("the handshake took too long")
        self.abort()

    def _failed(self, reason: str) -> None:
        """Tell the observer, once. The deadline stays: it ends who does not take our alert."""
        if self._shaking:
            self._shaking = False
            self._observer.handshake_failed(peer_name(self._transport), reason)

    # Records in, records out.

    def _read_record(self, nbytes: int) -> None:
        """Hand on the plaintext of the one record that came."""
        try:
            plaintext = self.connection.recv(nbytes)
        except SSL.Error as error:
            self._not_read(error)
            return
        assert self._inner is not None  # noqa: S101 - the handshake is done
        self._inner.data_received(plaintext)

    def _read(self) -> None:
        """Hand on all plaintext there is, until the inner side wants no more."""
        while self._reading and not self._closing and self._inner is not None:
            try:
                plaintext = self.connection.recv(RECORD)
            except SSL.Error as error:
                self._behind = False
                self._not_read(error)
                return
            self._inner.data_received(plaintext)

    def _not_read(self, error: SSL.Error) -> None:
        """Tell apart: no more for now, no more at all, and what cannot be read."""
        # OpenSSL may have something to say: an alert, or the answer to a KeyUpdate.
        self._flush()
        if isinstance(error, SSL.WantReadError):
            return
        if not isinstance(error, SSL.ZeroReturnError):
            self._closing = True
            self._transport.close()
        elif self._inner is not None and not self._inner.eof_received():
            self.close()

    def _read_or_not(self) -> None:
        reading = not (self._inner_paused or self._write_blocked)
        if reading is self._reading or self._closing:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
            if self._behind:
                self._loop.call_soon(self._read)
        else:
            self._transport.pause_reading()

    def _flush(self, size: int = CHUNK) -> None:
        """Send what OpenSSL has made: handshake messages, alerts, records."""
        try:
            while True:
                records = self.connection.bio_read(size)
                self._transport.write(records)
                if len(records) < size:
                    return
        except SSL.WantReadError:
            return

    def _say_goodbye(self) -> None:
        if not self._said_goodbye:
            self._said_goodbye = True
            with contextlib.suppress(SSL.Error):
                self.connection.shutdown()
            self._flush()


def _reason(error: SSL.Error) -> str:
    """Say in OpenSSL's words why a handshake failed."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][-1])
    return type(error).__name__
