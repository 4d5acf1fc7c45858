"""Any octets are a CMP message or a refusal: the message, its protection and its body."""

from contextlib import suppress

from cryptography import x509

from enroll.failures import EnrollmentError
from protocols.certificates import load_certificate
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.messages import PKIMessage
from protocols.cmp.protection import is_mac, verify_signature
from tests.support.cmp import verify_mac


def fuzz_cmp_message(data: bytes) -> None:
    with suppress(EnrollmentError):
        message = decode(data)
        with suppress(EnrollmentError):
            _verify(message)
        decode_body(message)


def _verify(message: PKIMessage) -> None:
    if is_mac(message):
        verify_mac(message, b"s3cr3t")
    for each in message.extra_certs[:1]:
        certificate = load_certificate(each)
        if isinstance(certificate, x509.Certificate):
            verify_signature(message, certificate)
