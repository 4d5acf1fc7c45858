"""Who may have which certificate, and what it looks like: tenants, groups and the two profiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from enroll.credentials import CredentialKind, GroupSecret
from enroll.device import DeviceSource
from enroll.options import CMPOptions, ESTOptions, SCEPOptions
from enroll.trust import TrustAnchor


class CertificateClass(StrEnum):
    """What a certificate is good for in the life of a device.

    SERVICE is the server's own; THIRD_PARTY is another CA's, kept because it proved a device.
    """

    BOOTSTRAP = "bootstrap"
    OPERATIONAL = "operational"
    SERVICE = "service"
    THIRD_PARTY = "third_party"


class ProtocolName(StrEnum):
    """The protocols that an enrollment profile may be reached by."""

    EST = "est"
    SCEP = "scep"
    CMP = "cmp"


class ReEnrollment(StrEnum):
    """Whether a device whose slot is filled may get another by an initial credential (T-12).

    FRESH_CODE: only by a one-time code that a person made after the present certificate was
    issued; the device's certificate from here, and the IDevID that is pinned to it, are then as
    good as ALLOW, and a certificate of another CA's is not. One that devices share never is.
    APPROVE: as FRESH_CODE, and what that refuses waits for a person's approval.
    """

    ALLOW = "allow"
    FRESH_CODE = "fresh_code"
    APPROVE = "approve"
    DENY = "deny"


class GroupStatus(StrEnum):
    """A disabled group takes no new devices; its members go on (DC-13)."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class RegistrationMode(StrEnum):
    """Whether a group's devices have to be registered before they enroll, or may join it (T-05)."""

    PRE_REGISTERED = "pre_registered"
    JUST_IN_TIME = "just_in_time"


class Approval(StrEnum):
    """Whether a person decides before a certificate is issued."""

    AUTO = "auto"
    MANUAL = "manual"


class OnDisable(StrEnum):
    """What disabling a device does to its certificates (T-15)."""

    HOLD = "hold"
    REVOKE = "revoke"
    NONE = "none"


class KeyUsageBit(StrEnum):
    """RFC 5280 §4.2.1.3 key usages that an end entity may have."""

    DIGITAL_SIGNATURE = "digitalSignature"
    NON_REPUDIATION = "nonRepudiation"
    KEY_ENCIPHERMENT = "keyEncipherment"
    KEY_AGREEMENT = "keyAgreement"


