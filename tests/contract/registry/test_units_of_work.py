"""The contract of `UnitOfWork` itself: one moment of reading, all or nothing in writing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enroll.certificates import CertificateStatus
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.orders import OrderState
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import (
    TENANT,
    a_certificate_profile,
    a_certificate_record,
    a_code,
    a_device,
    a_group,
    a_hash,
    a_revocation_list,
    a_tenant,
    a_trust_anchor,
    an_access_key,
    an_attempt,
    an_enrollment_profile,
    an_event,
    an_identity,
    an_order,
    revoked,
)
from tests.support.fakes import START
from tests.support.registries import look, store

Read = Callable[[UnitOfWork], Awaitable[Any]]
Write = Callable[[UnitOfWork], None]

OLD = a_device("old", identities=(an_identity(value="SN-old"),))
OLD_CODE = a_code(10, device=OLD)
OLD_ORDER = an_order(10, device=OLD)
OLD_CERTIFICATE = a_certificate_record(10, device=OLD)
WAITING = a_certificate_record(11, device=OLD, status=CertificateStatus.PENDING_CONFIRM)
RETIRED = a_certificate_record(
    12, device=OLD, status=CertificateStatus.SUPERSEDED, superseded_at=START
)
NEW = a_device("new", identities=(an_identity(value="SN-new"),))
LATER = START.replace(year=START.year + 1)

READS: dict[str, Read] = {
    "device by id": lambda uow: uow.devices.by_id(OLD.device_id),
    "new device by id": lambda uow: uow.devices.by_id(NEW.device_id),
    "device by name": lambda uow: uow.devices.by_reference(TENANT, "new"),
    "device by serial number": lambda uow: uow.devices.by_reference(TENANT, "SN-new"),
    "devices named by": lambda uow: uow.devices.named_by(
        TENANT, ["new"], [an_identity(value="SN-new")]
    ),
    "devices": lambda uow: uow.devices.list(),
    "key": lambda uow: uow.keys.find(a_hash("key new")),
    "condemned key": lambda uow: uow.keys.find(a_hash("key condemned")),
    "certificate": lambda uow: uow.certificates.by_fingerprint(OLD_CERTIFICATE.fingerprint),
    "certificates by serial": lambda uow: uow.certificates.by_serial(
        a_certificate_record(20).serial_number
    ),
    "live certificates": lambda uow: uow.certificates.live_of(OLD.device_id),
    "certificates of a device": lambda uow: uow.certificates.of_device(OLD.device_id),
    "certificates": lambda uow: uow.certificates.list(),
    "last issuance": lambda uow: uow.certificates.last_issued_at(),
    "waiting certificates": lambda uow: uow.certificates.pending_since(LATER),
    "retiring certificates": lambda uow: uow.certificates.superseded_before(
        "bootstrap", START.replace(hour=START.hour + 1)
    ),
    "revoked certificates": lambda uow: uow.certificates.revoked("issuing", START),
    "codes": lambda uow: uow.codes.of_device(OLD.device_id),
    "order": lambda uow: uow.orders.by_id(OLD_ORDER.order_id),
    "orders of a slot": lambda uow: uow.orders.in_slot(OLD.device_id, "bootstrap"),
    "orders of a transaction": lambda uow: uow.orders.by_reference("transaction"),
    "open orders": lambda uow: uow.orders.open_of(OLD.device_id),
    "orders": lambda uow: uow.orders.list(),
    "overdue orders": lambda uow: uow.orders.overdue(START),
    "pending orders": lambda uow: uow.orders.count_pending(),
    "attempts": lambda uow: uow.attempts.list(),
    "events": lambda uow: uow.events.of_device(OLD.device_id),
    "policy": lambda uow: uow.policy.snapshot(),
    "revocation list": lambda uow: uow.crls.latest("issuing"),
    "revocation version": lambda uow: uow.crls.version(),
    "access key": lambda uow: uow.access_keys.by_id("k1"),
    "access keys": lambda uow: uow.access_keys.list(),
}


def stage_the_old(uow: UnitOfWork) -> None:
    uow.devices.add(OLD)
    uow.codes.add(OLD_CODE)
    uow.orders.add(OLD_ORDER)
    for record in (OLD_CERTIFICATE, WAITING, RETIRED):
        uow.certificates.add(record)
    uow.attempts.add(an_attempt(10))
    uow.events.append(an_event(device_id=OLD.device_id))


def stage_one_of_everything(uow: UnitOfWork) -> None:
    """Stage what changes the answer of every read there is."""
    uow.devices.save(replace(OLD, description="changed"))
    uow.devices.add(NEW)
    uow.keys.claim(a_hash("key new"), NEW.device_id, START)
    uow.keys.condemn(a_hash("key condemned"), START)
    uow.certificates.save(revoked(OLD_CERTIFICATE), was=OLD_CERTIFICATE)
    uow.certificates.save(replace(WAITING, status=CertificateStatus.ACTIVE), was=WAITING)
    uow.certificates.save(revoked(RETIRED), was=RETIRED)
    uow.certificates.add(
        a_certificate_record(20, device=OLD, issued_at=START.replace(hour=START.hour + 1))
    )
    uow.codes.consume(OLD_CODE, START)
    uow.codes.add(a_code(20, device=OLD))
    uow.orders.save(replace(OLD_ORDER, state=OrderState.REJECTED))
    uow.orders.add(
        an_order(20, device=OLD, reference="transaction", expires_at=START - timedelta(hours=1))
    )
    uow.orders.add(an_order(21, device=OLD, profile="operational"))
    uow.attempts.prune(before=START, keep=0)
    uow.attempts.add(an_attempt(20))
    uow.events.append(an_event(device_id=OLD.device_id, correlation_id="20"))
    uow.policy.put_tenant(a_tenant("new"))
    uow.policy.put_group(a_group("new"))
    uow.policy.put_certificate_profile(a_certificate_profile("new"))
    uow.policy.put_enrollment_profile(an_enrollment_profile("new"))
    uow.policy.put_trust_anchor(a_trust_anchor())
    uow.crls.add(a_revocation_list())
    uow.access_keys.add(an_access_key(key_id="k1"))


def stage_a_condemned_key(uow: UnitOfWork) -> None:
    uow.keys.condemn(a_hash("k"), START)
    uow.keys.claim(a_hash("k"), OLD.device_id, START)


def stage_a_foreign_slug(uow: UnitOfWork) -> None:
    third = a_tenant("third")
    uow.policy.put_tenant(third)
    uow.policy.put_enrollment_profile(an_enrollment_profile("bootstrap", tenant_id=third.tenant_id))


GUARDS: dict[str, tuple[type[Exception], Write]] = {
    "stale device": (ConcurrentChange, lambda uow: uow.devices.save(replace(OLD, version=9))),
    "device name": (AlreadyTaken, lambda uow: uow.devices.add(replace(OLD, device_id="another"))),
    "identity": (
        AlreadyTaken,
        lambda uow: uow.devices.add(a_device("third", identities=OLD.identities)),
    ),
    "key": (
        AlreadyTaken,
        stage_a_condemned_key,
    ),
    "certificate": (
        ConcurrentChange,
        lambda uow: uow.certificates.save(RETIRED, was=replace(RETIRED, status=WAITING.status)),
    ),
    "serial number": (AlreadyTaken, lambda uow: uow.certificates.add(OLD_CERTIFICATE)),
    "code": (ConcurrentChange, lambda uow: uow.codes.consume(replace(OLD_CODE, uses=5), START)),
    "revoked code": (
        ConcurrentChange,
        lambda uow: uow.codes.revoke(replace(OLD_CODE, code_id="nobody's"), START),
    ),
    "policy": (ConcurrentChange, lambda uow: uow.policy.expect(-1)),
    "slug": (
        AlreadyTaken,
        stage_a_foreign_slug,
    ),
    "revocation list": (ConcurrentChange, lambda uow: uow.crls.add(a_revocation_list(9))),
}


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry that holds something of most kinds already."""
    runner.run(store(registry, stage_the_old))
    return registry


