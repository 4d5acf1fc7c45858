"""What the ground needs of the world: registry, authority, clock, randomness."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from enroll.certificates import (
    CertificateRecord,
    CertificateRepository,
    IssuanceOrder,
    IssuedCertificate,
    RevocationListRepository,
)
from enroll.credentials import OneTimeCode
from enroll.device import Device, DeviceIdentity
from enroll.events import Attempt, EnrollmentEvent
from enroll.key_generation import DecryptionKey, MadePrivateKey
from enroll.orders import OrderRepository
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    KeyAlgorithm,
    PolicySnapshot,
    Tenant,
)
from enroll.tallies import TallyRepository
from enroll.trust import TrustAnchor


class Clock(Protocol):
    def now(self) -> datetime:
        """Tell the time, UTC and aware."""
        ...


class Randomness(Protocol):
    def octets(self, count: int) -> bytes: ...


class CodeVault(Protocol):
    """Holds the pepper and the wrapping key, which lie outside the database."""

    def digest(self, code: str) -> bytes:
        """Give HMAC-SHA-256 of the code, hyphens and case taken off."""
        ...

    def wrap(self, code_id: str, code: str) -> bytes: ...

    def unwrap(self, code_id: str, wrapped: bytes) -> str: ...


class CertificateAuthority(Protocol):
    """Signs orders. Raises AuthorityUnavailable when it cannot now, PolicyViolation if never."""

    async def issue(self, order: IssuanceOrder) -> IssuedCertificate: ...

    def check_issued(self, record: CertificateRecord) -> None:
        """Check that the issuer named in the record signed this very certificate.

        Raises EnrollmentError (SIGNER_NOT_TRUSTED).
        """
        ...

    def current(self, issuer: str) -> str:
        """Name the issuer that signs now where a profile names this one: itself, or who follows."""
        ...

    def chain(self, issuer: str) -> tuple[bytes, ...]:
        """Give the issuing CA's certificate and those above it, DER, nearest first."""
        ...

    def not_valid_before(self, issuer: str) -> datetime:
        """Tell when the issuing CA's certificate begins; no leaf is backdated beyond it."""
        ...

    def not_valid_after(self, issuer: str) -> datetime:
        """Tell when the issuing CA's certificate ends; no leaf may outlive it."""
        ...


class KeyGenerator(Protocol):
    """Makes keys for devices, of the operating system's randomness, and keeps none.

    Raises RateLimited for a device that asks too often, AuthorityUnavailable when too many ask.
    """

    async def make(self, algorithm: KeyAlgorithm, device_id: str) -> MadePrivateKey: ...


class DeviceRepository(Protocol):
    async def by_id(self, device_id: str) -> Device | None: ...

    async def by_reference(self, tenant_id: str, reference: str) -> Device | None:
        """Find a device by its name, or else by its serial number."""
        ...

    async def named_by(
        self, tenant_id: str, names: Iterable[str], identities: Iterable[DeviceIdentity]
    ) -> frozenset[str]:
        """Give the ids of all devices that any of these device names or identities points at."""
        ...

    async def list(self, tenant_id: str | None = None) -> Sequence[Device]: ...

    def add(self, device: Device) -> None:
        """Store a new device. On commit: AlreadyTaken (device_name, identity)."""
        ...

    def save(self, device: Device) -> None:
        """Store a changed device, whose version must still be `device.version`.

        The stored version is one higher. On commit: ConcurrentChange.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKey:
    """Whose a public key is; once compromised it is nobody's, for ever."""

    spki_sha256: str
    device_id: str | None
    compromised: bool


class KeyRepository(Protocol):
    async def find(self, spki_sha256: str) -> DeviceKey | None: ...

    def claim(self, spki_sha256: str, device_id: str, at: datetime) -> None:
        """Make the key the device's. No change if it already is.

        On commit: AlreadyTaken (public_key) if it is another's or compromised.
        """
        ...

    def condemn(self, spki_sha256: str, at: datetime) -> None:
        """Mark the key compromised, known or not."""
        ...


class CodeRepository(Protocol):
    async def of_device(self, device_id: str) -> Sequence[OneTimeCode]: ...

    async def by_digest(self, digest: bytes) -> Sequence[OneTimeCode]:
        """Give the codes of this keyed digest, whosever they are: one, or none."""
        ...

    def add(self, code: OneTimeCode) -> None: ...

    def consume(self, code: OneTimeCode, at: datetime) -> None:
        """Count one use. On commit: ConcurrentChange unless uses are as read and one is left."""
        ...

    def revoke(self, code: OneTimeCode, at: datetime) -> None: ...


