"""The contract of `TransactionRepository`."""

import asyncio
from datetime import timedelta

import pytest

from enroll.ports import Registry, Transaction, UnitOfWork
from tests.support.builders import a_device, a_hash, a_transaction, an_id
from tests.support.fakes import START
from tests.support.registries import look, store

OTHER = a_device("pump-2")


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with two devices."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(a_device())
        uow.devices.add(OTHER)

    runner.run(store(registry, stage))
    return registry


async def add(registry: Registry, *transactions: Transaction) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in transactions:
            uow.transactions.add(each)

    await store(registry, stage)


async def find(registry: Registry, like: Transaction) -> Transaction | None:
    return await look(
        registry,
        lambda uow: uow.transactions.find(
            like.device_id, like.profile, like.spki_sha256, like.credential_id
        ),
    )


@pytest.mark.parametrize(
    "other",
    [
        a_transaction(device_id=OTHER.device_id),
        a_transaction(profile="operational"),
        a_transaction(spki_sha256=a_hash("key 2")),
        a_transaction(credential_id=an_id("code 2")),
    ],
    ids=["device", "profile", "key", "credential"],
)
async def test_a_request_that_differs_in_one_thing_is_another(
    registry: Registry, other: Transaction
) -> None:
    await add(registry, a_transaction())

    assert await find(registry, other) is None


async def test_each_request_has_its_own_answer(registry: Registry) -> None:
    one = a_transaction(fingerprint=a_hash("one"))
    other = a_transaction(device_id=OTHER.device_id, fingerprint=a_hash("other"))

    await add(registry, one, other)

    assert await find(registry, one) == one
    assert await find(registry, other) == other


async def test_the_newest_answer_of_a_request_is_found(registry: Registry) -> None:
    answers = [
        a_transaction(fingerprint=a_hash(str(hour)), created_at=START + timedelta(hours=hour))
        for hour in (1, 3, 2)
    ]

    for each in answers:
        await add(registry, each)

    assert await find(registry, a_transaction()) == answers[1]
