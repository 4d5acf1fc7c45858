"""What a certificate of another CA's proves of a device, once its path is valid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.device import Device, DeviceIdentity, IdentityKind
from enroll.failures import NotAuthorized
from enroll.policy.identities import IdentityFormatError, to_identity
from enroll.policy.paths.building import TrustedPath
from enroll.policy.paths.certificates import UNREADABLE, PathCertificate
from enroll.policy.paths.faults import printable
from enroll.policy.trust_anchors import IDENTIFYING, is_shared, values_in
from enroll.profiles import CertificateClass
from enroll.trust import TrustAnchor, TrustPurpose

LARGEST_SERIAL_OCTETS = 20
HARDWARE_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
OF_ONE_MAKE = frozenset({IdentityKind.SERIAL_NUMBER, IdentityKind.HW_MODULE_NAME})
"""Kinds of which a device has one value only: another value is another device."""
OF_ONE_CERTIFICATE = frozenset({IdentityKind.IDEVID_CERT_SHA256, IdentityKind.IDEVID_ISSUER_SERIAL})

_CLONE = (
    "another certificate than the one pinned to the device, under the same identity; if the "
    "device's own was replaced, let go of the old one by 'enroll trust unpin'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a certificate proves its device to be: identifiers, and names that devices may have."""

    names: frozenset[str]
    identities: frozenset[DeviceIdentity]


@asn1.sequence
class _HardwareModuleName:
    """RFC 4108 §5."""

    kind: x509.ObjectIdentifier
    serial_number: Annotated[bytes, asn1.Size(1, 64)]


def proven_by(path: TrustedPath, anchor: TrustAnchor) -> Proof:
    """Collect every identifier that the certificate proves. Raises PathError.

    Of a maker's certificate these are the serial number and the alternative names; the common
    name is as good only where a pattern says that it tells devices apart. Of another CA's they are
    the fields that patterns name, or, where devices may share it, all there are.
    """
    leaf = path.certificates[0]
    found = [
        _identity(IdentityKind.IDEVID_CERT_SHA256, leaf.fingerprint),
        _identity(IdentityKind.SPKI_SHA256, leaf.spki_sha256),
        _identity(IdentityKind.IDEVID_ISSUER_SERIAL, _issuer_and_serial(leaf)),
    ]
    fields = _fields(anchor)
    names: set[str] = set()
    for field, values in values_in(leaf).items():
        if field not in fields:
            continue
        found += [_identity(IDENTIFYING[field], value) for value in values]
        if IDENTIFYING[field] is IdentityKind.COMMON_NAME:
            names.update(value.strip() for value in values)
    if anchor.purpose is TrustPurpose.IDEVID:
        found += [
            _identity(IdentityKind.HW_MODULE_NAME, value) for value in _hardware_modules(leaf)
        ]
    return Proof(
        names=frozenset(names), identities=frozenset(each for each in found if each is not None)
    )


def contradiction(
    device: Device, proven: Proof, anchor: TrustAnchor, requested_spki: str
) -> tuple[str, str] | None:
    """Say what is known of the device that the certificate gives the lie: a finding, and why.

    Another IDevID under the device's serial number is the mark of a clone (case f of lifecycle
    §2.7). A public key that was pinned must be the certificate's or the requested one.
    """
    one_make = _differing(device, proven, OF_ONE_MAKE)
    if one_make is not None:
        return "identity_conflict", f"the certificate is that of a device whose {one_make}"
    pins = {each.value for each in device.identities if each.kind is IdentityKind.SPKI_SHA256}
    keys = {each.value for each in proven.identities if each.kind is IdentityKind.SPKI_SHA256}
    if pins and pins.isdisjoint({*keys, requested_spki}):
        return "identity_conflict", "neither key shown is the one pinned to the device"
    if anchor.purpose is TrustPurpose.IDEVID and _differing(device, proven, OF_ONE_CERTIFICATE):
        return "clone_suspected", _CLONE
    return None


