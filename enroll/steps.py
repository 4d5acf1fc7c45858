"""A request as each stage leaves it: the type says what has been proven."""

from dataclasses import dataclass

from enroll.certificates import CertificateRecord, IssuanceOrder, IssuedCertificate
from enroll.credentials import Authentication
from enroll.device import Cause, Device, DeviceIdentity
from enroll.key_generation import KeyRecipient
from enroll.orders import Order
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    KeyAlgorithm,
    PolicySnapshot,
    Tenant,
)
from enroll.request import EnrollmentRequest
from enroll.ruling import Enrichment


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """The endpoint is known: which tenant's which profile, under which version of policy."""

    request: EnrollmentRequest
    policy: PolicySnapshot
    tenant: Tenant
    profile: EnrollmentProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdPartyCertificate:
    """Another CA's certificate that proved the device, and what is to be remembered of it.

    `record` is to be stored if it `is_new`, and `pin` to become an identity of the device. A
    `shared` certificate may be in the hands of many, and vouches only for a device that has none.
    """

    record: CertificateRecord
    is_new: bool
    anchor: str
    shared: bool
    pin: DeviceIdentity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingAuthority:
    """The registration authority that speaks for the device: its anchor, and its certificate."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A credential that the profile accepts is good.

    `presented` is the certificate, if it is one from here, `third_party` if it is another CA's;
    `expired` says that its time is over and the profile's grace is not. `repeat_only`: a spent
    code, good for the answer that it once got and for nothing new; `order` is what it opened.
    `acting` is who asks where it is not the device itself. `newcomer` is the device where nobody
    registered it: it is stored with what it gets, or not at all.
    """

    addressed: Addressed
    authentication: Authentication
    presented: CertificateRecord | None = None
    third_party: ThirdPartyCertificate | None = None
    expired: bool = False
    repeat_only: bool = False
    order: Order | None = None
    acting: ActingAuthority | None = None
    newcomer: Device | None = None

    @property
    def actor(self) -> str:
        """Name who asks, for the audit log."""
        if self.acting is not None:
            return f"ra:{self.acting.fingerprint}"
        return f"device:{self.authentication.device_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """All that the caller showed and claimed points at this one device, or at none.

    With an `enrichment` the device has attributes that are yet to be stored with what it gets.
    """

    authenticated: Authenticated
    device: Device
    group: DeviceGroup
    live: tuple[CertificateRecord, ...]
    enrichment: Enrichment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The very request that got this certificate (T-13)."""

    identified: Identified
    record: CertificateRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """This device may have it if a person says so: by this order, or by one yet to be opened."""

    identified: Identified
    order: Order | None
    key_algorithm: KeyAlgorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorized:
    """This device may have a certificate of this profile now; `cause` says by which transition.

    `confirms` is the presented certificate, where showing it proves that a replacement arrived;
    `order` the one by which a person said yes.
    """

    identified: Identified
    cause: Cause
    certificate_profile: CertificateProfile
    key_algorithm: KeyAlgorithm
    confirms: CertificateRecord | None = None
    order: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPermitted:
    """A key may be made for this device, and leave to this recipient, or as it is to the caller."""

    authorized: Authorized
    recipient: KeyRecipient | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The order is written, from registry and profile alone."""

    authorized: Authorized
    order: IssuanceOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The certificate exists in this process's memory only, and may not leave it yet."""

    planned: Planned
    issued: IssuedCertificate
