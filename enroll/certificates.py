"""Certificates decided, signed and kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.profiles import CertificateClass, KeyUsageBit


class CertificateStatus(StrEnum):
    """What has become of a certificate; expiry is read off its dates, never stored."""

    PENDING_CONFIRM = "pending_confirm"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    ON_HOLD = "on_hold"
    REVOKED = "revoked"


class RevocationReason(StrEnum):
    """CRLReason of RFC 5280 §5.3.1, as it names them."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


class Measure(StrEnum):
    """What is done to a certificate to stop it, or to let it on. Only to revoke is for good."""

    REVOKE = "revoke"
    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuanceOrder:
    """A decided certificate, not yet signed. Everything in it comes from registry and profile.

    `subject` and `subject_alternative_names` are final; the authority adds only what is its own:
    issuer, AKI, SKI, CRL and AIA addresses, basicConstraints. `spki` is the public key in
    DER, where it is at hand.
    """

    serial_number: int
    issuer: str
    subject: x509.Name
    subject_alternative_names: tuple[x509.GeneralName, ...]
    public_key: CertificatePublicKeyTypes
    spki: bytes | None = None
    key_usage: frozenset[KeyUsageBit]
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    not_valid_before: datetime
    not_valid_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A signed certificate, DER, with the issuing CA and those above it, nearest first."""

    der: bytes
    chain: tuple[bytes, ...]
    issuer: str


@dataclass(frozen=True, kw_only=True)
class CertificateRecord:
    """A certificate as the registry keeps it. `device_id` is None for the server's own.

    `serial_number` is lower-case hex, `fingerprint` and `spki_sha256` SHA-256 in lower-case hex.
    `credential_id` names what was shown to obtain it (see `Authentication`), `transaction` the
    protocol's exchange that gave it last, where its ids must not be used twice. With
    `confirm_until` its owner is to say by then that it came and is right; else it is revoked.
    `held_by` names who put it on hold by itself, and not with its device; `revocation_transaction`
    is the protocol's exchange that last revoked, held or released it.
    """

    fingerprint: str
    issuer: str
    serial_number: str
    device_id: str | None
    profile: str
    certificate_class: CertificateClass
    certificate_profile: str
    certificate_profile_version: int
    spki_sha256: str
    der: bytes = field(repr=False)
    not_valid_before: datetime
    not_valid_after: datetime
    status: CertificateStatus
    issued_at: datetime
    credential_id: str | None = None
    attempt_id: str | None = None
    transaction: str | None = None
    confirm_until: datetime | None = None
    confirmed_at: datetime | None = None
    superseded_at: datetime | None = None
    revoked_at: datetime | None = None
    revocation_reason: RevocationReason | None = None
    held_by: str | None = None
    revocation_transaction: str | None = None

    @cached_property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @property
    def awaits_owner(self) -> bool:
        """Whether its owner still has to say that it came; until then it proves nothing."""
        return self.confirm_until is not None and self.confirmed_at is None

    @property
    def is_live(self) -> bool:
        """Whether it fills its slot, or waits to; one on hold does what it did before."""
        return self.superseded_at is None and self.status in {
            CertificateStatus.ACTIVE,
            CertificateStatus.PENDING_CONFIRM,
            CertificateStatus.ON_HOLD,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedEntry:
    """One line of a CRL: an unexpired certificate that is revoked or on hold."""

    serial_number: str
    revoked_at: datetime
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A signed CRL, DER, with its number."""

    issuer: str
    number: int
    der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime
    revocation_version: int


def new_serial_number(octets: bytes) -> int:
    """Make a certificate serial number of 20 random octets: 159 bits, positive, never zero.

    RFC 5280 §4.1.2.2 allows 20 octets, the first bit of which is the sign.
    """
    number = int.from_bytes(octets[:20]) >> 1
    return number or 1


class CertificateRepository(Protocol):
    """Keeps certificates; a part of `enroll.ports.UnitOfWork`."""

    async def by_fingerprint(self, fingerprint: str) -> CertificateRecord | None: ...

    async def by_serial(self, serial_number: str) -> Sequence[CertificateRecord]: ...

    async def by_transaction(self, transaction: str) -> Sequence[CertificateRecord]:
        """Give the certificates that an exchange of this id gave last."""
        ...

    async def live_of(self, device_id: str) -> Sequence[CertificateRecord]:
        """Give the device's certificates that fill a slot or wait to (active, pending, held)."""
        ...

    async def of_device(self, device_id: str) -> Sequence[CertificateRecord]:
        """Give all certificates that the device ever got, newest first."""
        ...

    async def list(self) -> Sequence[CertificateRecord]: ...

    async def last_issued_at(self) -> datetime | None:
        """Tell when the newest certificate was issued, the server's own included."""
        ...

    async def pending_since(self, before: datetime) -> Sequence[CertificateRecord]:
        """Give those that wait for confirmation and were issued before then."""
        ...

    async def superseded_before(
        self, profile: str, before: datetime
    ) -> Sequence[CertificateRecord]:
        """Give the slot's superseded certificates, unrevoked and unexpired, that are older."""
        ...

    async def revoked(self, issuer: str, now: datetime) -> Sequence[RevokedEntry]:
        """Give the unexpired certificates of the issuer that are revoked or on hold."""
        ...

    def add(self, record: CertificateRecord) -> None:
        """Store a certificate. On commit: AlreadyTaken (serial_number)."""
        ...

    def save(self, record: CertificateRecord, *, was: CertificateRecord) -> None:
        """Store a changed status, its dates and the transaction.

        On commit: ConcurrentChange if it is no longer `was`.
        """
        ...


class RevocationListRepository(Protocol):
    """Keeps revocation lists; a part of `enroll.ports.UnitOfWork`."""

    async def latest(self, issuer: str) -> RevocationList | None: ...

    async def version(self) -> int:
        """Tell how often a revocation, hold or release has been committed."""
        ...

    def add(self, crl: RevocationList) -> None:
        """Store it. On commit: ConcurrentChange unless its number is the next one."""
        ...
