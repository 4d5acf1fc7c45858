"""The contract of `DecryptionKeyRepository`."""

import asyncio
from dataclasses import replace

import pytest

from enroll.failures import AlreadyTaken, ConcurrentChange, RegistryUnavailable
from enroll.key_generation import DecryptionKey
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import a_decryption_key, a_device
from tests.support.registries import look, store

ONE, OTHER = a_device("pump-1"), a_device("pump-2")


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with two devices."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(ONE)
        uow.devices.add(OTHER)

    runner.run(store(registry, stage))
    return registry


async def add(registry: Registry, *keys: DecryptionKey) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in keys:
            uow.decryption_keys.add(each)

    await store(registry, stage)


async def test_a_key_is_found_by_its_device_and_identifier(registry: Registry) -> None:
    mine, theirs = a_decryption_key(10), a_decryption_key(10, device_id=OTHER.device_id)
    await add(registry, a_decryption_key(11), mine, theirs)

    found = await look(registry, lambda uow: uow.decryption_keys.find(ONE.device_id, "0a"))
    every = await look(registry, lambda uow: uow.decryption_keys.of_device(ONE.device_id))
    none = await look(registry, lambda uow: uow.decryption_keys.find(OTHER.device_id, "0b"))

    assert found == mine
    assert [each.key_identifier for each in every] == ["0a", "0b"]
    assert none is None


async def test_a_device_has_one_key_of_a_name(registry: Registry) -> None:
    await add(registry, a_decryption_key(10))

    with pytest.raises(AlreadyTaken, match="key identifier"):
        await add(registry, replace(a_decryption_key(10), wrapped=b"another"))

    found = await look(registry, lambda uow: uow.decryption_keys.find(ONE.device_id, "0a"))
    assert found == a_decryption_key(10)


async def test_a_key_of_nobody_is_not_stored(registry: Registry) -> None:
    with pytest.raises(RegistryUnavailable):
        await add(registry, a_decryption_key(device_id="00000000-0000-0000-0000-000000000000"))


async def test_a_removed_key_is_gone_and_its_name_is_free(registry: Registry) -> None:
    await add(registry, a_decryption_key(10), a_decryption_key(10, device_id=OTHER.device_id))

    await store(registry, lambda uow: uow.decryption_keys.remove(a_decryption_key(10)))

    assert not await look(registry, lambda uow: uow.decryption_keys.of_device(ONE.device_id))
    assert await look(registry, lambda uow: uow.decryption_keys.of_device(OTHER.device_id))
    await add(registry, a_decryption_key(10))


async def test_what_is_not_there_is_not_removed(registry: Registry) -> None:
    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.decryption_keys.remove(a_decryption_key(10)))