class KeyAlgorithm(StrEnum):
    """The public keys that a certificate profile may allow."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P_256 = "p-256"
    P_384 = "p-384"
    P_521 = "p-521"
    ED25519 = "ed25519"
    ED448 = "ed448"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    X25519 = "x25519"
    X448 = "x448"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"


AGREEMENT_ONLY = frozenset({KeyAlgorithm.X25519, KeyAlgorithm.X448})
ENCAPSULATION_ONLY = frozenset({KeyAlgorithm.ML_KEM_768, KeyAlgorithm.ML_KEM_1024})
SIGNING = frozenset(KeyAlgorithm) - AGREEMENT_ONLY - ENCAPSULATION_ONLY
"""Keys that prove their possession by a signature; the others are to be allowed by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    tenant_id: str
    name: str
    default_profile: str = "bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGroup:
    """Devices under one policy; members with all `required_profiles` filled are Provisioned.

    `approval` is for first certificates and what replaces them by an initial credential,
    `renewal_approval` for renewals, and `device_approval` names the sources whose new devices
    wait for approval themselves. What waits does so for `approval_timeout`, and is to ask again
    every `approval_retry_after`. With `separation_of_duty` nobody approves what they asked for.

    `secrets` are shared by the group's devices, and prove no more than that: what they ask for
    waits for a person unless `group_secret_approval` says otherwise. In JUST_IN_TIME mode devices
    that nobody registered join by a passcode, or under a trust anchor that says so, up to
    `newcomers_per_day`.
    """

    group_id: str
    tenant_id: str
    name: str
    status: GroupStatus = GroupStatus.ENABLED
    required_profiles: tuple[str, ...] = ()
    on_disable: OnDisable = OnDisable.HOLD
    approval: Approval = Approval.AUTO
    renewal_approval: Approval = Approval.AUTO
    device_approval: frozenset[DeviceSource] = frozenset()
    separation_of_duty: bool = True
    approval_timeout: timedelta = timedelta(days=7)
    approval_retry_after: timedelta = timedelta(minutes=1)
    group_secret_approval: Approval = Approval.MANUAL
    secrets: tuple[GroupSecret, ...] = ()
    registration_mode: RegistrationMode = RegistrationMode.PRE_REGISTERED
    newcomers_per_day: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """What a certificate of this sort looks like. Versioned: a change makes the next version.

    `subject` holds (attribute, template) pairs in order, `subject_alternative_names` (kind,
    template) pairs with kind one of uri, dns, email, ip. Templates name `{name}`, `{serial}`,
    `{id}` and `{attribute.X}` of the registry's device; one whose value is not known is left out.
    """

    name: str
    tenant_id: str
    version: int = 1
    validity: timedelta
    backdate: timedelta = timedelta(minutes=5)
    subject: tuple[tuple[str, str], ...] = (("CN", "{name}"), ("serialNumber", "{serial}"))
    subject_alternative_names: tuple[tuple[str, str], ...] = (("uri", "urn:uuid:{id}"),)
    key_usage: frozenset[KeyUsageBit] = frozenset({KeyUsageBit.DIGITAL_SIGNATURE})
    requestable_key_usage: frozenset[KeyUsageBit] = frozenset(
        {
            KeyUsageBit.DIGITAL_SIGNATURE,
            KeyUsageBit.KEY_ENCIPHERMENT,
            KeyUsageBit.KEY_AGREEMENT,
        }
    )
    extended_key_usage: tuple[str, ...] = ("clientAuth",)
    key_algorithms: frozenset[KeyAlgorithm] = SIGNING


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentProfile:
    """One endpoint: which protocols and credentials lead to which certificate in which slot.

    `slug` is its name in paths, unique in the installation, and the name of the slot that it fills.
    `own_certificates_of` lists the slots whose certificates are good as initial credential.
    `renewal_window` is the part of the lifetime, at its end, in which renewal is open; with
    `allow_replace` it always is. A certificate proves its device here for `expired_grace` after
    its end (T-11). Before anything is issued, `decision_webhook` is asked, by its name in the
    configuration. With `subject_names_newcomers` a device that joins by a passcode is called as the
    subject of its request says.
    """

    slug: str
    tenant_id: str
    certificate_class: CertificateClass
    certificate_profile: str
    issuer: str = "issuing"
    protocols: frozenset[ProtocolName] = frozenset(ProtocolName)
    initial_credentials: frozenset[CredentialKind]
    renewal_credentials: frozenset[CredentialKind] = frozenset({CredentialKind.OWN_CERTIFICATE})
    own_certificates_of: tuple[str, ...] = ()
    re_enrollment: ReEnrollment = ReEnrollment.FRESH_CODE
    allow_replace: bool = False
    renewal_window: float = 1 / 3
    allow_same_key: bool = False
    confirm_timeout: timedelta = timedelta(hours=24)
    expired_grace: timedelta = timedelta(0)
    revoke_superseded_after: timedelta | None = None
    replay_window: timedelta = timedelta(hours=24)
    decision_webhook: str | None = None
    subject_names_newcomers: bool = False
    est: ESTOptions = field(default_factory=ESTOptions)
    scep: SCEPOptions = field(default_factory=SCEPOptions)
    cmp: CMPOptions = field(default_factory=CMPOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySnapshot:
    """All issuing policy at one version; read whole, replaced whole, never changed in place."""

    version: int
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    groups: Mapping[str, DeviceGroup] = field(default_factory=dict)
    enrollment_profiles: Mapping[str, EnrollmentProfile] = field(default_factory=dict)
    certificate_profiles: Mapping[tuple[str, str], CertificateProfile] = field(default_factory=dict)
    trust_anchors: Mapping[str, TrustAnchor] = field(default_factory=dict)

    def tenant_named(self, name: str) -> Tenant | None:
        for each in self.tenants.values():
            if each.name == name:
                return each
        return None

    def group_named(self, tenant_id: str, name: str) -> DeviceGroup | None:
        return next(
            (
                each
                for each in self.groups.values()
                if each.tenant_id == tenant_id and name in {each.name, each.group_id}
            ),
            None,
        )
