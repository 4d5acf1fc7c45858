from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from enroll.failures import ConcurrentChange
from enroll.ports import AccessKey, Registry, UnitOfWork
from tests.support.builders import an_access_key
from tests.support.fakes import START
from tests.support.registries import look, store


async def test_an_access_key_that_is_not_there_is_not_found(registry: Registry) -> None:
    await store(registry, lambda uow: uow.access_keys.add(an_access_key(key_id="k1")))

    assert await look(registry, lambda uow: uow.access_keys.by_id("K1")) is None
    assert await look(registry, lambda uow: uow.access_keys.by_id("")) is None


async def test_an_access_key_comes_back_as_it_was_stored(registry: Registry) -> None:
    key = an_access_key(key_id="k1", name="Wärter", role="operator", digest=bytes(range(32)))

    await store(registry, lambda uow: uow.access_keys.add(key))

    assert await look(registry, lambda uow: uow.access_keys.by_id("k1")) == key


def add(uow: UnitOfWork, key: AccessKey) -> None:
    uow.access_keys.add(key)


async def test_access_keys_are_listed_oldest_first(registry: Registry) -> None:
    keys = [
        an_access_key(key_id="k2", created_at=START),
        an_access_key(key_id="k1", created_at=START + timedelta(days=1)),
        an_access_key(key_id="k3", created_at=START),
    ]

    for each in keys:
        await store(registry, partial(add, key=each))

    listed = await look(registry, lambda uow: uow.access_keys.list())
    assert [each.key_id for each in listed] == ["k2", "k3", "k1"]


async def test_a_revoked_access_key_stays_revoked_since_the_first_time(registry: Registry) -> None:
    key = an_access_key(key_id="k1", expires_at=START + timedelta(days=1))
    await store(registry, lambda uow: uow.access_keys.add(key))

    await store(registry, lambda uow: uow.access_keys.revoke(key, START))
    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.access_keys.revoke(key, START + timedelta(hours=1)))

    found = await look(registry, lambda uow: uow.access_keys.by_id("k1"))
    assert found == replace(key, revoked_at=START)
