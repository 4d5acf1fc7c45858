"""The contract of `CertificateRepository`."""

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationReason,
    RevokedEntry,
)
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from enroll.profiles import CertificateClass
from tests.support.builders import a_certificate_record, a_device, a_hash, revoked
from tests.support.fakes import START
from tests.support.registries import look, store

ONE, OTHER = a_device("pump-1"), a_device("pump-2")
HOUR = timedelta(hours=1)
LIVE = (CertificateStatus.ACTIVE, CertificateStatus.PENDING_CONFIRM, CertificateStatus.ON_HOLD)


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with two devices."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(ONE)
        uow.devices.add(OTHER)

    runner.run(store(registry, stage))
    return registry


async def add(registry: Registry, *records: CertificateRecord) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in records:
            uow.certificates.add(each)

    await store(registry, stage)


async def save(registry: Registry, now: CertificateRecord, *, was: CertificateRecord) -> None:
    await store(registry, lambda uow: uow.certificates.save(now, was=was))


async def read(registry: Registry, record: CertificateRecord) -> CertificateRecord | None:
    return await look(registry, lambda uow: uow.certificates.by_fingerprint(record.fingerprint))


def superseded(record: CertificateRecord, **changes: object) -> CertificateRecord:
    values = {"status": CertificateStatus.SUPERSEDED, "superseded_at": START, **changes}
    return replace(record, **values)  # type: ignore[arg-type]  # the changes are a test's own


def held(record: CertificateRecord) -> CertificateRecord:
    reason = RevocationReason.CERTIFICATE_HOLD
    status = CertificateStatus.ON_HOLD
    return replace(
        revoked(record, reason), status=status, held_by="cli:me", revocation_transaction="ab"
    )


def entry(record: CertificateRecord) -> RevokedEntry:
    assert record.revoked_at is not None
    assert record.revocation_reason is not None
    return RevokedEntry(
        serial_number=record.serial_number,
        revoked_at=record.revoked_at,
        reason=record.revocation_reason,
    )


async def test_a_serial_number_used_by_the_issuer_is_refused(registry: Registry) -> None:
    first = a_certificate_record(1)
    await add(registry, first)
    second = a_certificate_record(2, device=OTHER, serial_number=first.serial_number)

    with pytest.raises(AlreadyTaken) as refusal:
        await add(registry, second)

    assert (refusal.value.what, refusal.value.value) == ("serial_number", first.serial_number)
    assert await read(registry, second) is None
    assert await look(registry, lambda uow: uow.certificates.of_device(OTHER.device_id)) == []


async def test_the_same_certificate_is_refused_twice(registry: Registry) -> None:
    await add(registry, a_certificate_record())

    with pytest.raises(AlreadyTaken):
        await add(registry, a_certificate_record())

    assert len(await look(registry, lambda uow: uow.certificates.list())) == 1


async def test_of_two_units_at_once_one_gets_the_serial_number(registry: Registry) -> None:
    outcomes = await asyncio.gather(
        add(registry, a_certificate_record(1, serial_number="5e")),
        add(registry, a_certificate_record(2, serial_number="5e")),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if each is not None] == [AlreadyTaken]
    assert len(await look(registry, lambda uow: uow.certificates.by_serial("5e"))) == 1


async def test_a_credential_gets_one_certificate_in_an_exchange(registry: Registry) -> None:
    first = a_certificate_record(1, transaction="ab", credential_id="c" * 64)
    await add(registry, first)

    with pytest.raises(AlreadyTaken):
        await add(
            registry, replace(a_certificate_record(2), transaction="ab", credential_id="c" * 64)
        )
    await add(registry, replace(a_certificate_record(3), transaction="ab", credential_id="d" * 64))
    await add(registry, replace(a_certificate_record(4), transaction="cd", credential_id="c" * 64))

    found = await look(registry, lambda uow: uow.certificates.by_transaction("ab"))
    assert {each.credential_id for each in found} == {"c" * 64, "d" * 64}


