"""What must hold of an order before the key is touched."""

import re
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.issuers import Issuer
from enroll.certificates import IssuanceOrder
from enroll.failures import FailureReason, PolicyViolation
from enroll.profiles import KeyUsageBit

MAXIMUM_BACKDATE = timedelta(minutes=6)
MAXIMUM_SERIAL_BITS = 159
MINIMUM_SERIAL_BITS = 64

_UPPER_BOUNDS = {
    # X.520 upper bounds, as RFC 5280 appendix A.1 gives them.
    NameOID.COMMON_NAME: 64,
    NameOID.SERIAL_NUMBER: 64,
    NameOID.COUNTRY_NAME: 2,
    NameOID.STATE_OR_PROVINCE_NAME: 128,
    NameOID.LOCALITY_NAME: 128,
    NameOID.ORGANIZATION_NAME: 64,
    NameOID.ORGANIZATIONAL_UNIT_NAME: 64,
}
_LONGEST_ATTRIBUTE = 255
_MOST_NAMES = 32
_FORBIDDEN_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.OCSP_SIGNING}
)
_DNS = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{1,253}")
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")


def lint(order: IssuanceOrder, issuer: Issuer, now: datetime) -> None:
    """Check an order. Raises PolicyViolation (BAD_CERTIFICATE_TEMPLATE), naming the field."""
    _lint_serial(order.serial_number)
    _lint_validity(order, issuer, now)
    _lint_subject(order.subject)
    _lint_alternative_names(order)
    _lint_usage(order)


def _lint_serial(number: int) -> None:
    if not MINIMUM_SERIAL_BITS <= number.bit_length() <= MAXIMUM_SERIAL_BITS or number < 0:
        raise _fault("serialNumber", "expected a positive number of 64 to 159 bits")


def _lint_validity(order: IssuanceOrder, issuer: Issuer, now: datetime) -> None:
    if not order.not_valid_before < order.not_valid_after:
        raise _fault("validity", "it ends before it begins")
    if order.not_valid_before < now - MAXIMUM_BACKDATE:
        raise _fault("validity", "it begins in the past")
    if order.not_valid_after > issuer.certificate.not_valid_after_utc:
        raise _fault("validity", "it outlives its issuer")


def _lint_subject(subject: x509.Name) -> None:
    for attribute in subject:
        value = attribute.value
        bound = _UPPER_BOUNDS.get(attribute.oid, _LONGEST_ATTRIBUTE)
        if not isinstance(value, str) or not 1 <= len(value) <= bound:
            raise _fault("subject", f"{attribute.rfc4514_attribute_name}: 1 to {bound} characters")
        if not value.isprintable() or value != value.strip():
            raise _fault("subject", f"{attribute.rfc4514_attribute_name}: a character not allowed")
        if attribute.oid == NameOID.SERIAL_NUMBER and not _PRINTABLE.fullmatch(value):
            raise _fault("subject", "serialNumber: letters, digits and '()+,-./:=? only")


def _lint_alternative_names(order: IssuanceOrder) -> None:
    names = order.subject_alternative_names
    if not names and not order.subject.rdns:
        raise _fault("subjectAltName", "neither a subject nor an alternative name")
    if len(names) > _MOST_NAMES:
        raise _fault("subjectAltName", f"more than {_MOST_NAMES} names")
    for name in names:
        match name:
            case x509.DNSName():
                fits = _DNS.fullmatch(name.value) is not None
            case x509.UniformResourceIdentifier():
                fits = _URI.fullmatch(name.value) is not None
            case x509.RFC822Name():
                fits = _EMAIL.fullmatch(name.value) is not None
            case x509.IPAddress():
                fits = True
            case _:
                fits = False
        if not fits:
            raise _fault("subjectAltName", f"{name!r} is not a name that a device may have")


def _lint_usage(order: IssuanceOrder) -> None:
    if not order.key_usage:
        raise _fault("keyUsage", "good for nothing")
    key, usage = order.public_key, order.key_usage
    if KeyUsageBit.KEY_ENCIPHERMENT in usage and not isinstance(key, rsa.RSAPublicKey):
        raise _fault("keyUsage", "only an RSA key can do keyEncipherment")
    if KeyUsageBit.KEY_AGREEMENT in usage and not isinstance(key, ec.EllipticCurvePublicKey):
        raise _fault("keyUsage", "only an EC key can do keyAgreement")
    forbidden = _FORBIDDEN_PURPOSES.intersection(order.extended_key_usage)
    if forbidden:
        raise _fault("extendedKeyUsage", f"{forbidden} may not be given")


def _fault(field: str, detail: str) -> PolicyViolation:
    return PolicyViolation(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        f"{field}: {detail}",
        finding="order_refused_by_lint",
        field=field,
    )
