"""The contract of `TallyRepository`."""

import asyncio

import pytest

from enroll.failures import ConcurrentChange
from enroll.ports import Registry
from enroll.tallies import newcomers_of, uses_of
from tests.support.builders import an_id
from tests.support.registries import look, store

NAME = uses_of(an_id("secret"))
TODAY, TOMORROW = "2026-01-01", "2026-01-02"


async def take(registry: Registry, *, most: int, name: str = NAME, period: str = "") -> None:
    await store(registry, lambda uow: uow.tallies.take(name, most=most, period=period))


async def count(registry: Registry, name: str = NAME, period: str = "") -> int:
    return await look(registry, lambda uow: uow.tallies.read(name, period))


async def test_no_more_is_taken_than_there_may_be(registry: Registry) -> None:
    await take(registry, most=2)
    await take(registry, most=2)

    with pytest.raises(ConcurrentChange):
        await take(registry, most=2)

    assert await count(registry) == 2


async def test_of_many_at_once_as_many_go_through_as_there_may_be(registry: Registry) -> None:
    taken = (take(registry, most=3) for _ in range(10))

    outcomes = await asyncio.gather(*taken, return_exceptions=True)

    assert outcomes.count(None) == 3
    assert sum(isinstance(each, ConcurrentChange) for each in outcomes) == 7
    assert await count(registry) == 3


async def test_what_is_refused_leaves_nothing_else_of_its_unit(registry: Registry) -> None:
    other = newcomers_of(an_id("group"))
    await take(registry, most=1)

    async with registry.unit_of_work() as uow:
        uow.tallies.take(other, most=9)
        uow.tallies.take(NAME, most=1)
        with pytest.raises(ConcurrentChange):
            await uow.commit()

    assert await count(registry, other) == 0


async def test_a_later_period_begins_anew_and_an_earlier_one_does_not(registry: Registry) -> None:
    await take(registry, most=1, period=TODAY)
    await take(registry, most=1, period=TOMORROW)

    with pytest.raises(ConcurrentChange):
        await take(registry, most=1, period=TODAY)

    assert await count(registry, period=TOMORROW) == 1
    assert await count(registry, period="9999-12-31") == 0


async def test_a_raised_limit_lets_more_through(registry: Registry) -> None:
    await take(registry, most=1)

    await take(registry, most=2)

    assert await count(registry) == 2


async def test_a_tally_that_is_forgotten_begins_anew(registry: Registry) -> None:
    await take(registry, most=1)

    await store(registry, lambda uow: uow.tallies.forget(NAME))
    await store(registry, lambda uow: uow.tallies.forget(NAME))

    assert await count(registry) == 0
    await take(registry, most=1)
