"""OpenSSL 4 inside the cryptography wheel, for what Debian's openssl does not know: ML-DSA."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL, crypto

SECONDS = 20.0
_PIECE = 16_384


def why_not_verified(
    leaf: x509.Certificate,
    *,
    roots: Iterable[x509.Certificate],
    between: Iterable[x509.Certificate] = (),
    at: datetime | None = None,
) -> str | None:
    """Build and verify a path: None if there is one, else OpenSSL's words."""
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    if at is not None:
        store.set_time(at)
    above = [crypto.X509.from_cryptography(each) for each in between]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), above)
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a client saw of its connection and of the answer."""

    version: str
    group: str
    status: int
    body: bytes


def ask(address: str, root: Path, request: bytes, certificate: Path | None = None) -> Seen:
    """Send a request over a connection of its own that demands the root.

    `certificate` is a PEM file to show, its key beside it in a `.key`.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(root))
    context.set_verify(SSL.VERIFY_PEER)
    if certificate is not None:
        context.use_certificate_file(str(certificate))
        context.use_privatekey_file(str(certificate.with_suffix(".key")))
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as wire:
        wire.settimeout(None)  # pyOpenSSL takes a socket with a deadline for one that never blocks.
        connection = SSL.Connection(context, wire)
        connection.set_connect_state()
        connection.do_handshake()
        connection.sendall(request)
        answer = _all_from(connection)
        version, group = connection.get_protocol_version_name(), connection.get_group_name()
    head, _, body = answer.partition(b"\r\n\r\n")
    return Seen(
        version=version, group=group or "", status=int(head.split(maxsplit=2)[1]), body=body
    )


def _all_from(connection: SSL.Connection) -> bytes:
    parts = []
    try:
        while part := connection.recv(_PIECE):
            parts.append(part)
    except (SSL.ZeroReturnError, SSL.SysCallError):
        pass
    return b"".join(parts)
