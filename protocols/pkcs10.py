"""PKCS#10 (RFC 2986): DER to `CertificateRequest`, its proof of possession verified."""

from hashlib import sha256
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import CertificateRequest
from protocols import der
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.names import read_general_names, read_name
from protocols.pkcs10_form import VERSION_1, Parts, take_apart
from protocols.public_keys import KeyKind
from protocols.request_attributes import Wishes, read_attributes

_NO_ATTRIBUTES = der.encode(der.CONTEXT_0)
_NO_WISHES = Wishes()
# By their AlgorithmIdentifier; `take_apart` lets these through.
_ECDSA = {
    bytes.fromhex("300a 06082a8648ce3d040302"): ec.ECDSA(hashes.SHA256()),
    bytes.fromhex("300a 06082a8648ce3d040303"): ec.ECDSA(hashes.SHA384()),
    bytes.fromhex("300a 06082a8648ce3d040304"): ec.ECDSA(hashes.SHA512()),
}


def decode(request: bytes, limits: DERLimits = DEFAULT_LIMITS) -> CertificateRequest:
    """Read a certification request and verify that its sender holds the private key.

    Cheap checks come before expensive ones: limits, algorithms, the key's size and form, then the
    signature over the octets as they were received, and last the attributes.

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE
    or BAD_PROOF_OF_POSSESSION; nothing else, whatever the octets.
    """
    try:
        return _decode(request, limits)
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the certification request cannot be read: {error!s:.200}") from error


def _decode(request: bytes, limits: DERLimits) -> CertificateRequest:
    parts = take_apart(request, limits)
    bare = _without_attributes(request, parts)
    public_key = bare.public_key()
    _verify(bare, public_key, parts)
    wishes = read_attributes(parts.attributes, limits) if parts.attributes else _NO_WISHES
    return CertificateRequest(
        subject=bare.subject,
        subject_alternative_names=_names(wishes.subject_alternative_names),
        public_key=public_key,
        spki=parts.spki,
        spki_sha256=sha256(parts.spki).hexdigest(),
        key_usage=wishes.key_usage,
        der_sha256=sha256(request).hexdigest(),
        change_subject_name=(
            read_name(wishes.change_subject) if wishes.change_subject is not None else None
        ),
        change_subject_alternative_names=_names(wishes.change_subject_alternative_names),
        challenge_password=wishes.challenge_password,
    )


def _without_attributes(request: bytes, parts: Parts) -> x509.CertificateSigningRequest:
    """Let cryptography read the rest.

    It refuses a request whose attributes are not in the order of DER, and strongSwan's are not.
    """
    if parts.attributes:
        info = der.encode(der.SEQUENCE, VERSION_1, parts.subject, parts.spki, _NO_ATTRIBUTES)
        signature = der.encode(der.BIT_STRING, b"\0", parts.signature)
        request = der.encode(der.SEQUENCE, info, parts.algorithm, signature)
    return x509.load_der_x509_csr(request)


def _verify(
    bare: x509.CertificateSigningRequest, key: CertificatePublicKeyTypes, parts: Parts
) -> None:
    """Verify the signature over the octets as received, with the kind of key that was judged."""
    try:
        match parts.key:
            case KeyKind.EC:
                point = cast("ec.EllipticCurvePublicKey", key)
                point.verify(parts.signature, parts.info, _ECDSA[parts.algorithm])
            case KeyKind.RSA:
                form, digest = bare.signature_algorithm_parameters, bare.signature_hash_algorithm
                if digest is None or not isinstance(form, padding.PKCS1v15 | padding.PSS):
                    raise Malformed("the signature's parameters are not those of RSA")
                cast("rsa.RSAPublicKey", key).verify(parts.signature, parts.info, form, digest)
            case KeyKind.ED25519 | KeyKind.ED448:
                edwards = cast("ed25519.Ed25519PublicKey | ed448.Ed448PublicKey", key)
                edwards.verify(parts.signature, parts.info)
    except InvalidSignature:
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "the signature was not made by the request's own key",
            field="signature",
        ) from None


def _names(general_names: bytes | None) -> tuple[x509.GeneralName, ...] | None:
    return read_general_names(general_names) if general_names is not None else None