async def everything(registry: Registry) -> dict[str, object]:
    """Read all there is, in one unit."""
    return await look(registry, all_reads)


async def all_reads(uow: UnitOfWork) -> dict[str, object]:
    return {name: await read(uow) for name, read in READS.items()}


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("guard", GUARDS)
async def test_a_unit_one_of_whose_guards_fails_stores_nothing(
    registry: Registry, guard: str, place: str
) -> None:
    expected, stage_the_failing = GUARDS[guard]
    before = await everything(registry)

    def stage(uow: UnitOfWork) -> None:
        if place == "first":
            stage_the_failing(uow)
        stage_one_of_everything(uow)
        if place == "last":
            stage_the_failing(uow)

    with pytest.raises(expected):
        await store(registry, stage)

    assert await everything(registry) == before


@pytest.mark.parametrize("guard", GUARDS)
async def test_a_failing_unit_hurts_none_that_are_committed_at_the_same_moment(
    registry: Registry, guard: str
) -> None:
    expected, stage_the_failing = GUARDS[guard]
    before = await look(registry, lambda uow: uow.events.of_device(OLD.device_id))

    def stage(number: int) -> Write:
        def stage_one(uow: UnitOfWork) -> None:
            uow.devices.add(a_device(f"pump-{number}"))
            uow.attempts.add(an_attempt(100 + number))
            if number % 5 == 2:
                stage_the_failing(uow)
            uow.events.append(an_event(device_id=OLD.device_id, correlation_id=str(number)))

        return stage_one

    outcomes = await asyncio.gather(
        *[store(registry, stage(number)) for number in range(20)], return_exceptions=True
    )

    stored = [number for number in range(20) if number % 5 != 2]
    assert [number for number, outcome in enumerate(outcomes) if outcome is None] == stored
    assert {type(each) for each in outcomes if each is not None} == {expected}
    names = {each.name for each in await look(registry, lambda uow: uow.devices.list())}
    assert names == {"old", *(f"pump-{number}" for number in stored)}
    events = await look(registry, lambda uow: uow.events.of_device(OLD.device_id))
    assert {each.correlation_id for each in events} == {None, *map(str, stored)}
    assert len(events) == len(before) + len(stored)
    attempts = await look(registry, lambda uow: uow.attempts.list())
    assert {int(each.attempt_id, 16) for each in attempts} == {10, *(100 + one for one in stored)}


