"""TLS between a plain asyncio transport and an inner protocol, by pyOpenSSL over memory BIOs."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

RECORD = 16 * 1024
CHUNK = 64 * 1024


class HandshakeObserver(Protocol):
    """Told of handshakes that came to nothing."""

    def handshake_failed(self, peer: str, reason: str) -> None: ...


class TLSServerProtocol(asyncio.Protocol):
    """Terminates TLS for one connection and hands the plaintext to an inner protocol.

    The inner protocol is made when the handshake is done, and sees a `TLSTransport`.
    """

    def __init__(
        self,
        *,
        context: Callable[[], SSL.Context],
        inner: Callable[[], asyncio.Protocol],
        handshake_seconds: float,
        observer: HandshakeObserver,
    ) -> None:
        self._make_context = context
        self._make_inner = inner
        self._handshake_seconds = handshake_seconds
        self._observer = observer
        self._inner: asyncio.Protocol | None = None
        self._paused = False
        self._closing = False
        self._chain: tuple[bytes, ...] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.context = self._make_context()
        self.connection = SSL.Connection(self.context, None)
        self.connection.set_accept_state()
        self._deadline = self._loop.call_later(self._handshake_seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self.connection.bio_write(data)
        if self._inner is None:
            self._shake_hands()
        else:
            self._read()

    def eof_received(self) -> bool:
        """Take the end of the stream without close_notify for what it is: an end."""
        if self._inner is not None and not self._closing:
            self._inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._closing = True
        if self._inner is not None:
            self._inner.connection_lost(exc)
        elif exc is None:
            self._failed("the client hung up")

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # What the inner side asks for, through its transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        try:
            self.connection.sendall(bytes(data))
        except SSL.Error:
            self.abort()
            return
        self._flush()

    def pause_reading(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
            self._loop.call_soon(self._read)

    def close(self) -> None:
        """Send close_notify and close once all that was written has gone."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(SSL.Error):
            self.connection.shutdown()
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    @property
    def is_closing(self) -> bool:
        return self._closing

    @property
    def plain(self) -> asyncio.Transport:
        return self._transport

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """Give the certificates that the client sent, DER, its own first; none if it sent none."""
        if self._chain is None:
            leaf = self.connection.get_peer_certificate(as_cryptography=True)
            above = self.connection.get_peer_cert_chain(as_cryptography=True) or []
            found = [leaf, *above] if leaf is not None else []
            self._chain = tuple(dict.fromkeys(each.public_bytes(Encoding.DER) for each in found))
        return self._chain

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
        self._deadline.cancel()
        self._flush()
        self._inner = self._make_inner()
        self._inner.connection_made(TLSTransport(self))
        self._read()

    def _too_slow(self) -> None:
        self._failed("the handshake took too long")
        self.abort()

    def _failed(self, reason: str) -> None:
        if self._inner is None and not self._deadline.cancelled():
            self._deadline.cancel()
            self._observer.handshake_failed(peer_name(self._transport), reason)

    # Records in, records out.

    def _read(self) -> None:
        """Hand on all plaintext there is, until the inner side wants no more."""
        inner = self._inner
        if inner is None:
            return
        while not (self._paused or self._closing):
            try:
                plaintext = self.connection.recv(RECORD)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                inner.eof_received()
                self.close()
                return
            except SSL.Error:
                self._flush()
                self.abort()
                return
            inner.data_received(plaintext)
        self._flush()

    def _flush(self) -> None:
        """Send what OpenSSL has made: handshake messages, alerts, records."""
        while True:
            try:
                records = self.connection.bio_read(CHUNK)
            except SSL.WantReadError:
                return
            self._transport.write(records)
            if len(records) < CHUNK:
                return


class TLSTransport(asyncio.Transport):
    """What the inner protocol writes to."""

    def __init__(self, outer: TLSServerProtocol) -> None:
        super().__init__()
        self._outer = outer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give `peer_chain` (DER, leaf first), `tls_connection`, or what the socket knows."""
        match name:
            case "peer_chain":
                return self._outer.peer_chain
            case "tls_connection":
                return self._outer.connection
            case "sslcontext":
                return self._outer.context
            case _:
                return self._outer.plain.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._outer.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self._outer.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._outer.close()

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self._outer.close()

    def abort(self) -> None:
        self._outer.abort()

    def is_closing(self) -> bool:
        return self._outer.is_closing

    def pause_reading(self) -> None:
        self._outer.pause_reading()

    def resume_reading(self) -> None:
        self._outer.resume_reading()

    def is_reading(self) -> bool:
        return self._outer.plain.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._outer.plain.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._outer.plain.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._outer.plain.get_write_buffer_limits()


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Name the other end: its address, or `unix` for a socket of this host."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else "unix"


def _reason(error: SSL.Error) -> str:
    """Say in OpenSSL's words why a handshake failed."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][-1])
    return type(error).__name__
