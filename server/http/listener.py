"""Listeners: a bound address, its protocols, and how it comes to rest."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from server.http.connection import HTTPConnection
from server.http.front import Front
from server.http.limits import ConnectionLimits, Door, Gate
from server.http.tls_transport import HandshakeObserver, TLSServerProtocol

BACKLOG = 1024
RECEIVED = 64 * 1024
"""How much is taken from a TLS connection's socket at a time."""


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
    ) -> None:
        self._front = front
        self._limits = limits
        self._door = Door(gate)
        self._observer = observer
        self.context = context
        self._buffer = memoryview(bytearray(RECEIVED))
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start_tcp(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind and accept; port 0 takes a free one. `address` tells which.

        A `shared` port is bound by several processes, and the kernel shares out what comes in.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, host, port, backlog=BACKLOG, reuse_address=True, reuse_port=shared
        )
        name = self._server.sockets[0].getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        self.address = f"{host}:{name[1]}"

    async def start_unix(self, bound: socket.socket) -> None:
        """Accept on a unix socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._protocol, sock=bound, backlog=BACKLOG)
        self.address = str(bound.getsockname())

    def stop_accepting(self) -> None:
        self._front.draining = True
        if self._server is not None:
            self._server.close()

    async def drain(self, seconds: float) -> None:
        """Close idle connections, let running exchanges finish, then cut off what is left."""
        await self._door.drain(seconds)

    def _protocol(self) -> asyncio.BaseProtocol:
        if self.context is None:
            return HTTPConnection(self._front, self._limits, self._door)
        return TLSServerProtocol(
            context=self.context,
            inner=self._inner,
            handshake_seconds=self._limits.handshake_seconds,
            observer=self._observer,
            door=self._door,
            buffer=self._buffer,
        )

    def _inner(self) -> HTTPConnection:
        return HTTPConnection(self._front, self._limits)


def bind_unix(path: Path) -> socket.socket:
    """Bind a socket that only its owner may use, in place of one that nobody listens on."""
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


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
