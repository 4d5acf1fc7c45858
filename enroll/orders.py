"""An order: what a person has to decide, or decided, before a device or certificate comes to be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from enroll.credentials import CredentialKind
from enroll.profiles import KeyUsageBit, ProtocolName
from enroll.request import Operation


class OrderKind(StrEnum):
    """What is asked for: that a device may be there at all (T-02), or a certificate for one."""

    DEVICE = "device"
    CERTIFICATE = "certificate"


class OrderState(StrEnum):
    """Where an order stands.

    APPROVED is the end for a device; for a certificate it waits to be collected, and becomes
    ISSUED. CANCELLED is what was stopped with its device.
    """

    PENDING = "pending"
    APPROVED = "approved"
    ISSUED = "issued"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a held request asked for, so that it can be decided and fulfilled without its sender.

    `der` is its names and key as an unsigned PKCS#10 structure (see `enroll.policy.wishes`);
    `subject` and `names` are the same for people to read. `extended_key_usage` holds dotted names.
    With `key_made_here` the key in it only marks the request: another is made when it is fulfilled.
    Without `key_proven` its sender has still to show that it holds the key.
    """

    operation: Operation
    protocol: ProtocolName
    spki_sha256: str
    subject: str
    names: tuple[str, ...] = ()
    key_usage: frozenset[KeyUsageBit] | None = None
    extended_key_usage: frozenset[str] | None = None
    asks_beyond: bool = False
    spki: bytes = field(repr=False)
    der: bytes = field(repr=False)
    credential_kind: CredentialKind
    credential_id: str
    key_made_here: bool = False
    key_proven: bool = True
    peer_address: str
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One decision of a person's. `version` is the one read; saving checks it.

    A slot (`profile`; none for a device's own approval) has one open order at most. `reference`
    is the protocol's id of the transaction that asked last; `fingerprint` the certificate's that
    it led to.
    """

    order_id: str
    kind: OrderKind
    device_id: str
    profile: str | None = None
    wish: Wish | None = None
    reference: str | None = None
    state: OrderState = OrderState.PENDING
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    fingerprint: str | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        """Whether something can still become of it."""
        collectable = self.state is OrderState.APPROVED and self.kind is OrderKind.CERTIFICATE
        return self.state is OrderState.PENDING or collectable


class OrderRepository(Protocol):
    """Keeps orders; a part of `enroll.ports.UnitOfWork`."""

    async def by_id(self, order_id: str) -> Order | None: ...

    async def in_slot(self, device_id: str, profile: str | None) -> Sequence[Order]:
        """Give the orders of a slot, or those for the device itself, newest first."""
        ...

    async def by_reference(self, reference: str) -> Sequence[Order]:
        """Give the orders that this transaction asked for last, newest first."""
        ...

    async def open_of(self, device_id: str) -> Sequence[Order]: ...

    async def list(self, *, pending_only: bool = False) -> Sequence[Order]:
        """Give orders, newest first."""
        ...

    async def overdue(self, now: datetime) -> Sequence[Order]:
        """Give those that are open and over."""
        ...

    async def count_pending(self) -> int: ...

    def add(self, order: Order) -> None:
        """Store a new order. On commit: AlreadyTaken (order) if its slot has an open one."""
        ...

    def save(self, order: Order) -> None:
        """Store a changed order, whose version must still be `order.version`.

        The stored version is one higher. On commit: ConcurrentChange.
        """
        ...

    def prune(self, before: datetime) -> None:
        """Forget orders that ended before then."""
        ...
