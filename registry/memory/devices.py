"""Devices, their identities and their public keys, in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from enroll.device import GLOBAL_IDENTITY_KINDS, Device, DeviceIdentity, IdentityKind
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.ports import DeviceKey
from registry.memory.tables import IdentityKey, Session, Tables, check_row


class MemoryDevices:
    """Implements `enroll.ports.DeviceRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, device_id: str) -> Device | None:
        return self._session.tables.devices.get(device_id, self._session.moment)

    async def by_reference(self, tenant_id: str, reference: str) -> Device | None:
        tables, moment = self._session.tables, self._session.moment
        serial_number = _key(
            tenant_id, DeviceIdentity(kind=IdentityKind.SERIAL_NUMBER, value=reference)
        )
        device_id = tables.device_names.get((tenant_id, reference), moment)
        if device_id is None:
            device_id = tables.identities.get(serial_number, moment)
        return tables.devices.get(device_id, moment) if device_id is not None else None

    async def named_by(
        self, tenant_id: str, names: Iterable[str], identities: Iterable[DeviceIdentity]
    ) -> frozenset[str]:
        tables, moment = self._session.tables, self._session.moment
        found = {tables.device_names.get((tenant_id, name), moment) for name in names}
        found.update(tables.identities.get(_key(tenant_id, each), moment) for each in identities)
        return frozenset(each for each in found if each is not None)

    async def list(self, tenant_id: str | None = None) -> Sequence[Device]:
        every = self._session.tables.devices.all(self._session.moment)
        wanted = [each for each in every if tenant_id in {None, each.tenant_id}]
        return sorted(wanted, key=lambda device: device.name)

    def add(self, device: Device) -> None:
        stored = _own(device)
        self._session.stage(lambda: _add(self._session.tables, stored))

    def save(self, device: Device) -> None:
        changed = _own(device)
        self._session.stage(lambda: _save(self._session.tables, changed))


class MemoryKeys:
    """Implements `enroll.ports.KeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, spki_sha256: str) -> DeviceKey | None:
        return self._session.tables.keys.get(spki_sha256, self._session.moment)

    def claim(self, spki_sha256: str, device_id: str, at: datetime) -> None:
        del at
        keys = self._session.tables.keys
        claimed = DeviceKey(spki_sha256=spki_sha256, device_id=device_id, compromised=False)

        def write() -> None:
            found = keys.get(spki_sha256)
            if found is None:
                keys.put(spki_sha256, claimed)
            elif found != claimed:
                raise AlreadyTaken("public_key", spki_sha256)

        self._session.stage(write)

    def condemn(self, spki_sha256: str, at: datetime) -> None:
        del at
        keys = self._session.tables.keys
        unknown = DeviceKey(spki_sha256=spki_sha256, device_id=None, compromised=True)

        def write() -> None:
            found = keys.get(spki_sha256)
            keys.put(spki_sha256, replace(found, compromised=True) if found else unknown)

        self._session.stage(write)


def _own(device: Device) -> Device:
    """Take a device whose attributes nobody else can change."""
    return replace(device, attributes=dict(device.attributes))


def _add(tables: Tables, device: Device) -> None:
    if tables.device_names.get((device.tenant_id, device.name)) is not None:
        raise AlreadyTaken("device_name", device.name)
    check_row(
        known=(tables.tenants.get(device.tenant_id), tables.groups.get(device.group_id)),
        unused=(tables.devices.get(device.device_id),),
    )
    tables.devices.put(device.device_id, device)
    tables.device_names.put((device.tenant_id, device.name), device.device_id)
    _take_identities(tables, device)


def _save(tables: Tables, device: Device) -> None:
    """Store what may change: not the tenant, the name, and how the device came to be."""
    was = tables.devices.get(device.device_id)
    if was is None or was.version != device.version:
        raise ConcurrentChange
    check_row(known=(tables.groups.get(device.group_id),))
    stored = replace(
        device,
        tenant_id=was.tenant_id,
        name=was.name,
        source=was.source,
        created_at=was.created_at,
        version=was.version + 1,
    )
    tables.devices.put(device.device_id, stored)
    if was.identities != device.identities:
        for each in was.identities:
            tables.identities.remove(_key(was.tenant_id, each))
        _take_identities(tables, stored)


def _take_identities(tables: Tables, device: Device) -> None:
    for each in device.identities:
        key = _key(device.tenant_id, each)
        if tables.identities.get(key) is not None:
            raise AlreadyTaken("identity", f"{each.kind}={each.value}")
        tables.identities.put(key, device.device_id)


def _key(tenant_id: str, identity: DeviceIdentity) -> IdentityKey:
    scope = None if identity.kind in GLOBAL_IDENTITY_KINDS else tenant_id
    return scope, identity.kind.value, identity.value
