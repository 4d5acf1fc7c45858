"""Which signatures and keys a path may rest on, and whether a signature is the issuer's."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa

from enroll.policy.paths.certificates import UNREADABLE, PathCertificate
from enroll.policy.paths.faults import PathError, PathFault

SMALLEST_RSA = 2048
LARGEST_RSA = 8192
CURVES = frozenset(
    {
        "secp256r1",
        "secp384r1",
        "secp521r1",
        # Makers of meters and of German government devices use RFC 5639.
        "brainpoolP256r1",
        "brainpoolP384r1",
        "brainpoolP512r1",
    }
)
HASHES = (
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
    hashes.SHA3_256,
    hashes.SHA3_384,
    hashes.SHA3_512,
)
MOST_CHECKS = 60
"""How many signatures may be checked for one request."""

_OF_ONE_STRENGTH = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)
_CONSTRUCTED_VERSION = 0xA0
_LONG_FORM = 0x80


def check_key(certificate: PathCertificate) -> None:
    """Demand a key that can still be relied on. Raises PathError."""
    key = certificate.public_key
    match key:
        case rsa.RSAPublicKey():
            allowed = SMALLEST_RSA <= key.key_size <= LARGEST_RSA
            what = f"RSA of {key.key_size} bits"
        case ec.EllipticCurvePublicKey():
            allowed = key.curve.name in CURVES
            what = f"the curve {key.curve.name}"
        case _:
            allowed = isinstance(key, _OF_ONE_STRENGTH)
            what = type(key).__name__
    if not allowed:
        raise PathError(
            PathFault.ALGORITHM_NOT_ALLOWED, f"{what}, the key of {certificate.title}, is not taken"
        )


class SignatureChecks:
    """Checks each signature once, however often a search comes by, and not too many of them."""

    def __init__(self, most: int = MOST_CHECKS) -> None:
        self._left = most
        self._faults: dict[tuple[str, str], PathError | None] = {}

    def check(self, certificate: PathCertificate, issuer: PathCertificate) -> None:
        """Do `check_signature`. Raises PathError."""
        edge = (certificate.fingerprint, issuer.spki_sha256)
        if edge not in self._faults:
            self._left -= 1
            if self._left < 0:
                raise PathError(
                    PathFault.PATH_TOO_COMPLEX, "there are too many signatures to check"
                )
            try:
                check_signature(certificate, issuer)
            except PathError as error:
                self._faults[edge] = error
            else:
                self._faults[edge] = None
        fault = self._faults[edge]
        if fault is not None:
            raise PathError(fault.fault, fault.detail)


def check_signature(certificate: PathCertificate, issuer: PathCertificate) -> None:
    """Check that the issuer's key signed the certificate, by an algorithm that is still good.

    Names are not looked at. Raises PathError.
    """
    check_key(issuer)
    check_algorithm(certificate)
    try:
        _verify(certificate.certificate, issuer)
    except InvalidSignature:
        raise PathError(
            PathFault.SIGNATURE_WRONG,
            f"{certificate.title} names {issuer.title} as its issuer, whose key did not sign it",
        ) from None


def check_algorithm(certificate: PathCertificate) -> None:
    """Demand a sound hash, and the same algorithm inside and out (RFC 5280 §4.1.1.2)."""
    try:
        digest = certificate.certificate.signature_hash_algorithm
        certificate.certificate.signature_algorithm_parameters  # noqa: B018 - to be readable below
    except UNREADABLE as error:
        raise _not_allowed(certificate, str(error)) from error
    if digest is not None and not isinstance(digest, HASHES):
        raise _not_allowed(certificate, digest.name)
    inner, outer = _algorithms(certificate)
    if inner != outer:
        raise _not_allowed(certificate, "it names two algorithms")


def _verify(certificate: x509.Certificate, issuer: PathCertificate) -> None:
    """Raise InvalidSignature, also where the key is of another kind than the signature."""
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    digest, parameters = (
        certificate.signature_hash_algorithm,
        certificate.signature_algorithm_parameters,
    )
    # Of these the key and the signature bear one and the same identifier.
    same = certificate.signature_algorithm_oid == issuer.certificate.public_key_algorithm_oid
    match issuer.public_key:
        case rsa.RSAPublicKey() as key if (
            isinstance(parameters, padding.PKCS1v15 | padding.PSS) and digest is not None
        ):
            key.verify(signature, signed, parameters, digest)
        case ec.EllipticCurvePublicKey() as key if isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as key if same:
            key.verify(signature, signed)
        case (
            mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey()
        ) as key if same:
            key.verify(signature, signed)
        case _:
            raise InvalidSignature


def _algorithms(certificate: PathCertificate) -> tuple[bytes, bytes]:
    """Cut out both AlgorithmIdentifiers. cryptography has checked that all of it is DER."""
    der, signed = certificate.der, certificate.certificate.tbs_certificate_bytes
    start = _content(der, 0) + len(signed)
    outer = der[start : _end(der, start)]
    at = _content(signed, 0)
    if signed[at] == _CONSTRUCTED_VERSION:
        at = _end(signed, at)
    at = _end(signed, at)  # The serial number.
    return signed[at : _end(signed, at)], outer


def _content(der: bytes, at: int) -> int:
    length = der[at + 1]
    return at + 2 + (length & 0x7F if length >= _LONG_FORM else 0)


def _end(der: bytes, at: int) -> int:
    length, content = der[at + 1], _content(der, at)
    return content + (length if length < _LONG_FORM else int.from_bytes(der[at + 2 : content]))


def _not_allowed(certificate: PathCertificate, what: str) -> PathError:
    return PathError(
        PathFault.ALGORITHM_NOT_ALLOWED,
        f"the signature on {certificate.title} is by an algorithm that is not taken: {what}",
    )
