"""Certs-only CMS: certificates in a SignedData that nobody signed (RFC 5272 §4.1)."""

from collections.abc import Iterable

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.cms.signed_data_form import take_apart
from protocols.limits import DEFAULT_LIMITS, DERLimits

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
# Version 1, no digest algorithms, and a content of type id-data that is not there.
_NOTHING_SIGNED = bytes.fromhex("020101 3100 300b06092a864886f70d010701")
_NO_SIGNERS = der.encode(der.SET)


def encode(certificates: Iterable[bytes]) -> bytes:
    """Put DER certificates into one message, DER: a SET, and so in the order of their octets."""
    found = b"".join(sorted(certificates))
    # From the inside out: what follows each header is counted, nothing is copied twice.
    tagged = der.header(der.CONTEXT_0, len(found))
    length = len(_NOTHING_SIGNED) + len(tagged) + len(found) + len(_NO_SIGNERS)
    signed_data = der.header(der.SEQUENCE, length)
    content = der.header(der.CONTEXT_0, len(signed_data) + length)
    length += len(_SIGNED_DATA) + len(content) + len(signed_data)
    return b"".join(
        (
            der.header(der.SEQUENCE, length),
            _SIGNED_DATA,
            content,
            signed_data,
            _NOTHING_SIGNED,
            tagged,
            found,
            _NO_SIGNERS,
        )
    )


def encode_revocation_list(revocation_list: bytes) -> bytes:
    """Put a CRL, DER, into such a message, and no certificate (RFC 8894 §4.6.1)."""
    signed_data = der.encode(
        der.SEQUENCE,
        _NOTHING_SIGNED,
        der.encode(der.CONTEXT_1, revocation_list),
        _NO_SIGNERS,
    )
    return der.encode(der.SEQUENCE, _SIGNED_DATA, der.encode(der.CONTEXT_0, signed_data))


def decode(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> tuple[bytes, ...]:
    """Give the certificates, DER, in the order received. Raises Malformed.

    Nobody vouches for them: whoever uses one has to know it or to build a path to it.
    """
    try:
        parts = take_apart(message, limits)
    except EnrollmentError:
        raise
    except Exception as error:
        # Form that nobody foresaw. It all means the same.
        raise Malformed(f"the certificates cannot be read: {error!s:.200}") from error
    if parts.signers or parts.content is not None:
        raise Malformed("the message holds more than certificates")
    return parts.certificates
