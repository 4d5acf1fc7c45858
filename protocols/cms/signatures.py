"""Signature algorithms of CMS: which there are, how they are written, how they sign and verify."""

from collections.abc import Callable, Mapping
from enum import Enum, auto

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
)

from enroll.failures import EnrollmentError
from protocols import der
from protocols.cms.digests import Digest
from protocols.public_keys import unsupported


class Scheme(Enum):
    """How a signature is made of the digest."""

    RSA_PKCS1 = auto()
    RSA_PSS = auto()
    ECDSA = auto()
    ED25519 = auto()


Sign = Callable[[bytes], bytes]
"""Signs octets with a key that may be anywhere."""


def scheme_of(key: CertificatePublicKeyTypes | PrivateKeyTypes, *, pss: bool = False) -> Scheme:
    """Give the scheme of a key of this kind. Raises UNSUPPORTED_ALGORITHM."""
    match key:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            return Scheme.RSA_PSS if pss else Scheme.RSA_PKCS1
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return Scheme.ECDSA
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return Scheme.ED25519
        case _:
            raise unsupported("signatureAlgorithm", "keys of this kind do not sign CMS here")


def signing(key: PrivateKeyTypes, scheme: Scheme, digest: Digest) -> Sign:
    """Let a key that this process holds sign. Raises UNSUPPORTED_ALGORITHM."""
    match key, scheme:
        case rsa.RSAPrivateKey(), Scheme.RSA_PKCS1 | Scheme.RSA_PSS:
            form = rsa_padding(scheme, digest)
            return lambda octets: key.sign(octets, form, digest.hash)
        case ec.EllipticCurvePrivateKey(), Scheme.ECDSA:
            return lambda octets: key.sign(octets, ec.ECDSA(digest.hash))
        case ed25519.Ed25519PrivateKey(), Scheme.ED25519:
            return key.sign
        case _:
            raise unsupported("signatureAlgorithm", f"this key does not sign by {scheme.name}")


def rsa_padding(scheme: Scheme, digest: Digest) -> padding.PKCS1v15 | padding.PSS:
    """Give how RSA pads: for PSS with a salt as long as the digest (RFC 4055 §3.1)."""
    if scheme is Scheme.RSA_PKCS1:
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(digest.hash), digest.hash.digest_size)


def encode_algorithm(scheme: Scheme, digest: Digest) -> bytes:
    """Write the AlgorithmIdentifier. Raises UNSUPPORTED_ALGORITHM for what may not be together."""
    try:
        return _WRITTEN[scheme, digest]
    except KeyError:
        raise _disagreement() from None


def _disagreement() -> EnrollmentError:
    return unsupported("signatureAlgorithm", "digest and signature algorithm do not agree")


_NULL = b"\x05\x00"
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_ED25519 = bytes.fromhex("06032b6570")
_CONTEXT_2 = 0xA2
_RSA_WITH: Mapping[Digest, bytes] = {
    Digest.SHA1: bytes.fromhex("06092a864886f70d010105"),
    Digest.SHA256: bytes.fromhex("06092a864886f70d01010b"),
    Digest.SHA384: bytes.fromhex("06092a864886f70d01010c"),
    Digest.SHA512: bytes.fromhex("06092a864886f70d01010d"),
}
_ECDSA_WITH: Mapping[Digest, bytes] = {
    Digest.SHA1: bytes.fromhex("06072a8648ce3d0401"),
    Digest.SHA256: bytes.fromhex("06082a8648ce3d040302"),
    Digest.SHA384: bytes.fromhex("06082a8648ce3d040303"),
    Digest.SHA512: bytes.fromhex("06082a8648ce3d040304"),
}


def _pss(digest: Digest) -> bytes:
    """Write RSASSA-PSS-params (RFC 4055 §3.1): one hash for the message and the mask."""
    parameters = der.encode(
        der.SEQUENCE,
        der.encode(der.CONTEXT_0, digest.algorithm),
        der.encode(der.CONTEXT_1, der.encode(der.SEQUENCE, _MGF1, digest.algorithm)),
        der.encode(_CONTEXT_2, der.encode(der.INTEGER, bytes((digest.hash.digest_size,)))),
    )
    return der.encode(der.SEQUENCE, _RSASSA_PSS, parameters)


_STRONG = (Digest.SHA256, Digest.SHA384, Digest.SHA512)
# rsaEncryption is what RFC 3370 §3.2 has everybody read.
_WRITTEN: Mapping[tuple[Scheme, Digest], bytes] = {
    **{
        (Scheme.RSA_PKCS1, digest): der.encode(der.SEQUENCE, _RSA_ENCRYPTION, _NULL)
        for digest in Digest
    },
    **{(Scheme.RSA_PSS, digest): _pss(digest) for digest in _STRONG},
    **{
        (Scheme.ECDSA, digest): der.encode(der.SEQUENCE, oid) for digest, oid in _ECDSA_WITH.items()
    },
    # RFC 8419 §3: with signed attributes the digest is SHA-512.
    (Scheme.ED25519, Digest.SHA512): der.encode(der.SEQUENCE, _ED25519),
}
