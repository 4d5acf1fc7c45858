"""The least that a durable enrollment can take in Python: no policy, no checks, hardly a protocol.

Reads a request off a unix socket, loads its certification request and verifies the signature,
signs a certificate's octets, writes five rows for it to SQLite (synchronous=FULL) in one
transaction with all that came in meanwhile, and sends as many octets as our answer has. What
`benchmarks.enroll_durable` finds of it is the floor under goal G2.

Run by that benchmark: python -m benchmarks.floor_server SOCKET DATABASE
"""

import binascii
import os
import select
import socket
import sqlite3
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

CHUNK = 65_536
TBS = bytes(620)
"""As many octets as the signed part of one of our certificates has."""
BODY = binascii.b2a_base64(bytes(1_100))
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: %d\r\n\r\n"
_TABLES = """
create table codes (code_id text primary key, uses integer) without rowid;
create table devices (device_id text primary key, state text, version integer) without rowid;
create table certificates (serial blob primary key, device_id text, der blob) without rowid;
create index of_device on certificates (device_id);
create table events (number integer primary key, document text, hash blob);
create table attempts (number integer primary key, document text);
"""


def main(address: str, database: str) -> None:
    """Serve until ended."""
    store = _open(database)
    key = ec.generate_private_key(ec.SECP256R1())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(256)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    callers: dict[int, socket.socket] = {}
    while True:
        asked = []
        for number, _ in poll.poll():
            if number == listener.fileno():
                caller, _ = listener.accept()
                callers[caller.fileno()] = caller
                poll.register(caller, select.EPOLLIN)
                continue
            request = callers[number].recv(CHUNK)
            if not request:
                callers.pop(number).close()
                continue
            asked.append((callers[number], _issue(request, key)))
        if asked:
            _keep(store, [certificate for _, certificate in asked])
        for caller, _ in asked:
            caller.send(_ANSWER % len(BODY) + BODY)


def _open(database: str) -> sqlite3.Connection:
    store = sqlite3.connect(database, isolation_level=None)
    store.execute("pragma journal_mode = wal")
    store.execute("pragma synchronous = full")
    store.executescript(_TABLES)
    return store


def _issue(request: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Verify a request's own signature, and sign as much as a certificate has."""
    _, _, body = request.partition(b"\r\n\r\n")
    wanted = x509.load_der_x509_csr(binascii.a2b_base64(body))
    if not wanted.is_signature_valid:
        raise ValueError("a request of the benchmark is not signed")
    return TBS + key.sign(TBS, ec.ECDSA(hashes.SHA256()))


def _keep(store: sqlite3.Connection, certificates: list[bytes]) -> None:
    """Write what has to be known afterwards: one row in each table, one commit for all."""
    keys = [(os.urandom(16), each) for each in certificates]
    document = "a document of an event, as long as they are: " + "x" * 300
    store.execute("begin immediate")
    store.executemany("insert into codes values (?, 1)", [(key.hex(),) for key, _ in keys])
    store.executemany(
        "insert into devices values (?, 'registered', 2)", [(key.hex(),) for key, _ in keys]
    )
    store.executemany(
        "insert into certificates values (?, ?, ?)", [(key, key.hex(), each) for key, each in keys]
    )
    store.executemany(
        "insert into events (document, hash) values (?, ?)",
        [(document, key * 2) for key, _ in keys],
    )
    store.executemany("insert into attempts (document) values (?)", [(document,) for _ in keys])
    store.execute("commit")


if __name__ == "__main__":
    main(*sys.argv[1:3])
