"""Any octets are a PKIData with controls, or a refusal: CMC in DER."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.cmc.controls import hear, read_controls
from protocols.cmc.decode import decode_pki_data


def fuzz_pki_data(data: bytes) -> None:
    with suppress(EnrollmentError):
        found = decode_pki_data(data)
        hear(found)
        read_controls(found)
