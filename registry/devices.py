"""Devices, their identities and their public keys."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.device import GLOBAL_IDENTITY_KINDS, Device, DeviceIdentity, IdentityKind
from enroll.failures import AlreadyTaken
from enroll.ports import DeviceKey
from registry.rows import AnyRow, device_from, device_values, identity_from, to_text
from registry.session import Session, execute_one, first
from registry.tables import device_identities, device_keys, devices

EVERYWHERE = "*"


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
        return known or self._load(first(self._session.read(_BY_ID, {"device_id": device_id})))

    async def by_reference(self, tenant_id: str, reference: str) -> Device | None:
        parameters = {"tenant_id": tenant_id, "reference": reference}
        return self._load(
            first(self._session.read(_BY_NAME, parameters))
            or first(self._session.read(_BY_SERIAL, parameters))
        )

    async def named_by(
        self, tenant_id: str, names: Iterable[str], identities: Iterable[DeviceIdentity]
    ) -> frozenset[str]:
        found: set[str] = set()
        for name in names:
            rows = self._session.read(_ID_BY_NAME, {"tenant_id": tenant_id, "reference": name})
            found.update(row.device_id for row in rows)
        for each in identities:
            parameters = {
                "scope": scope_of(each.kind, tenant_id),
                "kind": each.kind.value,
                "value": each.value,
            }
            rows = self._session.read(_ID_BY_IDENTITY, parameters)
            found.update(row.device_id for row in rows)
        return frozenset(found)

    async def list(self, tenant_id: str | None = None) -> Sequence[Device]:
        statement = sa.select(devices).order_by(devices.c.name)
        if tenant_id is not None:
            statement = statement.where(devices.c.tenant_id == tenant_id)
        rows = self._session.read(statement)
        identities: dict[str, list[DeviceIdentity]] = {}
        every = sa.select(device_identities).order_by(device_identities.c.position)
        for row in self._session.read(every):
            identities.setdefault(row.device_id, []).append(identity_from(row))
        return [device_from(row, tuple(identities.get(row.device_id, ()))) for row in rows]

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

        def write(connection: sa.Connection) -> None:
            try:
                connection.execute(_INSERT, values)
            except sa.exc.IntegrityError as error:
                if "devices.name" in str(error.orig) or "devices_name" in str(error.orig):
                    raise AlreadyTaken("device_name", device.name) from error
                raise
            _write_identities(connection, device)

        self._session.stage(write)

    def save(self, device: Device) -> None:
        values = {
            "this_device": device.device_id,
            "this_version": device.version,
            "version": device.version + 1,
            **device_values(device),
        }
        known = self._read.get(device.device_id)
        same_identities = known is not None and known.identities == device.identities

        def write(connection: sa.Connection) -> None:
            execute_one(connection, _UPDATE, values)
            if not same_identities:
                connection.execute(_FORGET_IDENTITIES, {"this_device": device.device_id})
                _write_identities(connection, device)

        self._session.stage(write)

    def _load(self, row: AnyRow | None) -> Device | None:
        if row is None:
            return None
        identities = self._session.read(_IDENTITIES, {"device_id": row.device_id})
        device = device_from(row, tuple(identity_from(each) for each in identities))
        self._read[device.device_id] = device
        return device


class SQLKeys:
    """Implements `enroll.ports.KeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, spki_sha256: str) -> DeviceKey | None:
        row = first(self._session.read(_KEY, {"spki_sha256": spki_sha256}))
        if row is None:
            return None
        return DeviceKey(
            spki_sha256=row.spki_sha256, device_id=row.device_id, compromised=row.compromised
        )

    def claim(self, spki_sha256: str, device_id: str, at: datetime) -> None:
        def write(connection: sa.Connection) -> None:
            row = connection.execute(_KEY, {"spki_sha256": spki_sha256}).one_or_none()
            if row is None:
                values = {
                    "spki_sha256": spki_sha256,
                    "device_id": device_id,
                    "compromised": False,
                    "since": to_text(at),
                }
                connection.execute(_INSERT_KEY, values)
            elif row.compromised or row.device_id != device_id:
                raise AlreadyTaken("public_key", spki_sha256)

        self._session.stage(write)

    def condemn(self, spki_sha256: str, at: datetime) -> None:
        def write(connection: sa.Connection) -> None:
            if connection.execute(_CONDEMN, {"this_key": spki_sha256}).rowcount == 0:
                values = {
                    "spki_sha256": spki_sha256,
                    "device_id": None,
                    "compromised": True,
                    "since": to_text(at),
                }
                connection.execute(_INSERT_KEY, values)

        self._session.stage(write)


def _write_identities(connection: sa.Connection, device: Device) -> None:
    for position, each in enumerate(device.identities):
        values = {
            "scope": scope_of(each.kind, device.tenant_id),
            "kind": each.kind.value,
            "value": each.value,
            "device_id": device.device_id,
            "position": position,
        }
        try:
            connection.execute(_INSERT_IDENTITY, values)
        except sa.exc.IntegrityError as error:
            raise AlreadyTaken("identity", f"{each.kind}={each.value}") from error


_BY_ID = sa.select(devices).where(devices.c.device_id == sa.bindparam("device_id"))
_IN_TENANT = devices.c.tenant_id == sa.bindparam("tenant_id")
_BY_NAME = sa.select(devices).where(_IN_TENANT, devices.c.name == sa.bindparam("reference"))
_BY_SERIAL = (
    sa.select(devices)
    .join(device_identities, device_identities.c.device_id == devices.c.device_id)
    .where(
        device_identities.c.scope == sa.bindparam("tenant_id"),
        device_identities.c.kind == IdentityKind.SERIAL_NUMBER.value,
        device_identities.c.value == sa.bindparam("reference"),
    )
)
_ID_BY_NAME = sa.select(devices.c.device_id).where(
    _IN_TENANT, devices.c.name == sa.bindparam("reference")
)
_ID_BY_IDENTITY = sa.select(device_identities.c.device_id).where(
    device_identities.c.scope == sa.bindparam("scope"),
    device_identities.c.kind == sa.bindparam("kind"),
    device_identities.c.value == sa.bindparam("value"),
)
_IDENTITIES = (
    sa.select(device_identities)
    .where(device_identities.c.device_id == sa.bindparam("device_id"))
    .order_by(device_identities.c.position)
)
_INSERT = devices.insert()
_UPDATE = devices.update().where(
    devices.c.device_id == sa.bindparam("this_device"),
    devices.c.version == sa.bindparam("this_version"),
)
_FORGET_IDENTITIES = device_identities.delete().where(
    device_identities.c.device_id == sa.bindparam("this_device")
)
_INSERT_IDENTITY = device_identities.insert()
_KEY = sa.select(device_keys).where(device_keys.c.spki_sha256 == sa.bindparam("spki_sha256"))
_INSERT_KEY = device_keys.insert()
_CONDEMN = (
    device_keys.update()
    .where(device_keys.c.spki_sha256 == sa.bindparam("this_key"))
    .values(compromised=True)
)
