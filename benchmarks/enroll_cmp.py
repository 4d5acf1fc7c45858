"""G6: what does an enrollment over CMP cost, beside the mock server of `openssl cmp`?

Both take the same kind of ir in one run: P-256 keys, PasswordBasedMac of 500 iterations, implicit
confirmation. Ours issues durably, to as many registered devices; the mock sends one certificate to
everyone, signs nothing and keeps nothing. The mock listens on every address, so all of this runs
in a network namespace of its own.

Run: python -m benchmarks.enroll_cmp [rounds] [requests]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from benchmarks import fleet, servers
from benchmarks.driving import BenchmarkFailed
from benchmarks.load import pack
from benchmarks.measure import write
from benchmarks.rotation import over_http, rotate
from protocols import der
from protocols.cmp.encode import directory_name, encode_message
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIHeader
from server.clock import SystemClock

GOAL_NEW, GOAL_KEPT = 1.0, 0.7
SECRET = "a secret of the mock"  # noqa: S105 - opens nothing
_INSIDE = "ENROLL_BENCHMARK_NAMESPACE"
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_PBM = bytes.fromhex("06092a864886f67d07420d")
_SHA256 = bytes.fromhex("300b0609608648016503040201")
_HMAC_SHA1 = bytes.fromhex("300a06082b06010505080102")
_ITERATIONS = bytes.fromhex("020201f4")


def main(rounds: int = 5, requests: int = 400) -> None:
    """Drive both in rotation, within a namespace that is made here if need be."""
    if _INSIDE not in os.environ:
        _enter(rounds, requests)
        return
    servers.use_server_core()
    count = (rounds + 1) * requests
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home = fleet.make_home(place / "home")
        fleet.populate(home, 0, 2 * count)
        with servers.enroll(home) as ours, servers.cmp_mock(place / "peer", SECRET) as peer:
            own = _packed(place / "own.bin", ".well-known/cmp", 2 * count, None)
            theirs = _packed(place / "peer.bin", "pkix/", count, SECRET)
            found = rotate(
                [
                    over_http("ours new", ours, own, (0, count), requests, fresh=True),
                    over_http("ours kept", ours, own, (count, 2 * count), requests),
                    over_http("mock new", peer, theirs, (0, count), requests, fresh=True),
                ],
                rounds,
            )
        fleet.check_issued(home, 2 * count)
    ratios = [
        found.ratio("G6 new / mock", lambda c: c["ours new"] / c["mock new"], GOAL_NEW),
        found.ratio("G6 kept / mock", lambda c: c["ours kept"] / c["mock new"], GOAL_KEPT),
        found.yards("   CMP enrollment on a new connection, in yards", "ours new"),
    ]
    write("enroll_cmp", ratios, **found.facts())


def _enter(rounds: int, requests: int) -> None:
    """Run this in a network that has nothing but a loopback. Raises CounterpartMissing."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        raise servers.CounterpartMissing("there is no unshare or ip; apt-get install iproute2")
    inner = [sys.executable, "-m", "benchmarks.enroll_cmp", str(rounds), str(requests)]
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inner],
        env={**os.environ, _INSIDE: "1"},
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailed(f"the benchmark in its own network ended with {done.returncode}")


def _packed(path: Path, target: str, count: int, secret: str | None) -> Path:
    """Write the ir of so many devices; each MAC is of the device's code, or of the secret."""
    path.write_bytes(pack(list(_requests(target, count, secret))))
    return path


def _requests(target: str, count: int, secret: str | None) -> Iterator[bytes]:
    for number in range(count):
        member = fleet.Member(number=number)
        body = _message(member.name, secret or member.code)
        yield (
            b"POST /%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkixcmp\r\n"
            b"Content-Length: %d\r\n\r\n" % (target.encode(), len(body))
        ) + body


def _message(name: str, secret: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]).public_bytes()
    header = PKIHeader(
        pvno=2,
        sender=directory_name(subject),
        recipient=directory_name(subject),
        message_time=SystemClock().now(),
        sender_kid=name.encode(),
        transaction_id=os.urandom(16),
        sender_nonce=os.urandom(16),
        implicit_confirm=True,
    )
    salt = der.encode(der.OCTET_STRING, os.urandom(16))
    parameters = der.encode(der.SEQUENCE, salt, _SHA256, _ITERATIONS, _HMAC_SHA1)
    mac = derive_key(der.encode(der.SEQUENCE, _PBM, parameters), secret.encode())
    content = der.encode(der.SEQUENCE, _cert_req_msg(subject))
    return encode_message(header, der.encode(BodyType.IR.tag, content), mac, ())


def _cert_req_msg(subject: bytes) -> bytes:
    """Write a CertReqMsg for a new key, with its signature as proof (RFC 4211 §4.1)."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    template = der.encode(
        der.SEQUENCE, der.encode(der.CONTEXT_0 | 5, subject), bytes((der.CONTEXT_0 | 6,)) + spki[1:]
    )
    request = der.encode(der.SEQUENCE, bytes.fromhex("020100"), template)
    signature = key.sign(request, ec.ECDSA(hashes.SHA256()))
    proof = der.encode(
        der.CONTEXT_0 | 1, _ECDSA_SHA256, der.encode(der.BIT_STRING, b"\0", signature)
    )
    return der.encode(der.SEQUENCE, request, proof)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
