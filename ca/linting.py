"""What must hold of an order before the key is touched."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.issuers import Issuer
from enroll.certificates import IssuanceOrder
from enroll.failures import FailureReason, PolicyViolation
from enroll.profiles import KeyUsageBit

MAXIMUM_BACKDATE = timedelta(minutes=6)
MAXIMUM_SERIAL_BITS = 159
MINIMUM_SERIAL_BITS = 64

_UPPER_BOUNDS: Mapping[x509.ObjectIdentifier, int] = {
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
_RSA_SIZES = frozenset({2048, 3072, 4096})
_OF_ONE_STRENGTH = (
    ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)
_AGREEMENT_ONLY = x25519.X25519PublicKey | x448.X448PublicKey
_ENCAPSULATION_ONLY = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey
_SIGNATURES = frozenset({KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION})
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})

_PRINTABLE = (re.compile(r"[A-Za-z0-9 '()+,./:=?-]*"), "letters, digits and '()+,-./:=? only")
_FORMS: Mapping[x509.ObjectIdentifier, tuple[re.Pattern[str], str]] = {
    # cryptography writes these as PrintableString or IA5String, whatever is in them.
    NameOID.SERIAL_NUMBER: _PRINTABLE,
    NameOID.DN_QUALIFIER: _PRINTABLE,
    NameOID.COUNTRY_NAME: (re.compile(r"[A-Z]{2}"), "two capital letters, as ISO 3166 has them"),
    NameOID.DOMAIN_COMPONENT: (
        re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"),
        "one label of a domain name (RFC 4519 §2.4)",
    ),
    NameOID.EMAIL_ADDRESS: (re.compile(r"[ -~]*"), "characters of ASCII only"),
}
_HOST = r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
_DNS = re.compile(_HOST)
_EMAIL = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" + _HOST
)
# RFC 3986 §2: unreserved, reserved and percent-encoded characters.
_URI = re.compile(r"[a-z][a-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})++")


def lint(order: IssuanceOrder, issuer: Issuer, now: datetime) -> None:
    """Check what is this order's alone: number, dates and names.

    Raises PolicyViolation (BAD_CERTIFICATE_TEMPLATE), naming the field.
    """
    _lint_serial(order.serial_number)
    _lint_validity(order, issuer, now)
    _lint_subject(order.subject)
    _lint_alternative_names(order)


def lint_usage(order: IssuanceOrder) -> None:
    """Check what orders of one shape have in common: usages, and the kind of key.

    Raises PolicyViolation (BAD_CERTIFICATE_TEMPLATE), naming the field.
    """
    key, usage = order.public_key, order.key_usage
    match key:
        case rsa.RSAPublicKey():
            known = key.key_size in _RSA_SIZES
        case ec.EllipticCurvePublicKey():
            known = key.curve.name in _CURVES
        case _:
            known = isinstance(key, _OF_ONE_STRENGTH | _AGREEMENT_ONLY | _ENCAPSULATION_ONLY)
    if not known:
        raise fault("publicKey", "no key of this kind or size is certified here")
    if not usage:
        raise fault("keyUsage", "good for nothing")
    _lint_key_usage(order)
    forbidden = _FORBIDDEN_PURPOSES.intersection(order.extended_key_usage)
    if forbidden:
        names = ", ".join(each.dotted_string for each in forbidden)
        raise fault("extendedKeyUsage", f"{names} may not be given")


def _lint_key_usage(order: IssuanceOrder) -> None:
    """Demand usages that the key can serve (RFC 3279, RFC 8410 §5, RFC 8813, RFC 9935)."""
    key, usage = order.public_key, order.key_usage
    enciphers = isinstance(key, rsa.RSAPublicKey | _ENCAPSULATION_ONLY)
    if KeyUsageBit.KEY_ENCIPHERMENT in usage and not enciphers:
        raise fault("keyUsage", "only an RSA or ML-KEM key can do keyEncipherment")
    agrees = isinstance(key, ec.EllipticCurvePublicKey | _AGREEMENT_ONLY)
    if KeyUsageBit.KEY_AGREEMENT in usage and not agrees:
        raise fault("keyUsage", "only an EC, X25519 or X448 key can do keyAgreement")
    if usage & _SIGNATURES and isinstance(key, _AGREEMENT_ONLY | _ENCAPSULATION_ONLY):
        raise fault("keyUsage", "a key of this kind signs nothing")


def fault(field: str, detail: str) -> PolicyViolation:
    return PolicyViolation(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        f"{field}: {detail}",
        finding="order_refused_by_lint",
        field=field,
    )


def _lint_serial(number: int) -> None:
    if not MINIMUM_SERIAL_BITS <= number.bit_length() <= MAXIMUM_SERIAL_BITS or number < 0:
        raise fault("serialNumber", "expected a positive number of 64 to 159 bits")


def _lint_validity(order: IssuanceOrder, issuer: Issuer, now: datetime) -> None:
    if not order.not_valid_before < order.not_valid_after:
        raise fault("validity", "it ends before it begins")
    if order.not_valid_before < now - MAXIMUM_BACKDATE:
        raise fault("validity", "it begins in the past")
    if order.not_valid_before < issuer.not_valid_before:
        raise fault("validity", "it begins before its issuer's")
    if order.not_valid_after > issuer.not_valid_after:
        raise fault("validity", "it outlives its issuer")


def _lint_subject(subject: x509.Name) -> None:
    for attribute in subject:
        value, kind = attribute.value, attribute.oid
        bound = _UPPER_BOUNDS.get(kind, _LONGEST_ATTRIBUTE)
        if not isinstance(value, str) or not 1 <= len(value) <= bound:
            raise fault("subject", f"{attribute.rfc4514_attribute_name}: 1 to {bound} characters")
        if not value.isprintable() or value != value.strip():
            raise fault("subject", f"{attribute.rfc4514_attribute_name}: a character not allowed")
        form = _FORMS.get(kind)
        if form is not None and not form[0].fullmatch(value):
            raise fault("subject", f"{attribute.rfc4514_attribute_name}: {form[1]}")


def _lint_alternative_names(order: IssuanceOrder) -> None:
    names = order.subject_alternative_names
    if not names and not order.subject.rdns:
        raise fault("subjectAltName", "neither a subject nor an alternative name")
    if len(names) > _MOST_NAMES:
        raise fault("subjectAltName", f"more than {_MOST_NAMES} names")
    for name in names:
        match name:
            case x509.DNSName():
                fits = _DNS.fullmatch(name.value) is not None
            case x509.UniformResourceIdentifier():
                fits = _URI.fullmatch(name.value) is not None
            case x509.RFC822Name():
                fits = _EMAIL.fullmatch(name.value) is not None
            case x509.IPAddress():
                fits = isinstance(name.value, IPv4Address | IPv6Address)
            case _:
                fits = False
        if not fits:
            raise fault("subjectAltName", f"{name!r} is not a name that a device may have")
