"""Devices and their identities."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import sqlalchemy as sa

from enroll.device import GLOBAL_IDENTITY_KINDS, Device, DeviceIdentity, IdentityKind
from enroll.failures import AlreadyTaken
from registry.database import Rows, WriteTransaction
from registry.rows import device_from, device_values, identity_from, to_text
from registry.session import Session
from registry.statements import Change, Place, Query, inserting
from registry.tables import device_identities, devices
from registry.writer import Row

EVERYWHERE = "*"
LARGEST_QUERY = 100
"""How many names are looked for at once: SQLite takes no expression deeper than 1000."""


def scope_of(kind: IdentityKind, tenant_id: str) -> str:
    """Tell where an identity of this kind has to be unique."""
    return EVERYWHERE if kind in GLOBAL_IDENTITY_KINDS else tenant_id


class SQLDevices:
    """Implements `enroll.ports.DeviceRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: dict[str, Device] = {}

    async def by_id(self, device_id: str) -> Device | None:
        known = self._read.get(device_id)
        return known or self._load(await self._session.read(_BY_ID, {"device_id": device_id}))

    async def by_reference(self, tenant_id: str, reference: str) -> Device | None:
        if not _is_storable(reference):
            return None
        values = {"tenant_id": tenant_id, "reference": reference}
        rows = await self._session.read(_BY_NAME, values)
        return self._load(rows or await self._session.read(_BY_SERIAL, values))

    async def named_by(
        self, tenant_id: str, names: Iterable[str], identities: Iterable[DeviceIdentity]
    ) -> frozenset[str]:
        wanted = [each for each in names if _is_storable(each)]
        shown = [each for each in identities if _is_storable(each.value)]
        found: set[str] = set()
        for start in range(0, max(len(wanted), len(shown)), LARGEST_QUERY):
            part = slice(start, start + LARGEST_QUERY)
            found.update(await self._named_by(tenant_id, wanted[part], shown[part]))
        return frozenset(found)

    async def list(self, tenant_id: str | None = None) -> Sequence[Device]:
        statement = _WITH_IDENTITIES.order_by(None).order_by(
            devices.c.name, devices.c.device_id, device_identities.c.position
        )
        if tenant_id is not None:
            statement = statement.where(devices.c.tenant_id == tenant_id)
        by_id: dict[str, list[object]] = {}
        for row in await self._session.read(Query(statement)):
            by_id.setdefault(row.device_id, []).append(row)
        return [_device(rows) for rows in by_id.values()]

    def add(self, device: Device) -> None:
        values = {
            "device_id": device.device_id,
            "tenant_id": device.tenant_id,
            "name": device.name,
            "source": device.source,
            "created_at": to_text(device.created_at),
            "version": device.version,
            **device_values(device),
        }
        self._session.stage(Row(_INSERT, values, AlreadyTaken("device_name", device.name)))
        for row in _identity_rows(device):
            self._session.stage(row)

    def save(self, device: Device) -> None:
        values = {
            "this_device": device.device_id,
            "this_version": device.version,
            "version": device.version + 1,
            **device_values(device),
        }
        self._session.stage(Row(_UPDATE, values))
        known = self._read.get(device.device_id)
        if known is None or known.identities != device.identities:
            self._session.stage(_Identities(device))

    async def _named_by(
        self, tenant_id: str, names: Sequence[str], identities: Sequence[DeviceIdentity]
    ) -> Iterable[str]:
        values: dict[str, object] = {"tenant_id": tenant_id}
        for number, name in enumerate(names, 1):
            values[f"name{number}"] = name
        for number, each in enumerate(identities, 1):
            values[f"scope{number}"] = scope_of(each.kind, tenant_id)
            values[f"kind{number}"] = each.kind.value
            values[f"value{number}"] = each.value
        query = _named_by(len(names), len(identities))
        return [row.device_id for row in await self._session.read(query, values)]

    def _load(self, rows: Rows) -> Device | None:
        if not rows:
            return None
        device = self._read[rows[0].device_id] = _device(rows)
        return device


class _Identities:
    """Puts a device's identities in place of those that it had."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def __call__(self, transaction: WriteTransaction) -> None:
        mine = device_identities.c.device_id == self._device.device_id
        await transaction.execute(device_identities.delete().where(mine))
        for row in _identity_rows(self._device):
            await row.apply(transaction)


def _is_storable(text: str) -> bool:
    """Tell whether a database could hold this at all; a stranger may name what none could."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _identity_rows(device: Device) -> Iterable[Row]:
    for position, each in enumerate(device.identities):
        values = {
            "scope": scope_of(each.kind, device.tenant_id),
            "kind": each.kind.value,
            "value": each.value,
            "device_id": device.device_id,
            "position": position,
        }
        yield Row(_INSERT_IDENTITY, values, AlreadyTaken("identity", f"{each.kind}={each.value}"))


def _device(rows: Sequence[object]) -> Device:
    """Put a device together from its rows, one for each identity; of none, one without."""
    identities = tuple(identity_from(row) for row in rows if row.kind is not None)  # type: ignore[attr-defined]  # of a joined query
    return device_from(rows[0], identities)


@lru_cache(256)
def _named_by(names: int, identities: int) -> Query:
    """Make the query for this many names and identities; requests have few of either."""
    parts = []
    if names:
        wanted = [sa.bindparam(f"name{each}", type_=sa.Text()) for each in range(1, names + 1)]
        parts.append(sa.select(devices.c.device_id).where(_IN_TENANT, devices.c.name.in_(wanted)))
    if identities:
        columns = device_identities.c
        which = [
            sa.and_(
                columns.scope == sa.bindparam(f"scope{each}"),
                columns.kind == sa.bindparam(f"kind{each}"),
                columns.value == sa.bindparam(f"value{each}"),
            )
            for each in range(1, identities + 1)
        ]
        parts.append(sa.select(columns.device_id).where(sa.or_(*which)))
    return Query(sa.union(*parts) if len(parts) > 1 else parts[0])


def _update(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    columns = devices.c
    return (
        devices.update()
        .where(
            columns.device_id == value(columns.device_id, "this_device"),
            columns.version == value(columns.version, "this_version"),
        )
        .values({name: value(columns[name]) for name in ("version", *_CHANGING)})
    )


_CHANGING = (
    "group_id",
    "description",
    "attributes",
    "state",
    "status",
    "status_reason",
    "connection",
    "assurance",
    "updated_at",
)
_IN_TENANT = devices.c.tenant_id == sa.bindparam("tenant_id")
_WITH_IDENTITIES = (
    sa.select(devices, device_identities.c.kind, device_identities.c.value)
    .select_from(
        devices.outerjoin(device_identities, device_identities.c.device_id == devices.c.device_id)
    )
    .order_by(device_identities.c.position)
)
_BY_ID = Query(_WITH_IDENTITIES.where(devices.c.device_id == sa.bindparam("device_id")))
_BY_NAME = Query(_WITH_IDENTITIES.where(_IN_TENANT, devices.c.name == sa.bindparam("reference")))
_BEARER = device_identities.alias("bearer")
_BY_SERIAL = Query(
    _WITH_IDENTITIES.where(
        devices.c.device_id.in_(
            sa.select(_BEARER.c.device_id).where(
                _BEARER.c.scope == sa.bindparam("tenant_id"),
                _BEARER.c.kind == IdentityKind.SERIAL_NUMBER.value,
                _BEARER.c.value == sa.bindparam("reference"),
            )
        )
    )
)
_INSERT = inserting(
    devices, "device_id", "tenant_id", "name", "source", "created_at", "version", *_CHANGING
)
_UPDATE = Change(_update)
_INSERT_IDENTITY = inserting(device_identities, "scope", "kind", "value", "device_id", "position")
