"""Every table of the registry in memory, and what its repositories share of a unit of work."""

from collections.abc import Iterable
from typing import Protocol

from enroll.certificates import CertificateRecord, RevocationList
from enroll.credentials import OneTimeCode
from enroll.device import Device
from enroll.events import Attempt, EnrollmentEvent
from enroll.failures import RegistryUnavailable
from enroll.key_generation import DecryptionKey
from enroll.orders import Order
from enroll.ports import AccessKey, DeviceKey
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    PolicySnapshot,
    Tenant,
)
from enroll.trust import TrustAnchor
from registry.memory.history import History, Lists, Rows, Write

POLICY = "policy"
REVOCATION = "revocation"
ATTEMPTS = "attempts"

IdentityKey = tuple[str | None, str, str]
"""The tenant's id, or None for kinds that are unique in the whole installation; kind and value."""
"""Device, slot, public key and credential."""


class Tables:
    """What one registry in memory holds."""

    def __init__(self) -> None:
        history = History()
        self.history = history
        self.counters: Rows[str, int] = Rows(history)
        self.tenants: Rows[str, Tenant] = Rows(history)
        self.groups: Rows[str, DeviceGroup] = Rows(history)
        self.enrollment_profiles: Rows[str, EnrollmentProfile] = Rows(history)
        self.certificate_profiles: Rows[tuple[str, str, int], CertificateProfile] = Rows(history)
        self.trust_anchors: Rows[str, TrustAnchor] = Rows(history)
        self.devices: Rows[str, Device] = Rows(history)
        self.device_names: Rows[tuple[str, str], str] = Rows(history)
        self.identities: Rows[IdentityKey, str] = Rows(history)
        self.keys: Rows[str, DeviceKey] = Rows(history)
        self.certificates: Rows[str, CertificateRecord] = Rows(history)
        self.certificates_by_number: Lists[str, str] = Lists(history)
        self.certificates_of: Lists[str, str] = Lists(history)
        self.codes: Rows[str, OneTimeCode] = Rows(history)
        self.codes_of: Lists[str, str] = Lists(history)
        self.codes_by_digest: Lists[bytes, str] = Lists(history)
        self.decryption_keys: Rows[tuple[str, str], DecryptionKey] = Rows(history)
        self.orders: Rows[str, Order] = Rows(history)
        self.tallies: Rows[str, tuple[str, int]] = Rows(history)
        self.attempts: Rows[int, tuple[int, Attempt]] = Rows(history)
        self.events_of: Lists[str | None, EnrollmentEvent] = Lists(history)
        self.crls: Rows[str, RevocationList] = Rows(history)
        self.access_keys: Rows[str, AccessKey] = Rows(history)
        self.policy = PolicySnapshot(version=-1)
        """The snapshot that was read last."""

    def count(self, name: str) -> int:
        """Move a counter on, and tell where it stands."""
        value = (self.counters.get(name) or 0) + 1
        self.counters.put(name, value)
        return value


class Session(Protocol):
    """One unit of work, seen from its repositories."""

    @property
    def tables(self) -> Tables: ...

    @property
    def moment(self) -> int:
        """The moment of the unit's first read, which may be this one."""
        ...

    def stage(self, write: Write) -> None:
        """Have this done when the unit commits."""
        ...


def check_row(*, known: Iterable[object] = (), unused: Iterable[object] = ()) -> None:
    """Check that what a row refers to is there, and that nothing has its key.

    Raises RegistryUnavailable: no unit of work that reads first writes such a row.
    """
    if any(each is None for each in known):
        raise RegistryUnavailable("the registry refused a row: it refers to what is not there")
    if any(each is not None for each in unused):
        raise RegistryUnavailable("the registry refused a row: there is one of this key already")
