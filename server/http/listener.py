"""Listeners: a bound address, its protocols, and how it comes to rest."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import cast

from OpenSSL import SSL

from server.http.connection import BoundedConnection, ConnectionLimits, Gate, make_server
from server.http.front import Front
from server.http.tls_transport import HandshakeObserver, TLSServerProtocol, peer_name

BACKLOG = 1024


class Listener:
    """One address. Start it, stop accepting, drain; a context makes it speak TLS."""

    def __init__(
        self,
        *,
        front: Front,
        limits: ConnectionLimits,
        gate: Gate,
        observer: HandshakeObserver,
        context: Callable[[], SSL.Context] | None = None,
        handshake_seconds: float = 10.0,
    ) -> None:
        self._front = front
        self._limits = limits
        self._gate = gate
        self._observer = observer
        self.context = context
        self._handshake_seconds = handshake_seconds
        self._manager = make_server(front)
        self._server: asyncio.Server | None = None
        self._transports: set[asyncio.BaseTransport] = set()
        self.address = ""

    async def start_tcp(self, host: str, port: int) -> None:
        """Bind and accept; port 0 takes a free one. `address` tells which."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, host, port, backlog=BACKLOG, reuse_address=True
        )
        name = self._server.sockets[0].getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        self.address = f"{host}:{name[1]}"

    async def start_unix(self, path: Path) -> None:
        """Bind a socket that only its owner may use, in place of one that nobody listens on."""
        _remove_stale(path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._protocol, sock=bound, backlog=BACKLOG)
        self.address = str(path)

    def stop_accepting(self) -> None:
        self._front.draining = True
        if self._server is not None:
            self._server.close()

    async def drain(self, seconds: float) -> None:
        """Close idle connections, let running exchanges finish, then cut off what is left."""
        self._manager.pre_shutdown()
        await self._manager.shutdown(seconds)
        for transport in tuple(self._transports):
            transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
            transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        inner: Callable[[], asyncio.Protocol] = lambda: BoundedConnection(  # noqa: E731
            self._manager, self._limits
        )
        if self.context is None:
            served = inner()
        else:
            served = TLSServerProtocol(
                context=self.context,
                inner=inner,
                handshake_seconds=self._handshake_seconds,
                observer=self._observer,
            )
        return _Admitted(served, self._gate, self._transports)


class _Admitted(asyncio.Protocol):
    """Passes a connection on if the gate lets it in, and counts it out at its end."""

    def __init__(
        self, served: asyncio.Protocol, gate: Gate, transports: set[asyncio.BaseTransport]
    ) -> None:
        self._served = served
        self._gate = gate
        self._transports = transports
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        address = peer_name(transport)
        if not self._gate.admit(address):
            transport.abort()
            return
        self._address = address
        self._transport = transport
        self._transports.add(transport)
        self._served.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._gate.leave(self._address)
            self._transports.discard(self._transport)
            self._served.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()


def _remove_stale(path: Path) -> None:
    """Remove a socket that a dead server left behind; one that answers is somebody's."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} is there already, and is no socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise OSError(f"{path} is in use by another server")
