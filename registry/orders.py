"""Orders: what waits for a person's decision, and what was decided."""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enroll.credentials import CredentialKind
from enroll.failures import AlreadyTaken
from enroll.orders import Order, OrderKind, OrderState, Wish
from enroll.profiles import KeyUsageBit, ProtocolName
from enroll.request import Operation
from registry.database import WriteTransaction
from registry.rows import (
    AnyRow,
    compact_json,
    optional_text,
    optional_time,
    to_text,
    to_time,
)
from registry.session import Session, first
from registry.statements import Change, Place, Query, constants, inserting
from registry.tables import IS_OPEN, orders
from registry.writer import Row

_NO_PROFILE = ""


class SQLOrders:
    """Implements `enroll.orders.OrderRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, order_id: str) -> Order | None:
        row = first(await self._session.read(_BY_ID, {"order_id": order_id}))
        return _order_from(row) if row is not None else None

    async def in_slot(self, device_id: str, profile: str | None) -> Sequence[Order]:
        return await self._orders(_IN_SLOT, device_id=device_id, profile=profile or _NO_PROFILE)

    async def by_reference(self, reference: str) -> Sequence[Order]:
        return await self._orders(_BY_REFERENCE, reference=reference)

    async def open_of(self, device_id: str) -> Sequence[Order]:
        return await self._orders(_OPEN_OF, device_id=device_id)

    async def list(self, *, pending_only: bool = False) -> Sequence[Order]:
        return await self._orders(_PENDING if pending_only else _ALL)

    async def overdue(self, now: datetime) -> Sequence[Order]:
        return await self._orders(_OVERDUE, now=to_text(now))

    async def count_pending(self) -> int:
        row = first(await self._session.read(_COUNT, {}))
        return int(row[0])

    def add(self, order: Order) -> None:
        values = {
            "order_id": order.order_id,
            "kind": order.kind.value,
            "device_id": order.device_id,
            "profile": order.profile or _NO_PROFILE,
            "wish": _wish_document(order.wish) if order.wish is not None else None,
            "requested_by": order.requested_by,
            "requested_at": to_text(order.requested_at),
            "version": order.version,
            **_standing(order),
        }
        self._session.stage(Row(_INSERT, values, AlreadyTaken("order", order.order_id)))

    def save(self, order: Order) -> None:
        values = {
            "this_order": order.order_id,
            "this_version": order.version,
            "version": order.version + 1,
            **_standing(order),
        }
        self._session.stage(Row(_UPDATE, values))

    def prune(self, before: datetime) -> None:
        async def forget(transaction: WriteTransaction) -> None:
            ended = sa.func.coalesce(orders.c.decided_at, orders.c.requested_at)
            over = sa.and_(sa.not_(_is_open()), ended < to_text(before))
            await transaction.execute(orders.delete().where(over))

        self._session.stage(forget)

    async def _orders(self, query: Query, **values: object) -> Sequence[Order]:
        return [_order_from(row) for row in await self._session.read(query, values)]


def _is_open() -> sa.ColumnElement[bool]:
    """Say what `IS_OPEN` does, so that it can be negated."""
    collectable = sa.and_(
        orders.c.state == OrderState.APPROVED.value, orders.c.kind == OrderKind.CERTIFICATE.value
    )
    return sa.or_(orders.c.state == OrderState.PENDING.value, collectable)


def _standing(order: Order) -> dict[str, object]:
    """Give the columns that saving an order may change."""
    return {
        "reference": order.reference,
        "state": order.state.value,
        "expires_at": to_text(order.expires_at),
        "decided_by": order.decided_by,
        "decided_at": optional_text(order.decided_at),
        "reason": order.reason,
        "fingerprint": order.fingerprint,
    }


def _order_from(row: AnyRow) -> Order:
    return Order(
        order_id=row.order_id,
        kind=OrderKind(row.kind),
        device_id=row.device_id,
        profile=row.profile or None,
        wish=_wish_from(row.wish) if row.wish is not None else None,
        reference=row.reference,
        state=OrderState(row.state),
        requested_by=row.requested_by,
        requested_at=to_time(row.requested_at),
        expires_at=to_time(row.expires_at),
        decided_by=row.decided_by,
        decided_at=optional_time(row.decided_at),
        reason=row.reason,
        fingerprint=row.fingerprint,
        version=row.version,
    )


def _wish_document(wish: Wish) -> str:
    usage, purposes = wish.key_usage, wish.extended_key_usage
    return compact_json(
        {
            "operation": wish.operation,
            "protocol": wish.protocol,
            "spki_sha256": wish.spki_sha256,
            "subject": wish.subject,
            "names": wish.names,
            "key_usage": sorted(usage) if usage is not None else None,
            "extended_key_usage": sorted(purposes) if purposes is not None else None,
            "asks_beyond": wish.asks_beyond,
            "spki": b64encode(wish.spki).decode("ascii"),
            "der": b64encode(wish.der).decode("ascii"),
            "credential_kind": wish.credential_kind,
            "credential_id": wish.credential_id,
            "key_made_here": wish.key_made_here,
            "key_proven": wish.key_proven,
            "peer_address": wish.peer_address,
            "correlation_id": wish.correlation_id,
        }
    )


def _wish_from(text: str) -> Wish:
    document: dict[str, Any] = json.loads(text)
    usage, purposes = document["key_usage"], document["extended_key_usage"]
    return Wish(
        operation=Operation(document["operation"]),
        protocol=ProtocolName(document["protocol"]),
        spki_sha256=document["spki_sha256"],
        subject=document["subject"],
        names=tuple(document["names"]),
        key_usage=frozenset(map(KeyUsageBit, usage)) if usage is not None else None,
        extended_key_usage=frozenset(purposes) if purposes is not None else None,
        asks_beyond=document["asks_beyond"],
        spki=b64decode(document["spki"]),
        der=b64decode(document["der"]),
        credential_kind=CredentialKind(document["credential_kind"]),
        credential_id=document["credential_id"],
        key_made_here=document["key_made_here"],
        key_proven=document.get("key_proven", True),
        peer_address=document["peer_address"],
        correlation_id=document["correlation_id"],
    )


def _update(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    return (
        orders.update()
        .where(
            _COLUMNS.order_id == value(_COLUMNS.order_id, "this_order"),
            _COLUMNS.version == value(_COLUMNS.version, "this_version"),
        )
        .values({name: value(_COLUMNS[name]) for name in (*_CHANGING, "version")})
    )


_COLUMNS = orders.c
_CHANGING = (
    "reference",
    "state",
    "expires_at",
    "decided_by",
    "decided_at",
    "reason",
    "fingerprint",
)
_SELECTED = sa.select(orders).order_by(_COLUMNS.requested_at.desc(), _COLUMNS.order_id.desc())
_IS_PENDING = _COLUMNS.state.in_(constants(OrderState.PENDING))
_OPEN = sa.text(f"({IS_OPEN.text})")
_BY_ID = Query(sa.select(orders).where(_COLUMNS.order_id == sa.bindparam("order_id")))
_IN_SLOT = Query(
    _SELECTED.where(
        _COLUMNS.device_id == sa.bindparam("device_id"),
        _COLUMNS.profile == sa.bindparam("profile"),
    )
)
_BY_REFERENCE = Query(_SELECTED.where(_COLUMNS.reference == sa.bindparam("reference")))
_OPEN_OF = Query(_SELECTED.where(_COLUMNS.device_id == sa.bindparam("device_id"), _OPEN))
_ALL = Query(_SELECTED)
_PENDING = Query(_SELECTED.where(_OPEN, _IS_PENDING))
_OVERDUE = Query(_SELECTED.where(_OPEN, _COLUMNS.expires_at <= sa.bindparam("now")))
_COUNT = Query(
    sa.select(sa.func.count().label("pending")).select_from(orders).where(_OPEN, _IS_PENDING)
)
_INSERT = inserting(orders, *_COLUMNS.keys())
_UPDATE = Change(_update)
