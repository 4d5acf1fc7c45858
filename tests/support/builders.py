"""What the registry holds, made for tests: whole and valid, with what matters given by the test."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationList,
    RevocationReason,
)
from enroll.credentials import CredentialKind, OneTimeCode
from enroll.device import Device, DeviceIdentity, DeviceState, IdentityKind
from enroll.events import Attempt, EnrollmentEvent, EventName, Outcome
from enroll.key_generation import DecryptionKey
from enroll.orders import Order, OrderKind, Wish
from enroll.policy.identities import to_identity
from enroll.ports import AccessKey, UnitOfWork
from enroll.profiles import (
    CertificateClass,
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    KeyUsageBit,
    PolicySnapshot,
    ProtocolName,
    Tenant,
)
from enroll.request import Operation
from enroll.trust import TrustAnchor, TrustPurpose
from server.defaults import BOOTSTRAP, OPERATIONAL, default_policy
from tests.support.fakes import START

PolicyPart = Tenant | DeviceGroup | CertificateProfile | EnrollmentProfile | TrustAnchor


def an_id(name: str) -> str:
    """Give a UUID: the same one each time for the same name."""
    return str(uuid5(NAMESPACE_OID, name))


def a_hash(name: str) -> str:
    """Give a SHA-256 value, lower-case hex: the same one each time for the same name."""
    return sha256(name.encode()).hexdigest()


TENANT = an_id("tenant default")
GROUP = an_id("group default")
PASSCODE_REFERENCE = "bench"


def a_tenant(name: str = "default", **changes: Any) -> Tenant:
    return replace(Tenant(tenant_id=an_id(f"tenant {name}"), name=name), **changes)


def a_group(name: str = "default", **changes: Any) -> DeviceGroup:
    """Make a group of the default tenant whose members must fill the operational slot."""
    made = DeviceGroup(
        group_id=an_id(f"group {name}"),
        tenant_id=TENANT,
        name=name,
        required_profiles=(OPERATIONAL,),
    )
    return replace(made, **changes)


def a_certificate_profile(name: str = BOOTSTRAP, **changes: Any) -> CertificateProfile:
    made = CertificateProfile(name=name, tenant_id=TENANT, validity=timedelta(days=90))
    return replace(made, **changes)


def an_enrollment_profile(slug: str = BOOTSTRAP, **changes: Any) -> EnrollmentProfile:
    """Make a new installation's profile of this slug; another slug is like its bootstrap one."""
    known = {each.slug: each for each in default_policy(TENANT, GROUP).enrollment_profiles}
    made = known.get(slug, replace(known[BOOTSTRAP], slug=slug))
    return replace(made, **changes)


def a_trust_anchor(name: str = "maker", **changes: Any) -> TrustAnchor:
    """Make an anchor of a maker's; its octets are no certificate: give `der` where they matter."""
    made = TrustAnchor(
        anchor_id=an_id(f"anchor {name}"),
        tenant_id=TENANT,
        name=name,
        purpose=TrustPurpose.IDEVID,
        der=b"\xff certificate of " + name.encode(),
    )
    return replace(made, **changes)


def a_policy(*parts: PolicyPart, version: int = 1) -> PolicySnapshot:
    """Make a new installation's policy; each part joins it, or replaces what has its key."""
    default = default_policy(TENANT, GROUP)
    tenants = {TENANT: default.tenant}
    groups = {GROUP: default.group}
    enrollment = {each.slug: each for each in default.enrollment_profiles}
    certificate = {(each.tenant_id, each.name): each for each in default.certificate_profiles}
    anchors: dict[str, TrustAnchor] = {}
    for part in parts:
        match part:
            case Tenant():
                tenants[part.tenant_id] = part
            case DeviceGroup():
                groups[part.group_id] = part
            case CertificateProfile():
                certificate[part.tenant_id, part.name] = part
            case EnrollmentProfile():
                enrollment[part.slug] = part
            case TrustAnchor():
                anchors[part.anchor_id] = part
    return PolicySnapshot(
        version=version,
        tenants=tenants,
        groups=groups,
        enrollment_profiles=enrollment,
        certificate_profiles=certificate,
        trust_anchors=anchors,
    )


def stage_policy(uow: UnitOfWork, policy: PolicySnapshot) -> None:
    """Stage all parts of a policy; its version is the registry's own affair."""
    for tenant in policy.tenants.values():
        uow.policy.put_tenant(tenant)
    for group in policy.groups.values():
        uow.policy.put_group(group)
    for certificate_profile in policy.certificate_profiles.values():
        uow.policy.put_certificate_profile(certificate_profile)
    for enrollment_profile in policy.enrollment_profiles.values():
        uow.policy.put_enrollment_profile(enrollment_profile)
    for anchor in policy.trust_anchors.values():
        uow.policy.put_trust_anchor(anchor)


def an_identity(
    kind: IdentityKind = IdentityKind.SERIAL_NUMBER, value: str = "SN-1"
) -> DeviceIdentity:
    return to_identity(kind, value)


