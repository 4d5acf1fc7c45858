"""Any octets are a certificate request message or a refusal: CRMF in DER."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.crmf.decode import decode_message, decode_messages
from protocols.crmf.request import to_certificate_request


def fuzz_crmf(data: bytes) -> None:
    with suppress(EnrollmentError):
        to_certificate_request(decode_message(data))
    with suppress(EnrollmentError):
        decode_messages(data)
