"""Identifiers of devices: their normal forms, and which of them a request claims."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.device import Device, DeviceIdentity, IdentityKind
from enroll.request import CertificateRequest

MAXIMUM_LENGTH = 255
MAXIMUM_DNS_LENGTH = 253
JUNK_SERIAL_NUMBERS = frozenset(
    {
        "to be filled by o.e.m.",
        "default string",
        "none",
        "not specified",
        "not applicable",
        "n/a",
        "unknown",
        "system serial number",
        "chassis serial number",
        "123456789",
        "0123456789",
    }
)
"""What firmware reports where nobody wrote a serial number: never an identity (lifecycle §2.3)."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9-]{0,61}[a-z0-9])?")


class IdentityFormatError(ValueError):
    """The value cannot be an identifier of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a request says of its device. Unproven: it can contradict, never prove.

    `names` may be those of devices, `device_ids` stand in names of the sort that we issue.
    """

    names: frozenset[str]
    identities: frozenset[DeviceIdentity]
    device_ids: frozenset[str] = frozenset()


def to_identity(kind: IdentityKind, value: str) -> DeviceIdentity:
    """Bring an identifier into the form in which it is stored and compared.

    Raises IdentityFormatError, which says what was expected.
    """
    text = unicodedata.normalize("NFC", value.strip())
    if not text or len(text) > MAXIMUM_LENGTH:
        raise IdentityFormatError(f"{kind}: expected 1 to {MAXIMUM_LENGTH} characters")
    if not text.isprintable() and any(unicodedata.category(each) == "Cc" for each in text):
        raise IdentityFormatError(f"{kind}: control characters are not allowed")
    return DeviceIdentity(kind=kind, value=_NORMAL_FORMS[kind](text))


def claims_of(
    request: CertificateRequest,
    usernames: Iterable[str] = (),
    known: frozenset[str] = frozenset(),
) -> Claims:
    """Collect every identifier in the request's subject and alternative names, and user names.

    A common name, a serial number and a user name may each be the name or the serial number of a
    device; those that are `known` for somebody's are passed over. A value that cannot be an
    identifier of its kind claims nothing.
    """
    names = {each for each in usernames if each not in known}
    found: set[DeviceIdentity] = set()
    for attribute in request.subject:
        kind = _SUBJECT_KINDS.get(attribute.oid)
        if kind is not None and isinstance(attribute.value, str):
            name = unicodedata.normalize("NFC", attribute.value.strip())
            if name not in known:
                names.add(name)
                _claim(found, kind, name)
    for name in names:
        _claim(found, IdentityKind.SERIAL_NUMBER, name)
    ids: set[str] = set()
    for each in request.subject_alternative_names or ():
        if isinstance(each, x509.UniformResourceIdentifier):
            _claim(found, IdentityKind.SAN_URI, each.value)
            ids.update(_device_ids(each.value))
        elif isinstance(each, x509.DNSName):
            _claim(found, IdentityKind.SAN_DNS, each.value)
    # It was written here, in normal form.
    found.add(DeviceIdentity(kind=IdentityKind.SPKI_SHA256, value=request.spki_sha256))
    return Claims(names=frozenset(names), identities=frozenset(found), device_ids=frozenset(ids))


def names_of(device: Device) -> frozenset[str]:
    """Give what may stand for the device where one is referred to: its name, its serial numbers."""
    serial_number = IdentityKind.SERIAL_NUMBER
    names = [each.value for each in device.identities if each.kind is serial_number]
    return frozenset([device.name, *names])


def foreign_claims(claims: Claims, device: Device) -> Claims:
    """Leave out what the device itself answers to, whoever else does."""
    own = names_of(device)
    others = claims.identities.difference(device.identities)
    return Claims(
        names=claims.names - own,
        identities=frozenset(
            [each for each in others if not (each.kind in _REFERENCE_KINDS and each.value in own)]
        ),
        device_ids=claims.device_ids - {device.device_id},
    )