def a_decryption_key(
    number: int = 1, *, device_id: str | None = None, **changes: Any
) -> DecryptionKey:
    """Make a symmetric key of `pump-1`, as it is kept."""
    made = DecryptionKey(
        device_id=device_id or a_device().device_id,
        key_identifier=f"{number:02x}",
        wrapped=b"wrapped key",
        octets=32,
        created_at=START,
    )
    return replace(made, **changes)


def a_device(name: str = "pump-1", **changes: Any) -> Device:
    """Make a registered device of the default tenant and group, known by its name alone."""
    made = Device(
        device_id=an_id(f"device {name}"),
        tenant_id=TENANT,
        group_id=GROUP,
        name=name,
        state=DeviceState.ENROLLED,
        created_at=START,
        updated_at=START,
    )
    return replace(made, **changes)


def a_certificate_record(
    number: int = 1, *, device: Device | None = None, **changes: Any
) -> CertificateRecord:
    """Make the record of an active bootstrap certificate of `pump-1`, or of the device given.

    Its octets are no certificate: give `der` where somebody will look into them.
    """
    der: bytes = changes.get("der", f"certificate {number}".encode())
    made = CertificateRecord(
        fingerprint=sha256(der).hexdigest(),
        issuer="issuing",
        serial_number=f"{0xA0000 + number:x}",
        device_id=(device or a_device()).device_id,
        profile=BOOTSTRAP,
        certificate_class=CertificateClass.BOOTSTRAP,
        certificate_profile=BOOTSTRAP,
        certificate_profile_version=1,
        spki_sha256=a_hash(f"key {number}"),
        der=der,
        not_valid_before=START,
        not_valid_after=START + timedelta(days=90),
        status=CertificateStatus.ACTIVE,
        issued_at=START,
        credential_id=an_id(f"code {number}"),
        attempt_id=f"{number:032x}",
        confirmed_at=START,
    )
    return replace(made, **changes)


def revoked(
    record: CertificateRecord, reason: RevocationReason = RevocationReason.UNSPECIFIED
) -> CertificateRecord:
    return replace(
        record, status=CertificateStatus.REVOKED, revoked_at=START, revocation_reason=reason
    )


def a_code(number: int = 1, *, device: Device | None = None, **changes: Any) -> OneTimeCode:
    """Make a code for `pump-1`, or the device given: good for one use within a week."""
    made = OneTimeCode(
        code_id=an_id(f"code {number}"),
        device_id=(device or a_device()).device_id,
        digest=sha256(f"code {number}".encode()).digest(),
        created_at=START,
        expires_at=START + timedelta(days=7),
    )
    return replace(made, **changes)


def a_wish(number: int = 1, **changes: Any) -> Wish:
    """Make what a request wished for; its octets are no request: give `der` where they matter."""
    made = Wish(
        operation=Operation.INITIAL,
        protocol=ProtocolName.EST,
        spki_sha256=a_hash(f"key {number}"),
        subject="CN=pump-1",
        names=("dns:pump-1.example",),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
        extended_key_usage=frozenset({"1.3.6.1.5.5.7.3.2"}),
        asks_beyond=True,
        spki=b"\x00 key",
        der=b"\xff request",
        credential_kind=CredentialKind.ONE_TIME_CODE,
        credential_id=an_id(f"code {number}"),
        peer_address="192.0.2.7",
        correlation_id=f"{number:032x}",
    )
    return replace(made, **changes)


def an_order(number: int = 1, *, device: Device | None = None, **changes: Any) -> Order:
    """Make an order for a bootstrap certificate of `pump-1`, or the device given; undecided."""
    device_id = changes.get("device_id", (device or a_device()).device_id)
    made = Order(
        order_id=an_id(f"order {number}"),
        kind=OrderKind.CERTIFICATE,
        device_id=device_id,
        profile=BOOTSTRAP,
        wish=a_wish(number),
        requested_by=f"device:{device_id}",
        requested_at=START,
        expires_at=START + timedelta(days=7),
    )
    return replace(made, **changes)


def an_event(name: EventName = EventName.DEVICE_REGISTERED, **changes: Any) -> EnrollmentEvent:
    """Make an event of `pump-1`."""
    made = EnrollmentEvent(
        name=name, occurred_at=START, actor="cli:operator", device_id=a_device().device_id
    )
    return replace(made, **changes)


def an_attempt(number: int = 1, **changes: Any) -> Attempt:
    """Make a refused attempt of nobody in particular."""
    made = Attempt(
        attempt_id=f"{number:032x}",
        occurred_at=START,
        protocol="est",
        operation="simpleenroll",
        profile=BOOTSTRAP,
        peer_address="192.0.2.7",
        outcome=Outcome.DENIED,
    )
    return replace(made, **changes)


def a_revocation_list(number: int = 1, **changes: Any) -> RevocationList:
    made = RevocationList(
        issuer="issuing",
        number=number,
        der=f"list {number}".encode(),
        this_update=START,
        next_update=START + timedelta(days=1),
        revocation_version=0,
    )
    return replace(made, **changes)


def an_access_key(**changes: Any) -> AccessKey:
    made = AccessKey(
        key_id="k1", name="automation", role="operator", digest=bytes(32), created_at=START
    )
    return replace(made, **changes)
