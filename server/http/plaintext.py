"""The inner side of a TLS connection: an asyncio transport for plaintext."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from OpenSSL import SSL


class Encrypting(Protocol):
    """The outer side, which turns plaintext into records."""

    connection: SSL.Connection
    context: SSL.Context

    @property
    def plain(self) -> asyncio.Transport: ...
    @property
    def is_closing(self) -> bool: ...
    @property
    def is_reading(self) -> bool: ...
    def peer_chain(self) -> tuple[bytes, ...]: ...
    def write(self, data: bytes | bytearray | memoryview) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class PlaintextTransport(asyncio.Transport):
    """What the inner protocol of a TLS connection takes for its socket."""

    __slots__ = ("_outer",)

    def __init__(self, outer: Encrypting) -> None:
        super().__init__()
        self._outer = outer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give `peer_chain` (DER, leaf first), `tls_connection`, or what the socket knows."""
        match name:
            case "peer_chain":
                return self._outer.peer_chain()
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
        self._outer.write_eof()

    def can_write_eof(self) -> bool:
        return True

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
        return self._outer.is_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._outer.plain.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._outer.plain.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._outer.plain.get_write_buffer_limits()
