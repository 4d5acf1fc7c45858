"""Who is at the other end of a connection."""

import asyncio


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Name the other end: its address, or `unix` for a socket of this host."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else "unix"


class Peer:
    """The other end as exchanges want to know it."""

    __slots__ = ("_chain", "address", "gone", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.address = peer_name(transport)
        self.gone = False
        self._chain: tuple[bytes, ...] | None = None

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Give the certificates that the client sent, DER, its own first."""
        if self._chain is None:
            self._chain = self.transport.get_extra_info("peer_chain", ())
        return self._chain
