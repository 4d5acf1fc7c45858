"""The contract of `RevocationListRepository`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationList,
    RevocationReason,
)
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import (
    a_certificate_record,
    a_device,
    a_revocation_list,
    an_event,
    revoked,
)
from tests.support.fakes import START
from tests.support.registries import look, store

RECORD = a_certificate_record()
HELD = replace(revoked(RECORD), status=CertificateStatus.ON_HOLD)
WAITING = replace(RECORD, status=CertificateStatus.PENDING_CONFIRM)
SUPERSEDED = replace(RECORD, status=CertificateStatus.SUPERSEDED, superseded_at=START)


async def add(registry: Registry, crl: RevocationList) -> None:
    await store(registry, lambda uow: uow.crls.add(crl))


async def latest(registry: Registry, issuer: str = "issuing") -> RevocationList | None:
    return await look(registry, lambda uow: uow.crls.latest(issuer))


async def version(registry: Registry) -> int:
    return await look(registry, lambda uow: uow.crls.version())


async def have(registry: Registry, record: CertificateRecord) -> None:
    """Store a device, and this certificate of it."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(a_device())
        uow.certificates.add(record)

    await store(registry, stage)


@pytest.mark.parametrize("number", [0, 1, 3, 4, -1])
async def test_a_number_that_is_not_the_next_is_refused(registry: Registry, number: int) -> None:
    await add(registry, a_revocation_list(1))

    with pytest.raises(ConcurrentChange):
        await add(registry, a_revocation_list(number))

    assert await latest(registry) == a_revocation_list(1)


@pytest.mark.parametrize("number", [0, 2])
async def test_the_first_number_is_one(registry: Registry, number: int) -> None:
    with pytest.raises(ConcurrentChange):
        await add(registry, a_revocation_list(number))

    assert await latest(registry) is None


async def test_of_two_units_at_once_one_makes_the_next_list(registry: Registry) -> None:
    lists = [a_revocation_list(1, der=b"one"), a_revocation_list(1, der=b"other")]

    outcomes = await asyncio.gather(
        *[add(registry, each) for each in lists], return_exceptions=True
    )

    assert [type(each) for each in outcomes if each is not None] == [ConcurrentChange]
    assert await latest(registry) == lists[outcomes.index(None)]


async def test_the_latest_list_comes_back_as_it_was_stored(registry: Registry) -> None:
    await add(registry, a_revocation_list(1))
    second = a_revocation_list(
        2,
        der=bytes(range(256)) * 5_000,
        this_update=START + timedelta(microseconds=1),
        next_update=START + timedelta(days=400),
        revocation_version=17,
    )

    await add(registry, second)

    assert await latest(registry) == second


async def test_each_issuer_counts_for_itself(registry: Registry) -> None:
    root = a_revocation_list(1, issuer="root")
    await add(registry, a_revocation_list(1))
    await add(registry, a_revocation_list(2))

    await add(registry, root)

    assert await latest(registry, "root") == root
    assert await latest(registry) == a_revocation_list(2)
    assert await latest(registry, "nobody") is None


async def test_two_lists_made_in_one_unit_follow_each_other(registry: Registry) -> None:
    def stage(uow: UnitOfWork) -> None:
        uow.crls.add(a_revocation_list(1))
        uow.crls.add(a_revocation_list(2))

    await store(registry, stage)

    assert await latest(registry) == a_revocation_list(2)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (RECORD, revoked(RECORD)),
        (RECORD, HELD),
        (WAITING, revoked(WAITING)),
        (SUPERSEDED, revoked(SUPERSEDED)),
        (HELD, RECORD),
        (HELD, revoked(RECORD)),
        (revoked(RECORD), revoked(RECORD, RevocationReason.KEY_COMPROMISE)),
    ],
    ids=[
        "revoked",
        "held",
        "never used",
        "superseded",
        "released",
        "held, then revoked",
        "for another reason",
    ],
)
async def test_what_changes_the_list_is_counted(
    registry: Registry, was: CertificateRecord, now: CertificateRecord
) -> None:
    await have(registry, was)
    before = await version(registry)

    await store(registry, lambda uow: uow.certificates.save(now, was=was))

    assert await version(registry) == before + 1


@pytest.mark.parametrize(
    ("was", "now"), [(WAITING, RECORD), (RECORD, SUPERSEDED)], ids=["confirmed", "superseded"]
)
async def test_what_leaves_the_list_as_it_was_is_not_counted(
    registry: Registry, was: CertificateRecord, now: CertificateRecord
) -> None:
    await have(registry, was)

    await store(registry, lambda uow: uow.certificates.save(now, was=was))

    assert await version(registry) == 0


async def test_a_revocation_that_failed_is_not_counted(registry: Registry) -> None:
    await have(registry, RECORD)

    def stage(uow: UnitOfWork) -> None:
        uow.certificates.save(revoked(RECORD), was=RECORD)
        uow.events.append(an_event())
        uow.certificates.add(RECORD)

    with pytest.raises(AlreadyTaken):
        await store(registry, stage)

    assert await version(registry) == 0


async def test_a_version_is_read_at_the_moment_of_the_unit(registry: Registry) -> None:
    await have(registry, RECORD)
    async with registry.unit_of_work() as uow:
        before = await uow.crls.version()
        await store(registry, lambda uow: uow.certificates.save(revoked(RECORD), was=RECORD))

        assert await uow.crls.version() == before
        assert await uow.certificates.revoked("issuing", START) == []

    assert await version(registry) == before + 1
