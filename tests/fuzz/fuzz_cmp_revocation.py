"""Any octets within an rr that is signed well are taken or refused: details, reason, template."""

from protocols.cmp.messages import BodyType
from tests.fuzz.fuzz_cmp_exchange import exchange, signer
from tests.support.cmp import by_signature
from tests.support.csr import sequence, tlv

_REASON_CODE = bytes.fromhex("0603551d15")


def fuzz_cmp_revocation(data: bytes) -> None:
    """Take the octets as a RevDetails, as a reasonCode, and as extensions in a template."""
    for content in (data, _details(data, b""), _details(b"\x0a\x01\x01", data)):
        exchange(by_signature(BodyType.RR, sequence(content), signer=signer()))


def _details(reason: bytes, extensions: bytes) -> bytes:
    issuer = signer().certificate.issuer.public_bytes()
    named = tlv(0x81, b"\x01") + tlv(0xA3, issuer)
    template = sequence(named, tlv(0xA9, extensions) if extensions else b"")
    return sequence(template, sequence(sequence(_REASON_CODE, tlv(0x04, reason))))
