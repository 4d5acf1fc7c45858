"""PKCS#10 (RFC 2986): DER to `CertificateRequest`, its proof of possession verified."""

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, Malformed
from enroll.request import CertificateRequest
from protocols import pkcs10_form
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.names import read_general_names, read_name
from protocols.pkcs10_form import Parts
from protocols.request_attributes import Wishes, read_attributes
from protocols.signatures import bare_request, check_signature

_NO_WISHES = Wishes()

T = TypeVar("T")


class TakenApart(NamedTuple):
    """A request of good form; nothing is proven yet."""

    request: bytes
    parts: Parts


class Proven(NamedTuple):
    """A request whose sender holds its private key; what it asks for has not been read."""

    taken: TakenApart
    subject: x509.Name
    public_key: CertificatePublicKeyTypes


class Keyless(NamedTuple):
    """A request for a key as well: what it wishes, its own key that does not count, all it says."""

    request: CertificateRequest
    spki: bytes
    attributes: bytes


def decode(
    request: bytes, limits: DERLimits = DEFAULT_LIMITS, *, sha1: bool = False
) -> CertificateRequest:
    """Read a certification request and verify that its sender holds the private key.

    Cheap checks come before expensive ones: limits, algorithms, the key's size and form, then the
    signature over the octets as they were received, and last the attributes. `sha1` lets an RSA
    key sign with SHA-1, for clients that know nothing else.

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE
    or BAD_PROOF_OF_POSSESSION; nothing else, whatever the octets.
    """
    return read(prove(take_apart(request, limits, sha1=sha1)), limits)


def take_apart(
    request: bytes, limits: DERLimits = DEFAULT_LIMITS, *, sha1: bool = False
) -> TakenApart:
    """Do the first third of `decode`: the form, the algorithms, and the key's size and form."""
    return _guarded(lambda: TakenApart(request, pkcs10_form.take_apart(request, limits, sha1=sha1)))


def prove(taken: TakenApart) -> Proven:
    """Do the second third of `decode`: the proof of possession."""
    return _guarded(lambda: _prove(taken))


def read(proven: Proven, limits: DERLimits = DEFAULT_LIMITS) -> CertificateRequest:
    """Do the last third of `decode`: what is asked for."""
    return _guarded(lambda: _read(proven, limits))


def decode_without_key(request: bytes, limits: DERLimits = DEFAULT_LIMITS) -> Keyless:
    """Read a certification request, passing over its key and its signature (RFC 7030 §4.4.1).

    Raises Malformed.
    """
    return _guarded(lambda: _decode_without_key(request, limits))


def _guarded(read: Callable[[], T]) -> T:
    try:
        return read()
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the certification request cannot be read: {error!s:.200}") from error


def _prove(taken: TakenApart) -> Proven:
    parts = taken.parts
    bare = _without_attributes(taken.request, parts)
    public_key = bare.public_key()
    check_signature(bare, public_key, parts.key, parts.algorithm, parts.signature, parts.info)
    return Proven(taken, bare.subject, public_key)


def _read(proven: Proven, limits: DERLimits) -> CertificateRequest:
    request, parts = proven.taken
    wishes = read_attributes(parts.attributes, limits) if parts.attributes else _NO_WISHES
    return _request(request, proven.subject, wishes, proven.public_key, parts.spki)


def _decode_without_key(request: bytes, limits: DERLimits) -> Keyless:
    parts = pkcs10_form.take_apart_keyless(request, limits)
    wishes = read_attributes(parts.attributes, limits)
    wanted = _request(request, read_name(parts.subject), wishes, None, b"")
    return Keyless(wanted, parts.spki, parts.attributes)


def _request(
    request: bytes,
    subject: x509.Name,
    wishes: Wishes,
    public_key: CertificatePublicKeyTypes | None,
    spki: bytes,
) -> CertificateRequest:
    return CertificateRequest(
        subject=subject,
        subject_alternative_names=_names(wishes.subject_alternative_names),
        public_key=public_key,
        spki=spki,
        spki_sha256=sha256(spki).hexdigest() if spki else "",
        key_usage=wishes.key_usage,
        extended_key_usage=wishes.extended_key_usage,
        der_sha256=sha256(request).hexdigest(),
        change_subject_name=(
            read_name(wishes.change_subject) if wishes.change_subject is not None else None
        ),
        change_subject_alternative_names=_names(wishes.change_subject_alternative_names),
        challenge_password=wishes.challenge_password,
        asks_beyond=wishes.beyond,
    )


def _without_attributes(request: bytes, parts: Parts) -> x509.CertificateSigningRequest:
    """Let cryptography read the rest.

    It refuses a request whose attributes are not in the order of DER, and strongSwan's are not.
    """
    if parts.attributes:
        return bare_request(parts.subject, parts.spki, parts.algorithm, parts.signature)
    return x509.load_der_x509_csr(request)


def _names(general_names: bytes | None) -> tuple[x509.GeneralName, ...] | None:
    return read_general_names(general_names) if general_names is not None else None
