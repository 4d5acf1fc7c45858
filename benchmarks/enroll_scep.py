"""G5: what does an enrollment over SCEP cost, beside Debian's scepserver?

Both take the same PKCSReq messages in one run: RSA-2048 clients, AES-128 and SHA-256, over HTTP.
Ours issues by a P-256 CA, durably, to as many registered devices; scepserver signs by its RSA-2048
CA and answers in single DES. Above 0.25 of its CPU per request, the codec or the pipeline needs
another look.

Run: python -m benchmarks.enroll_scep [rounds] [requests]
"""

import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs7,
)
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import AttributeOID, NameOID

from benchmarks import fleet, servers
from benchmarks.load import pack, unpack
from benchmarks.measure import write
from benchmarks.rotation import over_http, rotate
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.recipients import KeyTransport
from protocols.cms.signed_data import Attribute, Signer, encode_signed_data
from server.clock import SystemClock

GOAL = 0.25
CHALLENGE = "secret"
_SCEP = "2.16.840.1.113733.1.9."
_PRINTABLE, _OCTETS = b"\x13", b"\x04"


def main(rounds: int = 3, requests: int = 60, *, databases: fleet.Databases = fleet.SQLITE) -> None:
    """Drive both in rotation, over kept connections and over new ones."""
    servers.use_server_core()
    count = (rounds + 1) * requests
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home = fleet.make_home(place / "home", databases)
        fleet.populate(home, 0, 2 * count)
        with servers.enroll(home) as ours, servers.scepserver(place / "peer", CHALLENGE) as peer:
            own = _packed(place / "own.bin", _ra(ours), 2 * count, None)
            theirs = _packed(place / "peer.bin", _ra(peer), 2 * count, CHALLENGE)
            variants = [
                over_http("ours kept", ours, own, (0, 2 * count), requests),
                over_http("ours new", ours, own, (count, 2 * count), requests, fresh=True),
                over_http("scepserver kept", peer, theirs, (0, 2 * count), requests),
                over_http("scepserver new", peer, theirs, (count, 2 * count), requests, fresh=True),
            ]
            found = rotate(variants, rounds)
            fleet.check_issued(home, 2 * count)
            lost = 1 - servers.issued_by_scepserver(place / "peer") / (2 * count)
    ratios = [
        found.ratio("G5 kept / scepserver", lambda c: c["ours kept"] / c["scepserver kept"], GOAL),
        found.ratio("G5 new / scepserver", lambda c: c["ours new"] / c["scepserver new"], GOAL),
        found.yards("   SCEP enrollment, in yards", "ours kept"),
    ]
    write("enroll_scep", ratios, database=databases.name, lost_by_scepserver=lost, **found.facts())


def _ra(served: servers.Served) -> x509.Certificate:
    """Fetch the certificate that messages are sealed to: the only one of an RSA key."""
    return next(
        each for each in _fetched(served) if isinstance(each.public_key(), rsa.RSAPublicKey)
    )


def _fetched(served: servers.Served) -> list[x509.Certificate]:
    url = f"http://127.0.0.1:{served.port('http')}/scep?operation=GetCACert"
    with urllib.request.urlopen(url, timeout=10) as answer:
        body = answer.read()
    try:
        return [x509.load_der_x509_certificate(body)]
    except ValueError:
        return pkcs7.load_der_pkcs7_certificates(body)


def _packed(path: Path, recipient: x509.Certificate, count: int, secret: str | None) -> Path:
    """Write the messages of so many clients; each proves itself by its code, or by the secret."""
    messages = []
    for number, key in enumerate(_keys(count)):
        member = fleet.Member(number=number)
        body = _message(key, member.name, secret or member.code, recipient)
        head = (
            b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-pki-message\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        messages.append(head + body)
    path.write_bytes(pack(messages))
    return path


def _keys(count: int) -> Iterator[rsa.RSAPrivateKey]:
    """Give RSA-2048 keys, which take long to make and are kept between runs."""
    path = fleet.cache() / f"rsa-{count}.bin"
    if not path.exists():
        made = (rsa.generate_private_key(65_537, 2_048) for _ in range(count))
        form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pack([each.private_bytes(*form) for each in made]))
    for octets in unpack(path.read_bytes()):
        key = load_der_private_key(octets, None)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - made so above
        yield key


def _message(key: rsa.RSAPrivateKey, name: str, secret: str, recipient: x509.Certificate) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, secret.encode())
        .sign(key, hashes.SHA256())
    )
    now = SystemClock().now()
    signer = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    envelope = encode_enveloped_data(
        csr.public_bytes(Encoding.DER),
        recipient=KeyTransport(certificate=recipient),
        content_encryption=ContentEncryption.AES_128_CBC,
    )
    attributes = (
        ("2", _PRINTABLE, b"19"),
        ("5", _OCTETS, bytes(16)),
        ("7", _PRINTABLE, name.encode()),
    )
    return encode_signed_data(
        DATA,
        envelope,
        signer=Signer.holding(signer, key),
        signed_attributes=[
            Attribute(
                type=ObjectIdentifier(_SCEP + last), values=(tag + bytes((len(value),)) + value,)
            )
            for last, tag, value in attributes
        ],
        certificates=(signer.public_bytes(Encoding.DER),),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
