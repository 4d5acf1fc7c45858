"""Verifying signatures by the algorithms and keys that `protocols.public_keys` lets through."""

from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.public_keys import KeyKind, check_key, check_signature_algorithm

_VERSION_1 = der.encode(der.INTEGER, b"\0")
_EMPTY_NAME = der.encode(der.SEQUENCE)
_NO_ATTRIBUTES = der.encode(der.CONTEXT_0)
_KeyOfOneAlgorithm = (
    ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)
"""The keys whose signatures leave nothing to choose."""
_NULL = b"\x05\0"
_RSA_ALONE = frozenset(bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "0c", "0d"))
"""sha256, sha384 and sha512WithRSAEncryption without parameters."""
# By their AlgorithmIdentifier; `check_signature_algorithm` lets these through.
_ECDSA = {
    bytes.fromhex("300a 06082a8648ce3d040302"): ec.ECDSA(hashes.SHA256()),
    bytes.fromhex("300a 06082a8648ce3d040303"): ec.ECDSA(hashes.SHA384()),
    bytes.fromhex("300a 06082a8648ce3d040304"): ec.ECDSA(hashes.SHA512()),
}


def verify_own_signature(
    spki: der.Element, algorithm: der.Element, signature: bytes, octets: bytes
) -> CertificatePublicKeyTypes:
    """Verify a signature by the key in a SubjectPublicKeyInfo, and give that key.

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE
    or BAD_PROOF_OF_POSSESSION. ValueError for what only loading finds.
    """
    algorithm = _complete(algorithm)
    signs_with = check_signature_algorithm(algorithm)
    kind = check_key(spki)
    if kind is not signs_with:
        raise not_possessed("the signature algorithm does not belong to the public key")
    bare = bare_request(_EMPTY_NAME, spki.whole, algorithm.whole, signature)
    public_key = bare.public_key()
    check_signature(bare, public_key, kind, algorithm.whole, signature, octets)
    return public_key


def _complete(algorithm: der.Element) -> der.Element:
    """Add the NULL that RFC 4055 §5 asks of RSA's parameters, and that must not be insisted on.

    OpenSSL 3.0 leaves it out of the protectionAlg of CMP.
    """
    if algorithm.content not in _RSA_ALONE:
        return algorithm
    (complete,) = der.split(der.encode(der.SEQUENCE, algorithm.content, _NULL))
    return complete


def load_key(spki: bytes) -> CertificatePublicKeyTypes:
    """Load the key of a SubjectPublicKeyInfo, DER, that nothing was signed with.

    Raises Malformed, UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE; ValueError for what only
    loading finds.
    """
    (key,) = der.split(spki)
    check_key(key)
    return cast("CertificatePublicKeyTypes", load_der_public_key(spki))


def bare_request(
    subject: bytes, spki: bytes, algorithm: bytes, signature: bytes
) -> x509.CertificateSigningRequest:
    """Let cryptography read name, key and parameters, in a request without attributes."""
    info = der.encode(der.SEQUENCE, _VERSION_1, subject, spki, _NO_ATTRIBUTES)
    bits = der.encode(der.BIT_STRING, b"\0", signature)
    return x509.load_der_x509_csr(der.encode(der.SEQUENCE, info, algorithm, bits))


def check_signature(
    bare: x509.CertificateSigningRequest,
    key: CertificatePublicKeyTypes,
    kind: KeyKind,
    algorithm: bytes,
    signature: bytes,
    octets: bytes,
) -> None:
    """Verify a signature over octets as received, with the kind of key that was judged.

    `bare` knows the algorithm's parameters. Raises BAD_PROOF_OF_POSSESSION, Malformed.
    """
    try:
        match kind:
            case KeyKind.EC:
                cast("ec.EllipticCurvePublicKey", key).verify(signature, octets, _ECDSA[algorithm])
            case KeyKind.RSA:
                form, digest = bare.signature_algorithm_parameters, bare.signature_hash_algorithm
                if digest is None or not isinstance(form, padding.PKCS1v15 | padding.PSS):
                    raise Malformed("the signature's parameters are not those of RSA")
                cast("rsa.RSAPublicKey", key).verify(signature, octets, form, digest)
            case _:
                cast("_KeyOfOneAlgorithm", key).verify(signature, octets)
    except InvalidSignature:
        raise not_possessed("the signature was not made by the request's own key") from None


def not_possessed(detail: str, field: str = "signature") -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_PROOF_OF_POSSESSION, detail, field=field)
