"""Names in certificates: made from the registry, and compared as RFC 5280 compares them."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.device import Device
from enroll.failures import FailureReason, NotAuthorized, PolicyViolation
from enroll.profiles import CertificateProfile

ATTRIBUTE_TYPES: Mapping[str, x509.ObjectIdentifier] = {
    "CN": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "dnQualifier": NameOID.DN_QUALIFIER,
}
ALTERNATIVE_NAME_KINDS = ("uri", "dns", "email", "ip")

ComparableName = tuple[frozenset[tuple[str, str | bytes]], ...]

_PLACEHOLDER = re.compile(r"\{(name|serial|id|attribute\.[A-Za-z0-9_.-]+)\}")


def subject_for(device: Device, profile: CertificateProfile) -> x509.Name:
    """Write the subject that the profile gives this device. Raises PolicyViolation."""
    attributes = []
    for key, template in profile.subject:
        value = _fill(template, device)
        if value is not None:
            attributes.append((ATTRIBUTE_TYPES[key], value))
    try:
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    except ValueError as error:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            f"profile {profile.name!r} gives {device.name!r} an impossible subject: {error}",
            field="subject",
        ) from error


def alternative_names_for(
    device: Device, profile: CertificateProfile
) -> tuple[x509.GeneralName, ...]:
    """Write the alternative names that the profile gives this device. Raises PolicyViolation."""
    names: list[x509.GeneralName] = []
    for kind, template in profile.subject_alternative_names:
        value = _fill(template, device)
        if value is None:
            continue
        try:
            names.append(general_name(kind, value))
        except ValueError as error:
            raise PolicyViolation(
                FailureReason.BAD_CERTIFICATE_TEMPLATE,
                f"{value!r} of {device.name!r} cannot be a {kind} name: {error}",
                field="subjectAltName",
            ) from error
    return tuple(names)


def placeholders_in(template: str) -> frozenset[str]:
    """Name what of a device a template says: `name`, `serial`, `id`, `attribute.X`."""
    return frozenset(_PLACEHOLDER.findall(template))


def unknown_placeholder(template: str) -> str | None:
    """Name the first part in braces that no device can fill, or None."""
    rest = _PLACEHOLDER.sub("", template)
    found = re.search(r"\{[^}]*\}?|\}", rest)
    return found.group() if found else None


def is_impossible(kind: str, template: str) -> bool:
    """Tell whether a template that names nothing of the device gives no name of its kind."""
    if _PLACEHOLDER.search(template):
        return False
    try:
        if kind in ATTRIBUTE_TYPES:
            x509.NameAttribute(ATTRIBUTE_TYPES[kind], template)
        else:
            general_name(kind, template)
    except ValueError:
        return True
    return False


def check_unchanged_names(
    certificate: x509.Certificate,
    subject: x509.Name,
    alternative_names: Iterable[x509.GeneralName] | None,
) -> None:
    """Check that a re-enrollment asks for the names of the certificate it presents.

    RFC 7030 §4.2.2: subject by RFC 5280 §7.1, alternative names as a set; a request without any
    counts as unchanged. Raises NotAuthorized, naming the field.
    """
    if not same_name(certificate.subject, subject):
        raise NotAuthorized(
            "the subject is not that of the certificate being renewed",
            finding="name_changed",
            field="subject",
        )
    if alternative_names is None:
        return
    present = _comparable(alternative_names_in(certificate))
    if _comparable(alternative_names) != present:
        raise NotAuthorized(
            "the alternative names are not those of the certificate being renewed",
            finding="name_changed",
            field="subjectAltName",
        )


def alternative_names_in(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value)


def same_name(one: x509.Name, other: x509.Name) -> bool:
    return comparable_name(one) == comparable_name(other)


def comparable_name(name: x509.Name) -> ComparableName:
    """Bring a name into the form of RFC 5280 §7.1: RDNs keep their order, case and spaces go."""
    return tuple(_rdn(each) for each in name.rdns)


def same_alternative_names(
    one: Iterable[x509.GeneralName], other: Iterable[x509.GeneralName]
) -> bool:
    return _comparable(one) == _comparable(other)


def same_text(one: str, other: str) -> bool:
    """Compare two values of an attribute."""
    return _prepared(one) == _prepared(other)


def _rdn(rdn: x509.RelativeDistinguishedName) -> frozenset[tuple[str, str | bytes]]:
    return frozenset((each.oid.dotted_string, _prepared(each.value)) for each in rdn)


def _prepared(value: str | bytes) -> str | bytes:
    """Prepare a string for comparison in the manner of RFC 4518."""
    if isinstance(value, bytes):
        return value
    mapped = "".join(
        " " if unicodedata.category(each).startswith("Z") or each in "\t\n\r\v\f\x85" else each
        for each in unicodedata.normalize("NFKC", value)
        if unicodedata.category(each) not in {"Cf", "Cc"} or each in "\t\n\r\v\f\x85"
    )
    return " ".join(mapped.casefold().split())


def _comparable(names: Iterable[x509.GeneralName]) -> frozenset[tuple[type, object]]:
    found: set[tuple[type, object]] = set()
    for name in names:
        value: object = name.value
        if isinstance(name, x509.DNSName):
            value = name.value.lower().removesuffix(".")
        elif isinstance(name, x509.DirectoryName):
            value = comparable_name(name.value)
        elif isinstance(name, x509.OtherName):
            value = (name.type_id.dotted_string, name.value)
        found.add((type(name), value))
    return frozenset(found)


def general_name(kind: str, value: str) -> x509.GeneralName:
    """Make an alternative name of a kind. Raises ValueError."""
    match kind:
        case "uri":
            return x509.UniformResourceIdentifier(value)
        case "dns":
            return x509.DNSName(value)
        case "email":
            return x509.RFC822Name(value)
        case _:
            return x509.IPAddress(ipaddress.ip_address(value))


def _fill(template: str, device: Device) -> str | None:
    """Fill a template, or give None if any value that it names is not known."""
    parts, rest = _parts(template)
    filled = []
    for literal, key in parts:
        value = _value(key, device)
        if not value:
            return None
        filled += [literal, value]
    return "".join([*filled, rest])


@lru_cache(maxsize=1_024)
def _parts(template: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Take a template apart: each placeholder with what stands before it, and what ends it."""
    parts = []
    position = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append((template[position : match.start()], match.group(1)))
        position = match.end()
    return tuple(parts), template[position:]


def _value(key: str, device: Device) -> str | None:
    match key:
        case "name":
            return device.name
        case "serial":
            return device.serial_number
        case "id":
            return device.device_id
        case _:
            return device.attributes.get(key.removeprefix("attribute."))
