"""A listener of the server with an endpoint of the test's, in a thread with a loop of its own."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocols.wire import WireRequest, WireResponse
from server.http.front import Front
from server.http.limits import ConnectionLimits, Gate
from server.http.listener import Listener, bind_unix
from server.http.load import Load, LoadLimits
from server.http.proxies import NOBODY, Proxies, ProxyTrust
from server.http.routes import Mount, Router
from server.http.tls import ServerCredentials, TLSKey, make_context
from server.observability.metrics import Metrics

Endpoint = Callable[[WireRequest], Awaitable[WireResponse]]
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
SECONDS = 20.0
"""Longer than anything here may take: what hangs is a failure."""


async def echo(wire: WireRequest) -> WireResponse:
    """Tell what was received."""
    words = f"{wire.method} {wire.path} {len(wire.body)} {len(wire.peer_chain)} {wire.fault}\n"
    return WireResponse(status=200, media_type="text/plain", body=words.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPKI:
    """A root, an issuing CA, and certificates of both for a server and clients."""

    __test__ = False

    folder: Path
    root: trustme.CA
    issuing: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> "TestPKI":
        root = trustme.CA(key_type=trustme.KeyType.ECDSA)
        issuing = root.create_child_ca(key_type=trustme.KeyType.ECDSA)
        made = cls(folder=folder, root=root, issuing=issuing)
        root.cert_pem.write_to_path(folder / "root.pem")
        made.leaf("server", issuing, "127.0.0.1", "localhost")
        made.leaf("client", issuing, "pump-1.example")
        made.leaf("expired", issuing, "pump-2.example", age=timedelta(days=30))
        made.leaf("stranger", trustme.CA(key_type=trustme.KeyType.ECDSA), "pump-3.example")
        return made

    def leaf(
        self, name: str, issuer: trustme.CA, *names: str, age: timedelta | None = None
    ) -> Path:
        """Make a certificate with its key and chain in one PEM file."""
        ended = None if age is None else datetime.now(UTC) - age
        made = issuer.issue_cert(*names, key_type=trustme.KeyType.ECDSA, not_after=ended)
        path = self.folder / f"{name}.pem"
        made.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def credentials(self) -> ServerCredentials:
        pem = (self.folder / "server.pem").read_bytes()
        leaf, *above = x509.load_pem_x509_certificates(pem)
        key = load_pem_private_key(pem, None)
        assert isinstance(key, TLSKey)
        return ServerCredentials(certificate=leaf, chain=above, key=key)

    def client(self, certificate: str | None = None) -> ssl.SSLContext:
        """Make the standard library's client, with or without a certificate to show."""
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        if certificate is not None:
            context.load_cert_chain(self.folder / f"{certificate}.pem")
        return context


@dataclass(slots=True, kw_only=True)
class Listening:
    """A listener that runs, and what it said of itself."""

    loop: asyncio.AbstractEventLoop
    listener: Listener
    gate: Gate
    load: Load
    metrics: Metrics
    failed_handshakes: list[str] = field(default_factory=list)
    accidents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])

    def handshake_failed(self, peer: str, reason: str) -> None:
        del peer
        self.failed_handshakes.append(reason)

    def connect(self) -> socket.socket:
        """Open a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def secure(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Open a TLS connection."""
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    def exchange(self, request: bytes) -> bytes:
        """Send what need not be a request over a connection of its own, and take all that comes."""
        with self.connect() as connection:
            connection.sendall(request)
            return received(connection)

    def call(self, coroutine: Any) -> Any:
        """Run something in the listener's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)

    def left_open(self, seconds: float = SECONDS) -> int:
        """Give how many connections are open, once all others were closed or time is up."""
        wait_until(lambda: not self.gate.open, seconds)
        return self.gate.open


@contextmanager
def listening(
    endpoint: Endpoint = echo,
    *,
    limits: ConnectionLimits | None = None,
    load: LoadLimits | None = None,
    pki: TestPKI | None = None,
    body_octets: int = 64 * 1024,
    body_seconds: float = SECONDS,
    loop: str = "asyncio",
    unix: Path | None = None,
    trust: ProxyTrust = NOBODY,
) -> Iterator[Listening]:
    """Serve until the block ends; afterwards nothing may have gone wrong in the loop."""
    ready = threading.Event()
    found: list[Listening] = []

    async def serve() -> None:
        mount = Mount(prefix="/echo", endpoint=endpoint, body_bytes=body_octets, name="echo")
        bounds = limits if limits is not None else ConnectionLimits()
        running = _assemble(mount, bounds, load or LoadLimits(), body_seconds, trust)
        if pki is not None:
            context = make_context(pki.credentials(), ask_client=True)
            running.listener.context = lambda: context
        if unix is None:
            await running.listener.start_tcp("127.0.0.1", 0)
        else:
            await running.listener.start_unix(bind_unix(unix))
        found.append(running)
        ended.append(asyncio.Event())
        ready.set()
        await ended[0].wait()
        running.listener.stop_accepting()
        await running.listener.drain(1)

    ended: list[asyncio.Event] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                runner.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="listener")
    thread.start()
    assert ready.wait(SECONDS)
    assert found, "the listener did not start"
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(ended[0].set)
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert not found[0].accidents


def _assemble(
    mount: Mount,
    limits: ConnectionLimits,
    load: LoadLimits,
    body_seconds: float,
    trust: ProxyTrust,
) -> Listening:
    loop = asyncio.get_running_loop()
    metrics, gate, shared = Metrics(), Gate(limits), Load(load)
    front = Front(
        listener="test",
        router=Router((mount,)),
        metrics=metrics,
        body_seconds=body_seconds,
        load=shared,
        proxies=Proxies(trust),
    )
    running: Listening
    observer = _Observer()
    listener = Listener(front=front, limits=limits, gate=gate, observer=observer)
    running = Listening(loop=loop, listener=listener, gate=gate, load=shared, metrics=metrics)
    observer.running = running
    loop.set_exception_handler(lambda _, context: running.accidents.append(context))
    return running


class _Observer:
    running: Listening

    def handshake_failed(self, peer: str, reason: str) -> None:
        self.running.handshake_failed(peer, reason)


def received(connection: socket.socket) -> bytes:
    """Take all that comes until the other side ends."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"[reset]")
    return b"".join(parts)


def answer_from(connection: socket.socket) -> bytes:
    """Take one answer with its body from a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65536)
        assert part, f"the answer broke off: {found!r}"
        found += part
    head = found.partition(b"\r\n\r\n")[0]
    (length,) = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(found) < len(head) + 4 + length:
        part = connection.recv(65536)
        assert part, "the answer broke off"
        found += part
    return found


def wait_until(holds: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Look until it holds, for so long at most."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True
