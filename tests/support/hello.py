"""TLS ClientHello messages, written out: also what no library would say any more."""

import os
import socket
import struct
from collections.abc import Sequence

TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0301, 0x0302, 0x0303, 0x0304
SSL_3_0 = 0x0300
ALERT, HANDSHAKE = 21, 22

# What alerts are called (RFC 8446 §6).
ALERTS = {40: "handshake_failure", 47: "illegal_parameter", 70: "protocol_version"}


def client_hello(
    suites: Sequence[int], *, version: int = TLS_1_2, versions: Sequence[int] = ()
) -> bytes:
    """Offer the suites; `versions` stand in the extension of TLS 1.3."""
    groups, point_formats = (29, 23, 24), b"\x01\x00"
    algorithms = (0x0403, 0x0503, 0x0804, 0x0401, 0x0201, 0x0203)
    extensions = (
        _extension(10, _list16(groups))
        + _extension(11, point_formats)
        + _extension(13, _list16(algorithms))
    )
    if versions:
        extensions += _extension(43, bytes([2 * len(versions)]) + _words(versions))
    body = struct.pack(">H", version) + os.urandom(32) + b"\x00"
    body += _list16(suites) + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return struct.pack(">BHH", HANDSHAKE, min(version, TLS_1_0), len(message)) + message


def answer_to(connection: socket.socket, hello: bytes) -> str:
    """Send a ClientHello: the alert that comes back, or `server hello`, or `nothing`."""
    connection.sendall(hello)
    head = b""
    while len(head) < 7:
        part = connection.recv(7 - len(head))
        if not part:
            return "nothing"
        head += part
    if head[0] == ALERT:
        assert head[5] == 2, "an alert that is not fatal"
        return ALERTS.get(head[6], f"alert {head[6]}")
    return "server hello" if head[0] == HANDSHAKE and head[5] == 2 else f"record {head[0]}"


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">HH", number, len(content)) + content


def _list16(numbers: Sequence[int]) -> bytes:
    words = _words(numbers)
    return struct.pack(">H", len(words)) + words


def _words(numbers: Sequence[int]) -> bytes:
    return b"".join(struct.pack(">H", each) for each in numbers)
