from enroll.ports import Registry
from tests.support.builders import an_access_key
from tests.support.registries import look, store


async def test_an_access_key_that_is_not_there_is_not_found(registry: Registry) -> None:
    await store(registry, lambda uow: uow.access_keys.add(an_access_key(key_id="k1")))

    assert await look(registry, lambda uow: uow.access_keys.by_id("K1")) is None
    assert await look(registry, lambda uow: uow.access_keys.by_id("")) is None


async def test_an_access_key_comes_back_as_it_was_stored(registry: Registry) -> None:
    key = an_access_key(key_id="k1", name="Wärter", role="operator", digest=bytes(range(32)))

    await store(registry, lambda uow: uow.access_keys.add(key))

    assert await look(registry, lambda uow: uow.access_keys.by_id("k1")) == key
