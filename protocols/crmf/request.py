"""From a CRMF request to `CertificateRequest`, its proof of possession verified."""

from hashlib import sha256

from cryptography import x509

from enroll.failures import EnrollmentError, FailureReason, Malformed, PolicyViolation
from enroll.request import CertificateRequest
from protocols.crmf.messages import CHANGE_SUBJECT_NAME, CertReqMsg
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
) -> CertificateRequest:
    """Verify possession, then read the wishes. `vouched`: raVerified will do (see possession).

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE
    or BAD_PROOF_OF_POSSESSION; nothing else but what `check_mac` raises.
    """
    try:
        return _to_request(message, limits, check_mac, vouched)
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the certification request cannot be read: {error!s:.200}") from error


def _to_request(
    message: CertReqMsg,
    limits: DERLimits,
    check_mac: CheckMAC | None,
    vouched: bool,  # noqa: FBT001 - handed on as it came
) -> CertificateRequest:
    template = message.template
    if template.serial_number is not None:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "the template names a serial number, which is the CA's to choose",
            field="serialNumber",
        )
    public_key = verify_possession(message, check_mac=check_mac, vouched=vouched)
    assert template.spki is not None  # noqa: S101 - proven above; for the type checker
    wishes = read_wishes(
        dict(template.extensions or {}), message.controls.get(CHANGE_SUBJECT_NAME), None, limits
    )
    return CertificateRequest(
        subject=read_name(template.subject) if template.subject is not None else _NO_NAME,
        subject_alternative_names=_names(wishes.subject_alternative_names),
        public_key=public_key,
        spki=template.spki,
        spki_sha256=sha256(template.spki).hexdigest(),
        key_usage=wishes.key_usage,
        extended_key_usage=wishes.extended_key_usage,
        der_sha256=sha256(message.whole).hexdigest(),
        change_subject_name=(
            read_name(wishes.change_subject) if wishes.change_subject is not None else None
        ),
        change_subject_alternative_names=_names(wishes.change_subject_alternative_names),
    )


def _names(general_names: bytes | None) -> tuple[x509.GeneralName, ...] | None:
    return read_general_names(general_names) if general_names is not None else None
