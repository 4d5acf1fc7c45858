"""RSA key transport in CMS: PKCS#1 v1.5 (RFC 3370 §4.2.1) and OAEP (RFC 3560, RFC 4055 §4.1)."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import padding

from enroll.failures import EnrollmentError
from protocols import der
from protocols.cms import digests
from protocols.cms.digests import Digest
from protocols.public_keys import unsupported

_NULL = b"\x05\x00"
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_CONTEXT_2 = 0xA2
_OAEP_FIELDS = frozenset({der.CONTEXT_0, der.CONTEXT_1, _CONTEXT_2})
# pSpecifiedEmpty, which is the default: some write it nevertheless.
_NO_LABEL = der.encode(der.SEQUENCE, bytes.fromhex("06092a864886f70d010109 0400"))


def encode_algorithm(oaep: Digest | None) -> bytes:
    """Write the AlgorithmIdentifier of OAEP with this digest, or of PKCS#1 v1.5 without one."""
    return _WRITTEN[oaep]


def rsa_padding(oaep: Digest | None) -> padding.PKCS1v15 | padding.OAEP:
    if oaep is None:
        return padding.PKCS1v15()
    return padding.OAEP(padding.MGF1(oaep.hash), oaep.hash, label=None)


def read_algorithm(algorithm: bytes) -> tuple[Digest | None, padding.PKCS1v15 | padding.OAEP]:
    """Read an AlgorithmIdentifier, one element: OAEP's digest, and how RSA pads.

    Raises UNSUPPORTED_ALGORITHM.
    """
    (outer,) = der.split(algorithm)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else [outer]
    oid, parameters = parts[:1], parts[1:]
    if [each.whole for each in oid] == [_RSA_ENCRYPTION]:
        return None, padding.PKCS1v15()
    if [each.whole for each in oid] == [_RSAES_OAEP]:
        return _read_oaep(parameters)
    raise _unsupported()


def _read_oaep(parameters: list[der.Element]) -> tuple[Digest, padding.OAEP]:
    """Read RSAES-OAEP-params (RFC 4055 §4.1): what is absent is SHA-1, and no label is taken.

    The mask may have another hash than the label: Java leaves it at SHA-1.
    """
    if [each.tag for each in parameters] not in ([], [der.SEQUENCE]):
        raise _unsupported()
    found = [field for each in parameters for field in der.split(each.content)]
    fields = {field.tag: field.content for field in found}
    if not fields.keys() <= _OAEP_FIELDS or fields.get(_CONTEXT_2, _NO_LABEL) != _NO_LABEL:
        raise _unsupported()
    label = digests.find(fields.get(der.CONTEXT_0, Digest.SHA1.algorithm))
    mask = _read_mask(fields[der.CONTEXT_1]) if der.CONTEXT_1 in fields else Digest.SHA1
    if label is None or mask is None:
        raise _unsupported()
    return label, padding.OAEP(padding.MGF1(mask.hash), label.hash, label=None)


def _read_mask(content: bytes) -> Digest | None:
    parts = der.split(content)
    if [each.tag for each in parts] != [der.SEQUENCE]:
        return None
    generator, *digest = [each.whole for each in der.split(parts[0].content)] or [b""]
    return digests.find(b"".join(digest)) if generator == _MGF1 else None


def _unsupported() -> EnrollmentError:
    return unsupported("keyEncryptionAlgorithm", "the key transport is not in the list")


def _oaep(digest: Digest) -> bytes:
    """Write RSAES-OAEP-params: one hash for both, the label empty; in DER, SHA-1 is left out."""
    parameters = (
        (
            der.encode(der.CONTEXT_0, digest.algorithm),
            der.encode(der.CONTEXT_1, der.encode(der.SEQUENCE, _MGF1, digest.algorithm)),
        )
        if digest is not Digest.SHA1
        else ()
    )
    return der.encode(der.SEQUENCE, _RSAES_OAEP, der.encode(der.SEQUENCE, *parameters))


_WRITTEN: Mapping[Digest | None, bytes] = {
    None: der.encode(der.SEQUENCE, _RSA_ENCRYPTION, _NULL),
    **{digest: _oaep(digest) for digest in Digest},
}
