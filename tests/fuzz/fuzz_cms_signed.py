"""Any octets are a signed message, or are refused: CMS SignedData in BER or DER."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.cms import certs_only
from protocols.cms.digests import Digest
from protocols.cms.signed_data import decode_signed_data, verify


def fuzz_cms_signed(data: bytes) -> None:
    with suppress(EnrollmentError):
        verify(decode_signed_data(data), allowed=frozenset(Digest))
    with suppress(EnrollmentError):
        certs_only.decode(data)