async def test_of_two_units_at_once_one_gets_the_exchange(registry: Registry) -> None:
    outcomes = await asyncio.gather(
        *(
            add(registry, replace(a_certificate_record(each), transaction="ab", credential_id="c"))
            for each in (1, 2)
        ),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if each is not None] == [AlreadyTaken]


async def test_certificates_of_no_exchange_are_as_many_as_one_likes(registry: Registry) -> None:
    for each in (1, 2):
        await add(
            registry, replace(a_certificate_record(each), credential_id="c", transaction=None)
        )

    assert len(await look(registry, lambda uow: uow.certificates.list())) == 2


@pytest.mark.parametrize("meanwhile", sorted(set(CertificateStatus) - {CertificateStatus.ACTIVE}))
async def test_a_status_changed_meanwhile_is_a_concurrent_change(
    registry: Registry, meanwhile: CertificateStatus
) -> None:
    record = a_certificate_record()
    changed = replace(
        record,
        status=meanwhile,
        revoked_at=START,
        revocation_reason=RevocationReason.UNSPECIFIED,
    )
    await add(registry, record)
    async with registry.unit_of_work() as uow:
        was = await uow.certificates.by_fingerprint(record.fingerprint)
        assert was is not None
        await save(registry, changed, was=record)
        uow.certificates.save(superseded(was), was=was)

        with pytest.raises(ConcurrentChange):
            await uow.commit()

    assert await read(registry, record) == changed


async def test_saving_an_unknown_certificate_is_refused(registry: Registry) -> None:
    record = a_certificate_record()

    with pytest.raises(ConcurrentChange):
        await save(registry, superseded(record), was=record)

    assert await read(registry, record) is None


async def test_of_two_units_at_once_one_changes_the_status(registry: Registry) -> None:
    record = a_certificate_record()
    await add(registry, record)

    outcomes = await asyncio.gather(
        save(registry, superseded(record), was=record),
        save(registry, revoked(record), was=record),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if each is not None] == [ConcurrentChange]
    expected = superseded(record) if outcomes[0] is None else revoked(record)
    assert await read(registry, record) == expected


async def test_a_serial_number_is_free_at_another_issuer(registry: Registry) -> None:
    one = a_certificate_record(1, serial_number="5e", issuer="issuing")
    other = a_certificate_record(2, serial_number="5e", issuer="issuing-2")

    await add(registry, one, other)

    found = await look(registry, lambda uow: uow.certificates.by_serial("5e"))
    assert sorted(found, key=lambda record: record.issuer) == [one, other]


@pytest.mark.parametrize("serial_number", ["5E", "05e", "5", ""])
async def test_a_serial_number_is_found_as_it_is_written(
    registry: Registry, serial_number: str
) -> None:
    await add(registry, a_certificate_record(serial_number="5e"))

    assert await look(registry, lambda uow: uow.certificates.by_serial(serial_number)) == []


async def test_a_certificate_comes_back_as_it_was_stored(registry: Registry) -> None:
    record = a_certificate_record(
        issuer="issuing-ü",
        serial_number="7" + "f" * 39,
        profile="profile-ß",
        certificate_class=CertificateClass.OPERATIONAL,
        certificate_profile="Profile №1",
        certificate_profile_version=2**31 - 1,
        der=bytes(range(256)) * 400,
        not_valid_before=START - timedelta(minutes=5),
        not_valid_after=START + timedelta(days=36_500),
        status=CertificateStatus.REVOKED,
        issued_at=START + timedelta(microseconds=1),
        confirmed_at=START + timedelta(microseconds=2),
        superseded_at=START + timedelta(microseconds=3),
        revoked_at=START + timedelta(microseconds=4),
        revocation_reason=RevocationReason.KEY_COMPROMISE,
        held_by="cli:jörg",
        revocation_transaction="00" * 64,
    )

    await add(registry, record)

    assert await read(registry, record) == record


