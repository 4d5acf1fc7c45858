"""Any octets are a certification request or a refusal: PKCS#10 in DER."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.pkcs10 import decode


def fuzz_pkcs10(data: bytes) -> None:
    with suppress(EnrollmentError):
        decode(data)
