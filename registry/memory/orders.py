"""Orders in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.orders import Order, OrderState
from registry.memory.tables import Session, Tables, check_row


class MemoryOrders:
    """Implements `enroll.orders.OrderRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, order_id: str) -> Order | None:
        return self._session.tables.orders.get(order_id, self._session.moment)

    async def in_slot(self, device_id: str, profile: str | None) -> Sequence[Order]:
        return _newest_first(
            each for each in self._all() if (each.device_id, each.profile) == (device_id, profile)
        )

    async def by_reference(self, reference: str) -> Sequence[Order]:
        return _newest_first(each for each in self._all() if each.reference == reference)

    async def open_of(self, device_id: str) -> Sequence[Order]:
        return _newest_first(
            each for each in self._all() if each.device_id == device_id and each.is_open
        )

    async def list(self, *, pending_only: bool = False) -> Sequence[Order]:
        return _newest_first(
            each for each in self._all() if not pending_only or each.state is OrderState.PENDING
        )

    async def overdue(self, now: datetime) -> Sequence[Order]:
        return _newest_first(
            each for each in self._all() if each.is_open and each.expires_at <= now
        )

    async def count_pending(self) -> int:
        return len(await self.list(pending_only=True))

    def add(self, order: Order) -> None:
        self._session.stage(lambda: _add(self._session.tables, order))

    def save(self, order: Order) -> None:
        self._session.stage(lambda: _save(self._session.tables, order))

    def prune(self, before: datetime) -> None:
        self._session.stage(lambda: _prune(self._session.tables, before))

    def _all(self) -> Iterable[Order]:
        return self._session.tables.orders.all(self._session.moment)


def _newest_first(orders: Iterable[Order]) -> Sequence[Order]:
    return sorted(orders, key=lambda order: (order.requested_at, order.order_id), reverse=True)


def _add(tables: Tables, order: Order) -> None:
    check_row(
        known=(tables.devices.get(order.device_id),), unused=(tables.orders.get(order.order_id),)
    )
    _check_slot(tables, order)
    tables.orders.put(order.order_id, order)


def _save(tables: Tables, order: Order) -> None:
    """Store what may change: not what was asked for, by whom and when."""
    was = tables.orders.get(order.order_id)
    if was is None or was.version != order.version:
        raise ConcurrentChange
    stored = replace(
        was,
        reference=order.reference,
        state=order.state,
        expires_at=order.expires_at,
        decided_by=order.decided_by,
        decided_at=order.decided_at,
        reason=order.reason,
        fingerprint=order.fingerprint,
        version=was.version + 1,
    )
    tables.orders.put(order.order_id, stored)


def _check_slot(tables: Tables, order: Order) -> None:
    slot = (order.device_id, order.profile)
    for each in tables.orders.all():
        if order.is_open and each.is_open and (each.device_id, each.profile) == slot:
            raise AlreadyTaken("order", order.order_id)


def _prune(tables: Tables, before: datetime) -> None:
    for each in list(tables.orders.all()):
        if not each.is_open and (each.decided_at or each.requested_at) < before:
            tables.orders.remove(each.order_id)