def check_manufacturer(anchor: TrustAnchor, device: Device) -> None:
    """Check that the anchor vouches for devices of this make. Raises NotAuthorized."""
    if anchor.manufacturer not in {None, device.attributes.get("manufacturer")}:
        raise NotAuthorized(
            f"trust anchor {anchor.name!r} vouches for devices whose attribute manufacturer "
            f"is {anchor.manufacturer!r}",
            finding="manufacturer_mismatch",
        )


def record_of(
    path: TrustedPath, anchor: TrustAnchor, device_id: str | None, now: datetime
) -> CertificateRecord:
    """Write down a certificate of another CA's, so that it can be looked at and revoked here."""
    leaf = path.certificates[0]
    parsed = leaf.certificate
    return CertificateRecord(
        fingerprint=leaf.fingerprint,
        issuer=issuer_of(path),
        serial_number=f"{parsed.serial_number:x}",
        device_id=device_id,
        profile=f"trust:{anchor.name}",
        certificate_class=CertificateClass.THIRD_PARTY,
        certificate_profile=anchor.name,
        certificate_profile_version=1,
        spki_sha256=leaf.spki_sha256,
        der=leaf.der,
        not_valid_before=parsed.not_valid_before_utc,
        not_valid_after=parsed.not_valid_after_utc,
        status=CertificateStatus.ACTIVE,
        issued_at=now,
        confirmed_at=now,
    )


def issuer_of(path: TrustedPath) -> str:
    """Name the issuing CA as the registry does: by its common name, and by name and key.

    The colon keeps it apart from the issuers here.
    """
    issuer = path.issuer
    key = sha256(issuer.certificate.subject.public_bytes() + bytes.fromhex(issuer.spki_sha256))
    names = issuer.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    title = printable(str(names[0].value))[:30] if names else ""
    return f"{title}:{key.hexdigest()[:32]}"


def has_storable_serial(leaf: PathCertificate) -> bool:
    """Tell whether the serial number is one that RFC 5280 §4.1.2.2 allows."""
    number = leaf.certificate.serial_number
    return 0 < number < 1 << (8 * LARGEST_SERIAL_OCTETS)


def _fields(anchor: TrustAnchor) -> frozenset[str]:
    named = frozenset(field for field, _ in anchor.patterns)
    if is_shared(anchor):
        return frozenset(IDENTIFYING)
    if anchor.purpose is TrustPurpose.IDEVID:
        return frozenset(IDENTIFYING) - {"CN"} | named & {"CN"}
    return named & frozenset(IDENTIFYING)


def _differing(device: Device, proven: Proof, kinds: frozenset[IdentityKind]) -> str | None:
    """Give the kind and value proven where the device is known by others of that kind alone."""
    known: Mapping[IdentityKind, set[str]] = _by_kind(device.identities)
    for kind, values in _by_kind(proven.identities).items():
        if kind in kinds and kind in known and known[kind].isdisjoint(values):
            return f"{kind} is {', '.join(sorted(values))}"
    return None


def _by_kind(
    identities: "frozenset[DeviceIdentity] | tuple[DeviceIdentity, ...]",
) -> dict[IdentityKind, set[str]]:
    found: dict[IdentityKind, set[str]] = {}
    for each in identities:
        found.setdefault(each.kind, set()).add(each.value)
    return found


def _issuer_and_serial(leaf: PathCertificate) -> str:
    return f"{leaf.certificate.issuer.rfc4514_string()}#{leaf.certificate.serial_number:x}"


def _hardware_modules(leaf: PathCertificate) -> list[str]:
    found = []
    for name in leaf.extension(x509.SubjectAlternativeName) or ():
        if isinstance(name, x509.OtherName) and name.type_id == HARDWARE_MODULE_NAME:
            try:
                module = asn1.decode_der(_HardwareModuleName, name.value)
            except UNREADABLE:
                continue
            found.append(f"{module.kind.dotted_string}:{module.serial_number.hex()}")
    return found


def _identity(kind: IdentityKind, value: str) -> DeviceIdentity | None:
    """Give the identifier, or None for a value that cannot be one."""
    try:
        return to_identity(kind, value)
    except IdentityFormatError:
        return None
