"""The contract of `KeyRepository`."""

import asyncio

import pytest

from enroll.failures import AlreadyTaken
from enroll.ports import DeviceKey, Registry, UnitOfWork
from tests.support.builders import a_device, a_hash
from tests.support.fakes import START
from tests.support.registries import look, store

KEY = a_hash("key 1")
ONE, OTHER = a_device("pump-1"), a_device("pump-2")


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with two devices."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(ONE)
        uow.devices.add(OTHER)

    runner.run(store(registry, stage))
    return registry


async def claim(registry: Registry, key: str, device_id: str) -> None:
    await store(registry, lambda uow: uow.keys.claim(key, device_id, START))


async def condemn(registry: Registry, key: str) -> None:
    await store(registry, lambda uow: uow.keys.condemn(key, START))


async def find(registry: Registry, key: str) -> DeviceKey | None:
    return await look(registry, lambda uow: uow.keys.find(key))


async def test_another_devices_key_is_refused(registry: Registry) -> None:
    await claim(registry, KEY, ONE.device_id)

    with pytest.raises(AlreadyTaken) as refusal:
        await claim(registry, KEY, OTHER.device_id)

    assert (refusal.value.what, refusal.value.value) == ("public_key", KEY)
    found = await find(registry, KEY)
    assert found is not None
    assert found.device_id == ONE.device_id


async def test_a_compromised_key_is_refused_to_its_own_device(registry: Registry) -> None:
    await claim(registry, KEY, ONE.device_id)
    await condemn(registry, KEY)

    with pytest.raises(AlreadyTaken) as refusal:
        await claim(registry, KEY, ONE.device_id)

    assert (refusal.value.what, refusal.value.value) == ("public_key", KEY)


async def test_a_compromised_key_that_was_never_seen_is_refused(registry: Registry) -> None:
    await condemn(registry, KEY)

    with pytest.raises(AlreadyTaken):
        await claim(registry, KEY, ONE.device_id)

    found = await find(registry, KEY)
    assert found == DeviceKey(spki_sha256=KEY, device_id=None, compromised=True)


async def test_a_key_claimed_and_condemned_in_one_unit_is_compromised(registry: Registry) -> None:
    def stage(uow: UnitOfWork) -> None:
        uow.keys.claim(KEY, ONE.device_id, START)
        uow.keys.condemn(KEY, START)

    await store(registry, stage)

    found = await find(registry, KEY)
    assert found is not None
    assert found.compromised


async def test_a_key_condemned_before_its_claim_in_one_unit_is_refused(registry: Registry) -> None:
    def stage(uow: UnitOfWork) -> None:
        uow.keys.condemn(KEY, START)
        uow.keys.claim(KEY, ONE.device_id, START)

    with pytest.raises(AlreadyTaken):
        await store(registry, stage)

    assert await find(registry, KEY) is None


async def test_of_two_units_at_once_one_gets_the_key(registry: Registry) -> None:
    outcomes = await asyncio.gather(
        claim(registry, KEY, ONE.device_id),
        claim(registry, KEY, OTHER.device_id),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if each is not None] == [AlreadyTaken]
    found = await find(registry, KEY)
    assert found is not None
    assert found.device_id == (ONE if outcomes[0] is None else OTHER).device_id


async def test_a_condemned_key_is_lost_to_a_unit_that_saw_it_unclaimed(
    registry: Registry,
) -> None:
    async with registry.unit_of_work() as uow:
        assert await uow.keys.find(KEY) is None
        await condemn(registry, KEY)
        uow.keys.claim(KEY, ONE.device_id, START)

        with pytest.raises(AlreadyTaken):
            await uow.commit()


async def test_an_unclaimed_key_is_not_found(registry: Registry) -> None:
    await claim(registry, KEY, ONE.device_id)

    assert await find(registry, a_hash("key 2")) is None
    assert await find(registry, KEY.upper()) is None


async def test_a_key_may_be_claimed_again_by_its_device(registry: Registry) -> None:
    await claim(registry, KEY, ONE.device_id)

    await claim(registry, KEY, ONE.device_id)

    assert await find(registry, KEY) == DeviceKey(
        spki_sha256=KEY, device_id=ONE.device_id, compromised=False
    )


async def test_a_device_may_have_many_keys(registry: Registry) -> None:
    keys = [a_hash(f"key {number}") for number in range(5)]

    def stage(uow: UnitOfWork) -> None:
        for key in keys:
            uow.keys.claim(key, ONE.device_id, START)

    await store(registry, stage)

    for key in keys:
        found = await find(registry, key)
        assert found is not None
        assert found.device_id == ONE.device_id


async def test_a_key_stays_compromised_when_condemned_again(registry: Registry) -> None:
    await condemn(registry, KEY)

    await condemn(registry, KEY)

    found = await find(registry, KEY)
    assert found is not None
    assert found.compromised
