"""A TLS client made with pyOpenSSL, which knows its connection's channel bindings."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from OpenSSL import SSL

NO_EXTENDED_MASTER_SECRET = 1
"""OpenSSL's option SSL_OP_NO_EXTENDED_MASTER_SECRET, for which pyOpenSSL has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSClient:
    """One connection, its handshake done."""

    connection: SSL.Connection
    host: str

    @property
    def tls_unique(self) -> str:
        return b64encode(self.connection.get_finished() or b"").decode()

    @property
    def tls_exporter(self) -> str:
        value = self.connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        return b64encode(value).decode()

    def post(self, path: str, der: bytes, *, user: str | None = None) -> tuple[int, bytes]:
        """Send a certification request over EST, and give status and body of the answer."""
        body = b64encode(der)
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/pkcs10\r\n"
        head += f"Content-Length: {len(body)}\r\n"
        if user is not None:
            head += f"Authorization: Basic {b64encode(user.encode()).decode()}\r\n"
        self.connection.sendall(head.encode() + b"\r\n" + body)
        return self._answer()

    def _answer(self) -> tuple[int, bytes]:
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += self.connection.recv(65_536)
        head, _, body = heard.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields[b"content-length"]):
            body += self.connection.recv(65_536)
        return int(head.split()[1]), body


@contextmanager
def tls_client(
    address: str,
    root: Path,
    *,
    version: int = SSL.TLS1_3_VERSION,
    options: int = 0,
    shown: tuple[Path, Path] | None = None,
) -> Iterator[TLSClient]:
    """Connect to HOST:PORT; `shown` are a certificate and its key."""
    host, _, port = address.rpartition(":")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_options(options)
    context.load_verify_locations(str(root))
    context.set_verify(SSL.VERIFY_PEER)
    if shown is not None:
        certificate, key = shown
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        plain.settimeout(None)  # pyOpenSSL wants a socket that blocks.
        connection = SSL.Connection(context, plain)
        connection.set_connect_state()
        connection.do_handshake()
        yield TLSClient(connection=connection, host=host)
        connection.shutdown()