@pytest.mark.parametrize("kind", ["half a character: \ud800", "nothing: \x00", "facts"])
async def test_what_cannot_be_written_hurts_none_that_are_committed_at_the_same_moment(
    registry: Registry, kind: str
) -> None:
    async def add_the_odd() -> None:
        def stage(uow: UnitOfWork) -> None:
            uow.devices.add(a_device("odd", description=kind))
            if kind == "facts":
                uow.events.append(an_event(facts={"odd": {1, 2}}))

        await store(registry, stage)

    def stage(number: int) -> Write:
        return lambda uow: uow.devices.add(a_device(f"pump-{number}"))

    outcomes = await asyncio.gather(
        *[store(registry, stage(number)) for number in range(3)],
        add_the_odd(),
        *[store(registry, stage(number)) for number in range(3, 6)],
        return_exceptions=True,
    )

    assert [*outcomes[:3], *outcomes[4:]] == [None] * 6
    names = {each.name for each in await look(registry, lambda uow: uow.devices.list())}
    assert names - {"odd"} == {"old", *(f"pump-{number}" for number in range(6))}


async def test_a_unit_left_without_commit_changes_nothing(registry: Registry) -> None:
    before = await everything(registry)

    async with registry.unit_of_work() as uow:
        stage_one_of_everything(uow)

    assert await everything(registry) == before


async def test_a_unit_left_by_an_exception_changes_nothing(registry: Registry) -> None:
    before = await everything(registry)

    async def leave() -> None:
        async with registry.unit_of_work() as uow:
            await uow.devices.list()
            stage_one_of_everything(uow)
            raise LookupError

    with pytest.raises(LookupError):
        await leave()

    assert await everything(registry) == before


async def test_what_was_left_behind_is_not_committed_later(registry: Registry) -> None:
    before = await everything(registry)
    uow = registry.unit_of_work()
    async with uow:
        stage_one_of_everything(uow)

    async with uow:
        await uow.commit()

    assert await everything(registry) == before


async def test_what_a_failed_commit_staged_is_not_committed_later(registry: Registry) -> None:
    before = await everything(registry)
    async with registry.unit_of_work() as uow:
        stage_one_of_everything(uow)
        uow.policy.expect(-1)
        with pytest.raises(ConcurrentChange):
            await uow.commit()

        await uow.commit()

    assert await everything(registry) == before


