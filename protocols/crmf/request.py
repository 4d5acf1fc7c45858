"""From a CRMF request to `CertificateRequest`, its proof of possession verified."""

from collections.abc import Callable
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason, Malformed, PolicyViolation
from enroll.request import CertificateRequest
from protocols.crmf.messages import CHANGE_SUBJECT_NAME, CertReqMsg, PrivateKeyProof
from protocols.crmf.possession import CheckMAC, verify_possession
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.names import read_general_names, read_name
from protocols.request_attributes import read_wishes

_NO_NAME = x509.Name([])


def to_certificate_request(
    message: CertReqMsg,
    limits: DERLimits = DEFAULT_LIMITS,
    *,
    check_mac: CheckMAC | None = None,
    vouched: bool = False,
    indirect: bool = False,
) -> CertificateRequest:
    """Verify possession, then read the wishes.

    `vouched`: raVerified will do, `indirect`: a later message may prove it (see possession).

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE
    or BAD_PROOF_OF_POSSESSION; nothing else but what `check_mac` raises.
    """
    return _guarded(
        lambda: _to_request(message, limits, check_mac, vouched=vouched, indirect=indirect)
    )


def to_keyless_request(
    message: CertReqMsg, limits: DERLimits = DEFAULT_LIMITS
) -> CertificateRequest:
    """Read the wishes of a request for a key that is yet to be made (RFC 9483 §4.1.6).

    Raises Malformed, and EnrollmentError with BAD_CERTIFICATE_TEMPLATE.
    """
    return _guarded(lambda: _request(message, None, b"", limits))


def _to_request(
    message: CertReqMsg,
    limits: DERLimits,
    check_mac: CheckMAC | None,
    *,
    vouched: bool,
    indirect: bool,
) -> CertificateRequest:
    _check_number(message)
    public_key = verify_possession(message, check_mac=check_mac, vouched=vouched, indirect=indirect)
    assert message.template.spki is not None  # noqa: S101 - proven above; for the type checker
    return _request(message, public_key, message.template.spki, limits)


def _request(
    message: CertReqMsg,
    public_key: CertificatePublicKeyTypes | None,
    spki: bytes,
    limits: DERLimits,
) -> CertificateRequest:
    _check_number(message)
    template = message.template
    wishes = read_wishes(
        dict(template.extensions or {}), message.controls.get(CHANGE_SUBJECT_NAME), None, limits
    )
    return CertificateRequest(
        subject=read_name(template.subject) if template.subject is not None else _NO_NAME,
        subject_alternative_names=_names(wishes.subject_alternative_names),
        public_key=public_key,
        spki=spki,
        spki_sha256=sha256(spki).hexdigest() if spki else "",
        key_usage=wishes.key_usage,
        extended_key_usage=wishes.extended_key_usage,
        der_sha256=sha256(message.whole).hexdigest(),
        change_subject_name=(
            read_name(wishes.change_subject) if wishes.change_subject is not None else None
        ),
        change_subject_alternative_names=_names(wishes.change_subject_alternative_names),
        key_proven=not isinstance(message.proof, PrivateKeyProof),
        asks_beyond=wishes.beyond or (template.not_before or template.not_after) is not None,
    )


def _check_number(message: CertReqMsg) -> None:
    if message.template.serial_number is not None:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "the template names a serial number, which is the CA's to choose",
            field="serialNumber",
        )


def _guarded(read: Callable[[], CertificateRequest]) -> CertificateRequest:
    try:
        return read()
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the certification request cannot be read: {error!s:.200}") from error


def _names(general_names: bytes | None) -> tuple[x509.GeneralName, ...] | None:
    return read_general_names(general_names) if general_names is not None else None