async def test_what_a_certificate_need_not_have_may_be_missing(registry: Registry) -> None:
    record = a_certificate_record(
        device_id=None,
        credential_id=None,
        attempt_id=None,
        confirmed_at=None,
        certificate_class=CertificateClass.SERVICE,
    )

    await add(registry, record)

    assert await read(registry, record) == record


async def test_saving_changes_the_status_and_its_dates(registry: Registry) -> None:
    record = a_certificate_record(status=CertificateStatus.PENDING_CONFIRM, confirmed_at=None)
    await add(registry, record)
    changed = replace(
        record,
        status=CertificateStatus.REVOKED,
        confirmed_at=START + HOUR,
        superseded_at=START + 2 * HOUR,
        revoked_at=START + 3 * HOUR,
        revocation_reason=RevocationReason.CESSATION_OF_OPERATION,
    )

    await save(registry, changed, was=record)

    assert await read(registry, record) == changed


async def test_saving_takes_dates_away_again(registry: Registry) -> None:
    record = held(a_certificate_record())
    await add(registry, record)
    released = a_certificate_record()

    await save(registry, released, was=record)

    assert await read(registry, record) == released


async def test_saving_keeps_what_was_signed(registry: Registry) -> None:
    record = a_certificate_record()
    await add(registry, record)
    forged = replace(
        superseded(record),
        serial_number="1",
        device_id=OTHER.device_id,
        profile="operational",
        der=b"forged",
        not_valid_after=START,
        spki_sha256=a_hash("forged"),
    )

    await save(registry, forged, was=record)

    assert await read(registry, record) == superseded(record)


async def test_a_certificate_can_change_twice_in_one_unit(registry: Registry) -> None:
    record = a_certificate_record(status=CertificateStatus.PENDING_CONFIRM)
    active = replace(record, status=CertificateStatus.ACTIVE)
    await add(registry, record)

    def stage(uow: UnitOfWork) -> None:
        uow.certificates.save(active, was=record)
        uow.certificates.save(superseded(active), was=active)

    await store(registry, stage)

    assert await read(registry, record) == superseded(active)


@pytest.mark.parametrize("status", CertificateStatus)
async def test_a_certificate_is_live_by_its_status(
    registry: Registry, status: CertificateStatus
) -> None:
    record = a_certificate_record(1, status=status, not_valid_after=START)
    await add(registry, record, a_certificate_record(2, device=OTHER))

    found = await look(registry, lambda uow: uow.certificates.live_of(ONE.device_id))

    assert found == ([record] if status in LIVE else [])


async def test_a_devices_certificates_come_newest_first(registry: Registry) -> None:
    records = [
        a_certificate_record(number, issued_at=START + number * HOUR, status=status)
        for number, status in zip((3, 1, 5, 2, 4), CertificateStatus, strict=True)
    ]
    foreign = a_certificate_record(6, device=OTHER)
    servers_own = a_certificate_record(7, device_id=None, issued_at=START - HOUR)
    await add(registry, *records, foreign, servers_own)

    of_device = await look(registry, lambda uow: uow.certificates.of_device(ONE.device_id))
    everything = await look(registry, lambda uow: uow.certificates.list())

    newest_first = sorted(records, key=lambda record: record.issued_at, reverse=True)
    assert of_device == newest_first
    assert everything == [*newest_first, foreign, servers_own]


async def test_certificates_issued_at_one_moment_come_in_a_fixed_order(
    registry: Registry,
) -> None:
    records = [a_certificate_record(number) for number in range(20)]
    await add(registry, *records)

    found = await look(registry, lambda uow: uow.certificates.of_device(ONE.device_id))

    assert found == sorted(records, key=lambda record: record.fingerprint)