async def test_committing_nothing_is_fine(registry: Registry) -> None:
    before = await everything(registry)

    async with registry.unit_of_work() as uow:
        await uow.commit()
        await uow.devices.list()
        await uow.commit()

    assert await everything(registry) == before


async def test_a_unit_may_commit_more_than_once(registry: Registry) -> None:
    async with registry.unit_of_work() as uow:
        uow.devices.add(a_device("pump-1"))
        await uow.commit()
        uow.devices.add(a_device("pump-2"))
        await uow.commit()

    names = [each.name for each in await look(registry, lambda uow: uow.devices.list())]
    assert names == ["old", "pump-1", "pump-2"]


async def test_every_kind_of_read_sees_what_was_committed(registry: Registry) -> None:
    before = await everything(registry)

    await store(registry, stage_one_of_everything)

    after = await everything(registry)
    assert [name for name in READS if after[name] == before[name]] == []


async def test_a_unit_does_not_see_its_own_staged_writes(registry: Registry) -> None:
    before = await everything(registry)

    async with registry.unit_of_work() as uow:
        stage_one_of_everything(uow)

        assert await all_reads(uow) == before


async def test_reads_see_one_moment_whatever_is_committed_meanwhile(registry: Registry) -> None:
    before = await everything(registry)
    async with registry.unit_of_work() as uow:
        await uow.access_keys.by_id("nobody's")

        await store(registry, stage_one_of_everything)

        assert await all_reads(uow) == before
        assert await all_reads(uow) == before


async def test_the_moment_is_that_of_the_first_read(registry: Registry) -> None:
    async with registry.unit_of_work() as uow:
        await store(registry, stage_one_of_everything)

        assert await uow.devices.by_id(NEW.device_id) == NEW


async def test_each_unit_has_its_own_moment(registry: Registry) -> None:
    units = []
    for number in range(6):
        uow = registry.unit_of_work()
        await uow.__aenter__()
        assert len(await uow.devices.list()) == number + 1
        units.append(uow)
        await store(registry, lambda uow: uow.devices.add(a_device(f"pump-{len(units)}")))

    seen = [len(await uow.devices.list()) for uow in units]
    for uow in units:
        await uow.__aexit__(None, None, None)

    assert seen == [1, 2, 3, 4, 5, 6]
    assert len(await look(registry, lambda uow: uow.devices.list())) == 7


async def test_units_in_flight_at_once_all_commit(registry: Registry) -> None:
    async def register(number: int) -> None:
        async with registry.unit_of_work() as uow:
            await uow.devices.by_reference(TENANT, f"pump-{number}")
            uow.devices.add(a_device(f"pump-{number}"))
            await uow.commit()
            assert await look(
                registry, lambda uow: uow.devices.by_reference(TENANT, f"pump-{number}")
            ) == a_device(f"pump-{number}")

    await asyncio.gather(*[register(number) for number in range(150)])

    assert len(await look(registry, lambda uow: uow.devices.list())) == 151


async def test_of_many_units_that_change_one_device_each_sees_the_one_before(
    registry: Registry,
) -> None:
    async def count() -> None:
        while True:
            async with registry.unit_of_work() as uow:
                device = await uow.devices.by_id(OLD.device_id)
                assert device is not None
                await asyncio.sleep(0)
                uow.devices.save(replace(device, description=f"{device.description or ''}x"))
                try:
                    await uow.commit()
                except ConcurrentChange:
                    continue
                return

    await asyncio.gather(*[count() for _ in range(12)])

    found = await look(registry, lambda uow: uow.devices.by_id(OLD.device_id))
    assert found is not None
    assert found.description == "x" * 12
    assert found.version == 13


async def test_who_stops_waiting_for_a_commit_hurts_nobody(registry: Registry) -> None:
    def stage(number: int) -> Write:
        return lambda uow: uow.devices.add(a_device(f"pump-{number}"))

    waiting = [asyncio.ensure_future(store(registry, stage(number))) for number in range(10)]
    await asyncio.sleep(0)
    for each in waiting[::2]:
        each.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    await store(registry, stage(99))

    names = {each.name for each in await look(registry, lambda uow: uow.devices.list())}
    assert all(outcome is None for outcome in outcomes[1::2])
    assert names >= {"old", "pump-99", *(f"pump-{number}" for number in range(1, 10, 2))}
