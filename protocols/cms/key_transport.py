"""RSA key transport in CMS: PKCS#1 v1.5 (RFC 3370 §4.2.1) and OAEP (RFC 3560, RFC 4055 §4.1)."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import padding

from protocols import der
from protocols.cms.digests import Digest

_NULL = b"\x05\x00"
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
_MGF1 = bytes.fromhex("06092a864886f70d010108")


def encode_algorithm(oaep: Digest | None) -> bytes:
    """Write the AlgorithmIdentifier of OAEP with this digest, or of PKCS#1 v1.5 without one."""
    return _WRITTEN[oaep]


def rsa_padding(oaep: Digest | None) -> padding.PKCS1v15 | padding.OAEP:
    if oaep is None:
        return padding.PKCS1v15()
    return padding.OAEP(padding.MGF1(oaep.hash), oaep.hash, label=None)


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
