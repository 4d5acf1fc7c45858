"""Any octets are a signed Full PKI Request or a refusal: CMC in CMS."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.cmc.full_request import judge, open_message
from protocols.limits import DEFAULT_LIMITS


def fuzz_full_cmc(data: bytes) -> None:
    with suppress(EnrollmentError):
        judge(open_message(data, DEFAULT_LIMITS), DEFAULT_LIMITS)
