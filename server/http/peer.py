"""Who is at the other end of a connection."""

import asyncio
import socket
import struct
from contextlib import suppress

from server.http.tls_channel import TLSChannel

# struct tcp_info: eight octets, and thirteen numbers of which the last is tcpi_last_data_recv.
_TCP_INFO_OCTETS = 56
_MILLISECONDS = struct.Struct("=52xI")


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Name the other end: its address, or `unix` for a socket of this host."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else "unix"


class Peer:
    """The other end as exchanges want to know it."""

    __slots__ = ("_chain", "_socket", "address", "channel", "gone", "is_proxy", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.address = peer_name(transport)
        self.gone = False
        self.is_proxy: bool | None = None
        self._chain: tuple[bytes, ...] | None = None
        connection = transport.get_extra_info("tls_connection")
        self.channel = TLSChannel(connection) if connection is not None else None
        found = transport.get_extra_info("socket")
        self._socket = found if found is not None and found.family != socket.AF_UNIX else None

    def unread_for(self) -> float:
        """Tell how many seconds ago the last that came over the network came.

        The event loop sees a request when it reads it. What it was too busy to read, or to accept
        a connection for, has waited before that where only the kernel knows.
        """
        if self._socket is not None:
            with suppress(OSError, struct.error):
                information = self._socket.getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_OCTETS
                )
                return float(_MILLISECONDS.unpack(information)[0]) / 1000
        return 0.0

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Give the certificates that the client sent, DER, its own first."""
        if self._chain is None:
            self._chain = self.transport.get_extra_info("peer_chain", ())
        return self._chain
