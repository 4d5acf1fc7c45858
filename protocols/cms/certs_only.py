"""Certs-only CMS: certificates in a SignedData that nobody signed (RFC 5272 §4.1)."""

from collections.abc import Iterable

from protocols import der

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
# Version 1, no digest algorithms, and a content of type id-data that is not there.
_NOTHING_SIGNED = bytes.fromhex("020101 3100 300b06092a864886f70d010701")
_NO_SIGNERS = der.encode(der.SET)


def encode(certificates: Iterable[bytes]) -> bytes:
    """Put DER certificates into one message, DER: a SET, and so in the order of their octets."""
    signed_data = der.encode(
        der.SEQUENCE,
        _NOTHING_SIGNED,
        der.encode(der.CONTEXT_0, *sorted(certificates)),
        _NO_SIGNERS,
    )
    return der.encode(der.SEQUENCE, _SIGNED_DATA, der.encode(der.CONTEXT_0, signed_data))