async def test_those_wait_for_confirmation_that_were_issued_before(registry: Registry) -> None:
    waiting = [
        a_certificate_record(
            number, status=CertificateStatus.PENDING_CONFIRM, issued_at=START + number * HOUR
        )
        for number in (1, 2, 3)
    ]
    await add(registry, *waiting, a_certificate_record(4, issued_at=START))
    there = timezone(timedelta(hours=-9, minutes=-30))
    before = (START + 3 * HOUR).astimezone(there)

    found = await look(registry, lambda uow: uow.certificates.pending_since(before))

    assert sorted(found, key=lambda record: record.issued_at) == waiting[:2]


async def test_a_slots_superseded_certificates_are_found_if_older_and_unexpired(
    registry: Registry,
) -> None:
    before = START + 10 * HOUR
    old = superseded(a_certificate_record(1), superseded_at=before - timedelta(microseconds=1))
    await add(
        registry,
        old,
        superseded(a_certificate_record(2), superseded_at=before),
        superseded(a_certificate_record(3), profile="operational"),
        superseded(a_certificate_record(4), not_valid_after=before),
        superseded(a_certificate_record(5), status=CertificateStatus.REVOKED),
        a_certificate_record(6),
    )

    found = await look(
        registry, lambda uow: uow.certificates.superseded_before("bootstrap", before)
    )

    assert found == [old]


async def test_those_are_listed_as_revoked_that_are_so_and_unexpired(registry: Registry) -> None:
    now = START + 10 * HOUR
    later = replace(revoked(a_certificate_record(1)), revoked_at=START + HOUR)
    earlier = revoked(a_certificate_record(2), RevocationReason.KEY_COMPROMISE)
    on_hold = held(a_certificate_record(3))
    last_moment = replace(revoked(a_certificate_record(4)), not_valid_after=now)
    servers_own = revoked(a_certificate_record(5, device_id=None))
    await add(
        registry,
        later,
        earlier,
        on_hold,
        last_moment,
        servers_own,
        replace(revoked(a_certificate_record(6)), not_valid_after=now - timedelta(microseconds=1)),
        revoked(a_certificate_record(7, issuer="issuing-2")),
        superseded(a_certificate_record(8)),
        a_certificate_record(9),
    )

    found = await look(registry, lambda uow: uow.certificates.revoked("issuing", now))

    assert found == [entry(each) for each in (earlier, on_hold, last_moment, servers_own, later)]


async def test_nothing_was_issued_last_where_nothing_was_issued(registry: Registry) -> None:
    assert await look(registry, lambda uow: uow.certificates.last_issued_at()) is None


async def test_the_last_issuance_is_that_of_the_newest_certificate_of_all(
    registry: Registry,
) -> None:
    await add(
        registry,
        a_certificate_record(1, issued_at=START + HOUR),
        a_certificate_record(2, issued_at=START + 3 * HOUR, device_id=None),
        a_certificate_record(3, issued_at=START + 2 * HOUR, device=OTHER),
    )

    last = await look(registry, lambda uow: uow.certificates.last_issued_at())

    assert last == START + 3 * HOUR


async def test_a_certificate_is_found_by_the_exchange_that_gave_it_last(
    registry: Registry,
) -> None:
    waiting = a_certificate_record(
        1,
        status=CertificateStatus.PENDING_CONFIRM,
        confirmed_at=None,
        transaction="ab" * 128,
        confirm_until=START + timedelta(days=1),
    )
    await add(registry, waiting)
    await add(registry, a_certificate_record(2, device=OTHER))
    later = replace(waiting, transaction="cd")

    before = await look(registry, lambda uow: uow.certificates.by_transaction("ab" * 128))
    await store(registry, lambda uow: uow.certificates.save(later, was=waiting))

    assert before == [waiting]
    assert await look(registry, lambda uow: uow.certificates.by_transaction("cd")) == [later]
    assert await look(registry, lambda uow: uow.certificates.by_transaction("ab" * 128)) == []
