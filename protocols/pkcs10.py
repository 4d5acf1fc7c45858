"""PKCS#10 (RFC 2986): DER to `CertificateRequest`, its proof of possession verified."""

from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import CertificateRequest
from protocols import der
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der
from protocols.names import read_general_names, read_name
from protocols.public_keys import check_key, check_signature_algorithm
from protocols.request_attributes import Wishes, read_attributes

_VERSION_1 = der.encode(der.INTEGER, b"\0")
_NO_ATTRIBUTES = der.encode(der.CONTEXT_0)
_NO_WISHES = Wishes()
# By the content of their AlgorithmIdentifier; `check_signature_algorithm` lets these through.
_ECDSA = {
    bytes.fromhex("06082a8648ce3d040302"): ec.ECDSA(hashes.SHA256()),
    bytes.fromhex("06082a8648ce3d040303"): ec.ECDSA(hashes.SHA384()),
    bytes.fromhex("06082a8648ce3d040304"): ec.ECDSA(hashes.SHA512()),
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
    check_der(request, limits)
    (outer,) = der.split(request)
    info, algorithm, signature = _split(outer, (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING))
    version, subject, spki, attributes = _split(
        info, (der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.CONTEXT_0)
    )
    if version.whole != _VERSION_1:
        raise Malformed("the certification request is not of version 1")
    if signature.content[0] != 0:
        # Otherwise one signature would have several encodings.
        raise Malformed("the signature is not made of whole octets")
    signs_with = check_signature_algorithm(algorithm)
    if check_key(spki) is not signs_with:
        raise _unproven("the signature algorithm does not belong to the public key")
    bare = _without_attributes(request, subject, spki, attributes, algorithm, signature)
    public_key = bare.public_key()
    _verify(bare, public_key, algorithm, signature, info.whole)
    wishes = read_attributes(attributes.content, limits) if attributes.content else _NO_WISHES
    return CertificateRequest(
        subject=bare.subject,
        subject_alternative_names=_names(wishes.subject_alternative_names),
        public_key=public_key,
        spki=spki.whole,
        spki_sha256=sha256(spki.whole).hexdigest(),
        key_usage=wishes.key_usage,
        der_sha256=sha256(request).hexdigest(),
        change_subject_name=(
            read_name(wishes.change_subject) if wishes.change_subject is not None else None
        ),
        change_subject_alternative_names=_names(wishes.change_subject_alternative_names),
        challenge_password=wishes.challenge_password,
    )


def _split(outer: der.Element, tags: tuple[int, ...]) -> list[der.Element]:
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if tuple([part.tag for part in parts]) != tags:
        raise Malformed("this is no certification request")
    return parts


def _without_attributes(
    request: bytes,
    subject: der.Element,
    spki: der.Element,
    attributes: der.Element,
    algorithm: der.Element,
    signature: der.Element,
) -> x509.CertificateSigningRequest:
    """Let cryptography read the rest.

    It refuses a request whose attributes are not in the order of DER, and strongSwan's are not.
    """
    if attributes.content:
        info = der.encode(der.SEQUENCE, _VERSION_1, subject.whole, spki.whole, _NO_ATTRIBUTES)
        request = der.encode(der.SEQUENCE, info, algorithm.whole, signature.whole)
    return x509.load_der_x509_csr(request)


def _verify(
    bare: x509.CertificateSigningRequest,
    key: CertificatePublicKeyTypes,
    algorithm: der.Element,
    signature: der.Element,
    signed: bytes,
) -> None:
    """Verify the signature over `signed`, the octets as received."""
    octets = signature.content[1:]
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(octets, signed, _ECDSA[algorithm.content])
            case rsa.RSAPublicKey():
                form, digest = bare.signature_algorithm_parameters, bare.signature_hash_algorithm
                if digest is None or not isinstance(form, padding.PKCS1v15 | padding.PSS):
                    raise Malformed("the signature's parameters are not those of RSA")
                key.verify(octets, signed, form, digest)
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(octets, signed)
            case _:  # pragma: no cover - the key has been judged by its identifier
                raise _unproven("the signature algorithm does not belong to the public key")
    except InvalidSignature:
        raise _unproven("the signature was not made by the request's own key") from None


def _names(general_names: bytes | None) -> tuple[x509.GeneralName, ...] | None:
    return read_general_names(general_names) if general_names is not None else None


def _unproven(detail: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_PROOF_OF_POSSESSION, detail, field="signature")
