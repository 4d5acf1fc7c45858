"""A request as each stage leaves it: the type says what has been proven."""

from dataclasses import dataclass

from enroll.certificates import CertificateRecord, IssuanceOrder, IssuedCertificate
from enroll.credentials import Authentication
from enroll.device import Cause, Device, DeviceIdentity
from enroll.key_generation import KeyRecipient
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    KeyAlgorithm,
    PolicySnapshot,
    Tenant,
)
from enroll.request import EnrollmentRequest


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
class Authenticated:
    """A credential that the profile accepts is good.

    `presented` is the certificate, if it is one from here, `third_party` if it is another CA's;
    `expired` says that its time is over and the profile's grace is not. `repeat_only`: a spent
    code, good for the answer that it once got and for nothing new.
    """

    addressed: Addressed
    authentication: Authentication
    presented: CertificateRecord | None = None
    third_party: ThirdPartyCertificate | None = None
    expired: bool = False
    repeat_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """All that the caller showed and claimed points at this one device, or at none."""

    authenticated: Authenticated
    device: Device
    group: DeviceGroup
    live: tuple[CertificateRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The very request that got this certificate (T-13)."""

    identified: Identified
    record: CertificateRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorized:
    """This device may have a certificate of this profile now; `cause` says by which transition.

    `confirms` is the presented certificate, where showing it proves that a replacement arrived.
    """

    identified: Identified
    cause: Cause
    certificate_profile: CertificateProfile
    key_algorithm: KeyAlgorithm
    confirms: CertificateRecord | None = None


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
