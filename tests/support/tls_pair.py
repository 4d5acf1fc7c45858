"""A TLS client and the server's transport in one place, with a wire between them in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from OpenSSL import SSL

from server.http.limits import ConnectionLimits, Door, Gate
from server.http.tls import make_context
from server.http.tls_transport import TLSServerProtocol
from tests.support.listening import TestPKI

HIGH_WATER = 64 * 1024


class WireTransport(asyncio.Transport):
    """The server's end of the wire: what was written lies there until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.flows = True
        self._reading = True
        self._ended = ""
        self.has_ended = asyncio.Event()
        self.protocol: TLSServerProtocol | None = None
        self._paused = False

    @property
    def ended(self) -> str:
        """Tell how it ended: `half`, `closed`, `aborted`, or not yet."""
        return self._ended

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended:
            return
        self.written += data
        if not self.flows and len(self.written) > HIGH_WATER and not self._paused:
            self._paused = True
            assert self.protocol is not None
            self.protocol.pause_writing()

    def take(self) -> bytes:
        """Take what was written, as a client that reads."""
        taken = bytes(self.written)
        self.written.clear()
        if self._paused:
            self._paused = False
            assert self.protocol is not None
            self.protocol.resume_writing()
        return taken

    def is_reading(self) -> bool:
        return self._reading

    def get_write_buffer_size(self) -> int:
        return 0 if self.flows else len(self.written)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 4711) if name == "peername" else default

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def write_eof(self) -> None:
        self._ended = self._ended or "half"

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, how: str) -> None:
        self._ended = how
        self.has_ended.set()


def _nothing(_: bytes) -> None:
    return


class Recorder(asyncio.Protocol):
    """An inner protocol that keeps what it hears, and does as it is told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.transport: Any = None
        self.eof = False
        self.lost: list[Exception | None] = []
        self._writing = True
        self.keeps_open = False
        self.on_data: Callable[[bytes], None] = _nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.on_data(data)

    def eof_received(self) -> bool:
        self.eof = True
        return self.keeps_open

    def pause_writing(self) -> None:
        self._writing = False

    def resume_writing(self) -> None:
        self._writing = True

    def may_write(self) -> bool:
        return self._writing

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def drain(self) -> None:
        self.transport.close()


@dataclass(slots=True, kw_only=True)
class Pair:
    """Both ends, and how many octets at a time the wire carries to the server."""

    server: TLSServerProtocol
    wire: WireTransport
    client: SSL.Connection
    inner: Recorder
    buffer: memoryview
    step: int = 65_536
    failures: list[str] = field(default_factory=list)

    def handshake_failed(self, peer: str, reason: str) -> None:
        assert peer == "192.0.2.1"
        self.failures.append(reason)

    def shake(self) -> None:
        """Let both ends finish the handshake."""
        for _ in range(20):
            done = self._client_shakes()
            self.carry()
            self.deliver()
            if done and self.inner.transport is not None:
                return
        raise AssertionError("the handshake did not end")

    def say(self, data: bytes) -> None:
        """Let the client send."""
        self.client.sendall(data)
        self.carry()

    def hear(self) -> bytes:
        """Let the client read all that the server has sent."""
        self.deliver()
        heard = bytearray()
        while True:
            try:
                heard += self.client.recv(65_536)
            except (SSL.WantReadError, SSL.ZeroReturnError):
                return bytes(heard)

    def carry(self) -> None:
        """Carry what the client has written to the server."""
        while True:
            try:
                records = self.client.bio_read(65_536)
            except SSL.WantReadError:
                return
            self.feed(records)

    def feed(self, octets: bytes) -> None:
        """Give octets to the server, whatever they are, in the wire's steps."""
        for at in range(0, len(octets), self.step):
            part = octets[at : at + self.step]
            space = self.server.get_buffer(-1)
            space[: len(part)] = part
            self.server.buffer_updated(len(part))

    def deliver(self) -> None:
        taken = self.wire.take()
        if taken:
            self.client.bio_write(taken)

    def _client_shakes(self) -> bool:
        try:
            self.client.do_handshake()
        except SSL.WantReadError:
            return False
        return True


def a_pair(
    pki: TestPKI,
    *,
    version: int = SSL.TLS1_3_VERSION,
    certificate: str | None = None,
    step: int = 65_536,
    handshake_seconds: float = 60.0,
) -> Pair:
    """Connect a client to the transport, inside a running loop, before the handshake."""
    accepting = make_context(pki.credentials(), ask_client=True)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    if certificate is not None:
        context.use_certificate_chain_file(str(pki.folder / f"{certificate}.pem"))
        context.use_privatekey_file(str(pki.folder / f"{certificate}.pem"))
    client = SSL.Connection(context, None)
    client.set_connect_state()
    inner, wire = Recorder(), WireTransport()
    buffer = memoryview(bytearray(65_536))
    observer = _Observer()
    server = TLSServerProtocol(
        context=lambda: accepting,
        inner=lambda: inner,
        handshake_seconds=handshake_seconds,
        observer=observer,
        door=Door(Gate(ConnectionLimits())),
        buffer=buffer,
    )
    wire.protocol = server
    pair = Pair(server=server, wire=wire, client=client, inner=inner, buffer=buffer, step=step)
    observer.pair = pair
    server.connection_made(wire)
    return pair


class _Observer:
    pair: Pair

    def handshake_failed(self, peer: str, reason: str) -> None:
        self.pair.handshake_failed(peer, reason)