class DecryptionKeyRepository(Protocol):
    """Symmetric keys of devices, to which keys made for them can be encrypted."""

    async def find(self, device_id: str, key_identifier: str) -> DecryptionKey | None: ...

    async def of_device(self, device_id: str) -> Sequence[DecryptionKey]:
        """Give the device's keys in the order of their identifiers."""
        ...

    def add(self, key: DecryptionKey) -> None:
        """Store it. On commit: AlreadyTaken (key_identifier) if the device has one of that name."""
        ...

    def remove(self, key: DecryptionKey) -> None:
        """Forget it. On commit: ConcurrentChange if it is not there."""
        ...


class AttemptRepository(Protocol):
    def add(self, attempt: Attempt) -> None: ...

    def prune(self, *, before: datetime, keep: int) -> None:
        """Forget attempts older than `before`, and the oldest beyond the newest `keep`."""
        ...

    async def list(
        self, *, denied_only: bool = False, since: datetime | None = None, limit: int | None = None
    ) -> Sequence[Attempt]:
        """Give attempts, newest first."""
        ...


class EventLog(Protocol):
    def append(self, event: EnrollmentEvent) -> None:
        """Add to this process's hash chain, in the same transaction as the unit's changes."""
        ...

    async def of_device(self, device_id: str) -> Sequence[EnrollmentEvent]: ...


class PolicyRepository(Protocol):
    async def snapshot(self) -> PolicySnapshot:
        """Give all policy at its present version; cheap when it has not changed."""
        ...

    def expect(self, version: int) -> None:
        """On commit: ConcurrentChange unless policy is still at this version."""
        ...

    def put_tenant(self, tenant: Tenant) -> None: ...

    def put_group(self, group: DeviceGroup) -> None: ...

    def put_enrollment_profile(self, profile: EnrollmentProfile) -> None:
        """Store or replace. On commit: AlreadyTaken (slug) if it is another tenant's."""
        ...

    def put_certificate_profile(self, profile: CertificateProfile) -> None:
        """Store a version of a certificate profile; older ones are kept."""
        ...

    def put_trust_anchor(self, anchor: TrustAnchor) -> None:
        """Store or replace. On commit: AlreadyTaken (name) if another of the tenant has it."""
        ...

    def remove_trust_anchor(self, anchor: TrustAnchor) -> None:
        """Forget it. On commit: ConcurrentChange if it is not there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key for the management interface: its public id and a keyed digest of its secret."""

    key_id: str
    name: str
    role: str
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AccessKeyRepository(Protocol):
    async def by_id(self, key_id: str) -> AccessKey | None: ...

    async def list(self) -> Sequence[AccessKey]:
        """Give all keys, the oldest first."""
        ...

    def add(self, key: AccessKey) -> None: ...

    def revoke(self, key: AccessKey, at: datetime) -> None:
        """On commit: ConcurrentChange if it is revoked already."""
        ...


class UnitOfWork(Protocol):
    """Reads at once; writes when committed, all or none, durable when `commit` returns.

    Reads see the registry at one moment, that of the first. Writes are staged in memory, so
    abandoning a unit costs nothing and holds no lock; reads do not see them. Whatever reads, and
    `commit`, raises RegistryUnavailable when the database cannot serve.
    """

    @property
    def devices(self) -> DeviceRepository: ...
    @property
    def keys(self) -> KeyRepository: ...
    @property
    def certificates(self) -> CertificateRepository: ...
    @property
    def codes(self) -> CodeRepository: ...
    @property
    def decryption_keys(self) -> DecryptionKeyRepository: ...
    @property
    def orders(self) -> OrderRepository: ...
    @property
    def tallies(self) -> TallyRepository: ...
    @property
    def attempts(self) -> AttemptRepository: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def policy(self) -> PolicyRepository: ...
    @property
    def crls(self) -> RevocationListRepository: ...
    @property
    def access_keys(self) -> AccessKeyRepository: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Make all staged writes durable together.

        Raises ConcurrentChange, AlreadyTaken, RegistryUnavailable; nothing is stored then.
        """
        ...


class Registry(Protocol):
    """Opens units of work on one database."""

    def unit_of_work(self) -> UnitOfWork: ...