def _device_ids(uri: str) -> tuple[str, ...]:
    """Read the device id in `urn:uuid:…`, as certificates from here carry it."""
    scheme, _, rest = uri.lower().partition(":uuid:")
    if scheme != "urn":
        return ()
    try:
        return (str(UUID(rest)),)
    except ValueError:
        return ()


def _claim(found: set[DeviceIdentity], kind: IdentityKind, value: str) -> None:
    try:
        found.add(to_identity(kind, value))
    except IdentityFormatError:
        return


def _serial_number(value: str) -> str:
    if value.lower() in JUNK_SERIAL_NUMBERS or len(set(value)) == 1:
        raise IdentityFormatError(
            f"serial_number: {value!r} is what firmware says when no serial number was written; "
            "give the device's real one"
        )
    return value


def _unchanged(value: str) -> str:
    return value


def _dns(value: str) -> str:
    name = value.lower().removesuffix(".")
    if len(name) > MAXIMUM_DNS_LENGTH or not all(map(_LABEL.fullmatch, name.split("."))):
        raise IdentityFormatError(f"san_dns: {value!r} is not a DNS name")
    return name


def _uri(value: str) -> str:
    scheme, colon, rest = value.partition(":")
    if not colon or not rest or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise IdentityFormatError(f"san_uri: {value!r} is not a URI with a scheme")
    return f"{scheme.lower()}:{rest}"


def _mac(value: str) -> str:
    digits = re.sub(r"[:.-]", "", value).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise IdentityFormatError(f"mac: {value!r} is not 12 hexadecimal digits")
    return digits


def _sha256(value: str) -> str:
    digits = value.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise IdentityFormatError("expected a SHA-256 value: 64 hexadecimal digits")
    return digits


def _hardware_module(value: str) -> str:
    kind, _, number = value.rpartition(":")
    if not re.fullmatch(r"[0-2](\.[0-9]{1,39}){1,30}", kind) or not re.fullmatch(
        r"([0-9A-Fa-f]{2}){1,64}", number
    ):
        raise IdentityFormatError(
            "hw_module_name: expected hwType and hwSerialNum (RFC 4108 §5) as OID:HEX, "
            "such as 2.999.1:534e2d31"
        )
    return f"{kind}:{number.lower()}"


def _issuer_serial(value: str) -> str:
    issuer, _, number = value.rpartition("#")
    digits = number.lower().lstrip("0")
    try:
        name = x509.Name.from_rfc4514_string(issuer).rfc4514_string()
    except ValueError:
        name = ""
    if not name or not re.fullmatch(r"[0-9a-f]{1,40}", digits):
        raise IdentityFormatError(
            "idevid_issuer_serial: expected an RFC 4514 name and a serial number in hex, "
            "such as CN=Maker CA,O=Maker#1a2b"
        )
    return f"{unicodedata.normalize('NFKC', name).casefold()}#{digits}"


def _ek_uri(value: str) -> str:
    if not re.fullmatch(r"urn:ek:sha256:[A-Za-z0-9+/]{43}=", value):
        raise IdentityFormatError("ek_uri: expected urn:ek:sha256:<base64 of 32 octets>")
    return value


_NORMAL_FORMS: Mapping[IdentityKind, Callable[[str], str]] = {
    IdentityKind.SERIAL_NUMBER: _serial_number,
    IdentityKind.COMMON_NAME: _unchanged,
    IdentityKind.SAN_URI: _uri,
    IdentityKind.SAN_DNS: _dns,
    IdentityKind.MAC: _mac,
    IdentityKind.HW_MODULE_NAME: _hardware_module,
    IdentityKind.SPKI_SHA256: _sha256,
    IdentityKind.IDEVID_CERT_SHA256: _sha256,
    IdentityKind.IDEVID_ISSUER_SERIAL: _issuer_serial,
    IdentityKind.EK_URI: _ek_uri,
}

_SUBJECT_KINDS = {
    NameOID.COMMON_NAME: IdentityKind.COMMON_NAME,
    NameOID.SERIAL_NUMBER: IdentityKind.SERIAL_NUMBER,
}
_REFERENCE_KINDS = frozenset({IdentityKind.COMMON_NAME, IdentityKind.SERIAL_NUMBER})
