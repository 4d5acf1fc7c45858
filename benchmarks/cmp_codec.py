"""What CMP's codec costs beside the cryptography that nobody can do without (goal G6).

Run: python -m benchmarks.cmp_codec [rounds]
"""

import sys
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.measure import write_best
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.encode import (
    CertResponse,
    encode_cert_responses,
    encode_message,
)
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIStatus, PKIStatusInfo
from tests.support.cmp import a_certificate, a_header, a_message, pbm
from tests.support.crmf import a_crm
from tests.support.csr import a_key, sequence

MESSAGE = bytes(200)
REPETITIONS = 200


def main(rounds: int = 20) -> None:
    """Print the best of several rounds, interleaved so that all meet the same noise."""
    write_best("cmp_codec", dict(_tasks()), rounds, REPETITIONS)


def _tasks() -> list[tuple[str, Callable[[], object]]]:
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())

    def sign_and_verify() -> None:
        key.public_key().verify(key.sign(MESSAGE, algorithm), MESSAGE, algorithm)

    request = a_message(BodyType.IR, sequence(a_crm(a_key(), number=0)), a_header())
    certificate = a_certificate(a_key()).public_bytes(Encoding.DER)
    header, mac = a_header(), derive_key(pbm(), b"a secret")
    accepted = PKIStatusInfo(status=PKIStatus.ACCEPTED)
    response = CertResponse(cert_req_id=0, status=accepted, certificate=certificate)

    def read() -> object:
        return decode_body(decode(request))

    def answer() -> bytes:
        body = encode_cert_responses(BodyType.IP, [response])
        return encode_message(header, body, mac, ())

    return [
        ("yard: P-256 sign and verify", sign_and_verify),
        (f"ir of {len(request)} octets, decoded with its CRMF", read),
        ("ip with a certificate and a MAC, encoded", answer),
        ("PasswordBasedMac of 500 iterations, derived", lambda: derive_key(pbm(), b"a secret")),
    ]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
