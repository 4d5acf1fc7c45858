"""A registry that is no more than dictionaries: what is left of an enrollment without one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self, cast

from benchmarks.fleet import Member
from enroll.certificates import CertificateRecord
from enroll.credentials import OneTimeCode
from enroll.device import Device, DeviceIdentity, DeviceState, IdentityKind, new_id
from enroll.ports import CodeVault, DeviceKey, Registry
from enroll.profiles import PolicySnapshot
from server.clock import SystemRandomness
from server.defaults import default_policy

TENANT, GROUP = "tenant-1", "group-1"


class Shelf:
    """Answers reads from dictionaries and lets writes fall: an enrollment is never repeated here.

    Of the ports it has what an initial enrollment calls, and is cast to the rest.
    """

    def __init__(self) -> None:
        found = default_policy(TENANT, GROUP)
        self.policy_now = PolicySnapshot(
            version=1,
            tenants={TENANT: found.tenant},
            groups={GROUP: found.group},
            enrollment_profiles={each.slug: each for each in found.enrollment_profiles},
            certificate_profiles={
                (each.tenant_id, each.name): each for each in found.certificate_profiles
            },
        )
        self.by_id: dict[str, Device] = {}
        self.by_name: dict[str, Device] = {}
        self.by_identity: dict[DeviceIdentity, Device] = {}
        self.codes_by_device: dict[str, list[OneTimeCode]] = defaultdict(list)
        self.written = 0

    def registry(self) -> Registry:
        return cast("Registry", self)

    def unit_of_work(self) -> "_Unit":
        return _Unit(self)

    def register(self, member: Member, vault: CodeVault) -> None:
        """Put a member of the fleet and its code on the shelf."""
        now = datetime.now(UTC)
        serial = DeviceIdentity(kind=IdentityKind.SERIAL_NUMBER, value=member.serial_number)
        device = Device(
            device_id=new_id(now, SystemRandomness().octets(10)),
            tenant_id=TENANT,
            group_id=GROUP,
            name=member.name,
            state=DeviceState.ENROLLED,
            identities=(serial,),
            created_at=now,
            updated_at=now,
        )
        code = OneTimeCode(
            code_id=new_id(now, SystemRandomness().octets(10)),
            device_id=device.device_id,
            digest=vault.digest(member.code),
            created_at=now,
            expires_at=now + timedelta(days=7),
        )
        self.by_id[device.device_id] = self.by_name[device.name] = device
        self.by_identity[serial] = device
        self.codes_by_device[device.device_id].append(code)


class _Unit:
    """A unit of work that is all its repositories at once."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.devices = self.keys = self.certificates = self.codes = self
        self.attempts = self.events = self.policy = self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *why: object) -> None:
        """Nothing was opened."""

    async def snapshot(self) -> PolicySnapshot:
        return self._shelf.policy_now

    async def by_id(self, device_id: str) -> Device | None:
        return self._shelf.by_id.get(device_id)

    async def by_reference(self, tenant_id: str, reference: str) -> Device | None:
        del tenant_id
        return self._shelf.by_name.get(reference)

    async def named_by(
        self, tenant_id: str, names: Iterable[str], identities: Iterable[DeviceIdentity]
    ) -> frozenset[str]:
        del tenant_id
        found = [self._shelf.by_name.get(each) for each in names]
        found += [self._shelf.by_identity.get(each) for each in identities]
        return frozenset([each.device_id for each in found if each is not None])

    async def of_device(self, device_id: str) -> Sequence[OneTimeCode]:
        return self._shelf.codes_by_device[device_id]

    async def live_of(self, device_id: str) -> Sequence[CertificateRecord]:
        del device_id
        return ()

    async def last_issued_at(self) -> datetime | None:
        return None

    async def find(self, *key: str) -> DeviceKey | None:
        del key
        return None

    def add(self, value: object) -> None:
        del value
        self._shelf.written += 1

    append = save = add

    def expect(self, version: int) -> None:
        del version

    def claim(self, spki_sha256: str, device_id: str, at: datetime) -> None:
        del spki_sha256, device_id, at
        self._shelf.written += 1

    def consume(self, code: OneTimeCode, at: datetime) -> None:
        del code, at
        self._shelf.written += 1

    async def commit(self) -> None:
        """Durability is another question: see `enroll_durable`."""
