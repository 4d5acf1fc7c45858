"""A device, what is known of it beforehand, and the one table of its states."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class DeviceState(StrEnum):
    """Where a device stands on its way to its certificates."""

    PENDING_APPROVAL = "pending_approval"
    ENROLLED = "enrolled"
    REGISTERED = "registered"
    PROVISIONED = "provisioned"
    DELETED = "deleted"


class DeviceStatus(StrEnum):
    """Whether a person lets the device take part; independent of its state."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DeviceSource(StrEnum):
    """How a device came into the registry; groups say of each whether a person must approve.

    AUTO: it joined its group of itself, by what it proved (T-05).
    """

    MANUAL = "manual"
    AUTO = "auto"


class Connection(StrEnum):
    """Whether a broker sees the device connected; unknown where no broker is configured."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not_connected"
    UNKNOWN = "unknown"


class Assurance(StrEnum):
    """How strongly the device's hardware identity was shown."""

    NONE = "none"
    LOW = "low"
    HIGH = "high"


class IdentityKind(StrEnum):
    """The sorts of identifier by which a device may be recognized (lifecycle §2.3)."""

    SERIAL_NUMBER = "serial_number"
    COMMON_NAME = "common_name"
    SAN_URI = "san_uri"
    SAN_DNS = "san_dns"
    MAC = "mac"
    HW_MODULE_NAME = "hw_module_name"
    SPKI_SHA256 = "spki_sha256"
    IDEVID_CERT_SHA256 = "idevid_cert_sha256"
    IDEVID_ISSUER_SERIAL = "idevid_issuer_serial"
    EK_URI = "ek_uri"


GLOBAL_IDENTITY_KINDS = frozenset(
    {
        IdentityKind.SPKI_SHA256,
        IdentityKind.IDEVID_CERT_SHA256,
        IdentityKind.IDEVID_ISSUER_SERIAL,
        IdentityKind.EK_URI,
    }
)
"""Kinds unique over the whole installation: one piece of hardware cannot be two devices."""


def new_id(now: datetime, octets: bytes) -> str:
    """Make a UUIDv7 (RFC 9562 §5.7) of the time and ten random octets."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    random = int.from_bytes(octets[:10])
    number = milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random % 2**62
    return str(uuid.UUID(int=number))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """One identifier of a device, its value in normal form."""

    kind: IdentityKind
    value: str


class Cause(StrEnum):
    """What moves a device; the comment gives the row of lifecycle §2.6."""

    REGISTER = "register"  # T-01
    APPLY = "apply"  # T-02
    APPROVE = "approve"  # T-03
    REJECT = "reject"  # T-03
    APPROVAL_EXPIRED = "approval_expired"  # T-04
    BOOTSTRAP_ISSUED = "bootstrap_issued"  # T-07
    OPERATIONAL_ISSUED = "operational_issued"  # T-08
    REQUIREMENTS_MET = "requirements_met"  # T-09
    RENEW = "renew"  # T-10
    RE_ENROLL = "re_enroll"  # T-12
    REPEAT = "repeat"  # T-13
    DISABLE = "disable"  # T-15
    ENABLE = "enable"  # T-16
    DELETE = "delete"  # T-17
    RESET = "reset"  # T-23
    REQUIREMENT_LOST = "requirement_lost"  # T-24


_S = DeviceState
TRANSITIONS: Mapping[tuple[DeviceState | None, Cause], DeviceState] = {
    (None, Cause.REGISTER): _S.ENROLLED,
    (None, Cause.APPLY): _S.PENDING_APPROVAL,
    (_S.PENDING_APPROVAL, Cause.APPROVE): _S.ENROLLED,
    (_S.PENDING_APPROVAL, Cause.REJECT): _S.DELETED,
    (_S.PENDING_APPROVAL, Cause.APPROVAL_EXPIRED): _S.DELETED,
    (_S.ENROLLED, Cause.BOOTSTRAP_ISSUED): _S.REGISTERED,
    (_S.ENROLLED, Cause.OPERATIONAL_ISSUED): _S.REGISTERED,
    (_S.REGISTERED, Cause.BOOTSTRAP_ISSUED): _S.REGISTERED,
    (_S.PROVISIONED, Cause.BOOTSTRAP_ISSUED): _S.PROVISIONED,
    (_S.REGISTERED, Cause.OPERATIONAL_ISSUED): _S.REGISTERED,
    (_S.PROVISIONED, Cause.OPERATIONAL_ISSUED): _S.PROVISIONED,
    (_S.REGISTERED, Cause.REQUIREMENTS_MET): _S.PROVISIONED,
    (_S.REGISTERED, Cause.RENEW): _S.REGISTERED,
    (_S.PROVISIONED, Cause.RENEW): _S.PROVISIONED,
    (_S.REGISTERED, Cause.RE_ENROLL): _S.REGISTERED,
    (_S.PROVISIONED, Cause.RE_ENROLL): _S.PROVISIONED,
    (_S.REGISTERED, Cause.REPEAT): _S.REGISTERED,
    (_S.PROVISIONED, Cause.REPEAT): _S.PROVISIONED,
    (_S.ENROLLED, Cause.DISABLE): _S.ENROLLED,
    (_S.REGISTERED, Cause.DISABLE): _S.REGISTERED,
    (_S.PROVISIONED, Cause.DISABLE): _S.PROVISIONED,
    (_S.ENROLLED, Cause.ENABLE): _S.ENROLLED,
    (_S.REGISTERED, Cause.ENABLE): _S.REGISTERED,
    (_S.PROVISIONED, Cause.ENABLE): _S.PROVISIONED,
    (_S.ENROLLED, Cause.DELETE): _S.DELETED,
    (_S.REGISTERED, Cause.DELETE): _S.DELETED,
    (_S.PROVISIONED, Cause.DELETE): _S.DELETED,
    (_S.REGISTERED, Cause.RESET): _S.ENROLLED,
    (_S.PROVISIONED, Cause.RESET): _S.ENROLLED,
    (_S.PROVISIONED, Cause.REQUIREMENT_LOST): _S.REGISTERED,
}
"""Every move there is. A pair that is not here is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The thing that is to have certificates. `version` is the one read; saving checks it."""

    device_id: str
    tenant_id: str
    group_id: str
    name: str
    state: DeviceState
    status: DeviceStatus = DeviceStatus.ENABLED
    status_reason: str | None = None
    identities: tuple[DeviceIdentity, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    source: str = DeviceSource.MANUAL.value
    connection: Connection = Connection.UNKNOWN
    assurance: Assurance = Assurance.LOW
    created_at: datetime
    updated_at: datetime
    version: int = 1

    @property
    def serial_number(self) -> str | None:
        """The first X.520 serial number among its identities, or None."""
        for identity in self.identities:
            if identity.kind is IdentityKind.SERIAL_NUMBER:
                return identity.value
        return None
