"""What EST's codec costs beside the cryptography that nobody can do without.

Run: python -m benchmarks.est_codec [rounds]
"""

import sys
from base64 import b64encode
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.measure import write_best
from protocols import pkcs10
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.limits import check_der
from tests.support.csr import a_csr, some_key_usage
from tests.support.wire import FixedLabels, a_certificate, a_wire, an_issued, basic

MESSAGE = bytes(200)
CODE = "AAAA-BBBB-CCCC-DDDD-EEEE"
REPETITIONS = 200


def main(rounds: int = 20) -> None:
    """Print the best of several rounds, interleaved so that all meet the same noise."""
    write_best("est_codec", dict(_tasks()), rounds, REPETITIONS)


def _tasks() -> list[tuple[str, Callable[[], object]]]:
    key = ec.generate_private_key(ec.SECP256R1())
    public_key = key.public_key()
    algorithm = ec.ECDSA(hashes.SHA256())

    def sign_and_verify() -> None:
        public_key.verify(key.sign(MESSAGE, algorithm), MESSAGE, algorithm)

    signature = key.sign(MESSAGE, algorithm)
    bare = a_csr(key)
    full = a_csr(
        key,
        names=[x509.DNSName("pump-1.example")],
        extensions=[some_key_usage(digital_signature=True)],
        challenge_password=CODE,
    )
    worst = b"\x30\x82\x2e\xdd" + b"\x02\x01\x05" * 3_999
    handler = ESTHandler(FixedLabels())
    headers = {**basic("pump-1", CODE), "User-Agent": "curl/7.88.1"}
    wire = a_wire(body=b64encode(full), headers=headers)
    renewal = a_wire("operational/simplereenroll", peer_chain=(a_certificate(),))
    cacerts = a_wire("cacerts", method="GET", body=b"", headers={})
    exchange = handler.receive(wire)
    if not isinstance(exchange, ESTExchange):
        raise TypeError("an enrollment was taken for something else")
    issued = an_issued()
    return [
        ("yard: P-256 sign and verify", sign_and_verify),
        ("P-256 verify alone", lambda: public_key.verify(signature, MESSAGE, algorithm)),
        (f"pre-scan, request of {len(bare)} octets", lambda: check_der(bare)),
        (f"pre-scan, request of {len(full)} octets", lambda: check_der(full)),
        ("pre-scan, 4,000 elements", lambda: check_der(worst)),
        ("PKCS#10 without attributes", lambda: pkcs10.decode(bare)),
        ("PKCS#10 with names, usage and challenge", lambda: pkcs10.decode(full)),
        ("EST simpleenroll with Basic, decoded", lambda: handler.receive(wire)),
        ("EST simplereenroll by certificate, decoded", lambda: handler.receive(renewal)),
        ("EST answer with a certificate", lambda: exchange.respond(issued)),
        ("EST cacerts", lambda: handler.receive(cacerts)),
    ]


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:2]))
