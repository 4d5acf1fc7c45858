"""Signature algorithms of CMS: which there are, how they are written, how they sign and verify."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
)

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cms import digests
from protocols.cms.digests import STRONG, Digest
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


def rsa_padding(
    scheme: Scheme, digest: Digest, salt_octets: int | None = None
) -> padding.PKCS1v15 | padding.PSS:
    """Give how RSA pads: for PSS with a salt as long as the digest, if nothing else is said."""
    if scheme is Scheme.RSA_PKCS1:
        return padding.PKCS1v15()
    salt = digest.hash.digest_size if salt_octets is None else salt_octets
    return padding.PSS(padding.MGF1(digest.hash), salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """How a signature that came in was made, as far as we allow it."""

    scheme: Scheme
    digest: Digest
    salt_octets: int | None = None

    def verify(self, key: CertificatePublicKeyTypes, signature: bytes, octets: bytes) -> None:
        """Verify it. Raises UNSUPPORTED_ALGORITHM when the key makes no such signatures.

        Raises BAD_MESSAGE_CHECK when the signature is not by this key, or not over these octets.
        """
        try:
            match key, self.scheme:
                case rsa.RSAPublicKey(), Scheme.RSA_PKCS1 | Scheme.RSA_PSS:
                    form = rsa_padding(self.scheme, self.digest, self.salt_octets)
                    key.verify(signature, octets, form, self.digest.hash)
                case ec.EllipticCurvePublicKey(), Scheme.ECDSA:
                    key.verify(signature, octets, ec.ECDSA(self.digest.hash))
                case ed25519.Ed25519PublicKey(), Scheme.ED25519:
                    key.verify(signature, octets)
                case _:
                    raise unsupported(
                        "signatureAlgorithm",
                        "the signature algorithm does not belong to the signer's key",
                    )
        except InvalidSignature:
            raise EnrollmentError(
                FailureReason.BAD_MESSAGE_CHECK, "the signature of the message does not hold"
            ) from None


def read_algorithm(algorithm: bytes, digest: Digest) -> SignatureAlgorithm:
    """Read an AlgorithmIdentifier, which must agree with the digest that stands beside it.

    Raises UNSUPPORTED_ALGORITHM.
    """
    if algorithm in _ANY_DIGEST:
        return SignatureAlgorithm(scheme=Scheme.RSA_PKCS1, digest=digest)
    (outer,) = der.split(algorithm)
    if outer.content.startswith(_RSASSA_PSS):
        salt = _read_pss(der.split(outer.content)[1:], digest)
        return SignatureAlgorithm(scheme=Scheme.RSA_PSS, digest=digest, salt_octets=salt)
    scheme, of = _READ.get(algorithm, (None, None))
    if scheme is None:
        raise unsupported("signatureAlgorithm", "the signature algorithm is not in the list")
    if of is not digest:
        raise _disagreement()
    return SignatureAlgorithm(scheme=scheme, digest=digest)


def _read_pss(parameters: list[der.Element], digest: Digest) -> int:
    """Give the salt's length out of RSASSA-PSS-params (RFC 4055 §3.1), their hashes all one.

    What has its default is left out in DER; the default hash is SHA-1, which is not for PSS.
    """
    fields = _sequence(parameters)
    tags = [field.tag for field in fields]
    if tags not in ([der.CONTEXT_0, der.CONTEXT_1], [der.CONTEXT_0, der.CONTEXT_1, _CONTEXT_2]):
        raise unsupported("signatureAlgorithm", "RSASSA-PSS needs its hash and mask given")
    mask = [each.whole for each in _sequence(der.split(fields[1].content))]
    hashes = (fields[0].content, b"".join(mask[1:]))
    if digest not in STRONG or mask[:1] != [_MGF1] or {*map(digests.find, hashes)} != {digest}:
        raise _disagreement()
    if _CONTEXT_2 not in tags:
        return _PSS_DEFAULT_SALT
    salt = der.split(fields[2].content)
    if [each.tag for each in salt] == [der.INTEGER]:
        octets = int.from_bytes(salt[0].content, signed=True)
        if octets in _PSS_SALTS:
            return octets
    raise unsupported("signatureAlgorithm", "the salt of RSASSA-PSS has a length out of bounds")


def encode_algorithm(scheme: Scheme, digest: Digest) -> bytes:
    """Write the AlgorithmIdentifier. Raises UNSUPPORTED_ALGORITHM for what may not be together."""
    try:
        return _WRITTEN[scheme, digest]
    except KeyError:
        raise _disagreement() from None


def _sequence(elements: list[der.Element]) -> list[der.Element]:
    """Give what is in the one SEQUENCE that there is; nothing, if it is something else."""
    is_sequence = [each.tag for each in elements] == [der.SEQUENCE]
    return der.split(elements[0].content) if is_sequence else []


def _disagreement() -> EnrollmentError:
    return unsupported("signatureAlgorithm", "digest and signature algorithm do not agree")


_NULL = b"\x05\x00"
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_ED25519 = bytes.fromhex("06032b6570")
_CONTEXT_2 = 0xA2
_PSS_DEFAULT_SALT = 20
# OpenSSL takes as long a salt as the key has room for, if nobody tells it another.
_PSS_SALTS = range(_PSS_DEFAULT_SALT, 512)
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


# rsaEncryption is what RFC 3370 §3.2 has everybody read.
_WRITTEN: Mapping[tuple[Scheme, Digest], bytes] = {
    **{
        (Scheme.RSA_PKCS1, digest): der.encode(der.SEQUENCE, _RSA_ENCRYPTION, _NULL)
        for digest in Digest
    },
    **{(Scheme.RSA_PSS, digest): _pss(digest) for digest in STRONG},
    **{
        (Scheme.ECDSA, digest): der.encode(der.SEQUENCE, oid) for digest, oid in _ECDSA_WITH.items()
    },
    # RFC 8419 §3: with signed attributes the digest is SHA-512.
    (Scheme.ED25519, Digest.SHA512): der.encode(der.SEQUENCE, _ED25519),
}
# rsaEncryption leaves the digest to digestAlgorithm. RFC 4055 §5 wants a NULL; some leave it out.
_ANY_DIGEST = frozenset(der.encode(der.SEQUENCE, _RSA_ENCRYPTION, null) for null in (_NULL, b""))
_READ: Mapping[bytes, tuple[Scheme, Digest]] = {
    **{
        der.encode(der.SEQUENCE, oid, null): (Scheme.RSA_PKCS1, digest)
        for digest, oid in _RSA_WITH.items()
        for null in (_NULL, b"")
    },
    **{
        der.encode(der.SEQUENCE, oid): (Scheme.ECDSA, digest) for digest, oid in _ECDSA_WITH.items()
    },
    der.encode(der.SEQUENCE, _ED25519): (Scheme.ED25519, Digest.SHA512),
}
