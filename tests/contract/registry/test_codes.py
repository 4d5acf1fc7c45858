"""The contract of `CodeRepository`."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from enroll.credentials import OneTimeCode
from enroll.failures import ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import a_code, a_device
from tests.support.fakes import START
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


async def add(registry: Registry, *codes: OneTimeCode) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in codes:
            uow.codes.add(each)

    await store(registry, stage)


async def consume(registry: Registry, code: OneTimeCode, at: datetime = START) -> None:
    await store(registry, lambda uow: uow.codes.consume(code, at))


async def revoke(registry: Registry, code: OneTimeCode, at: datetime = START) -> None:
    await store(registry, lambda uow: uow.codes.revoke(code, at))


async def read(registry: Registry, code: OneTimeCode) -> OneTimeCode:
    found = await look(registry, lambda uow: uow.codes.of_device(code.device_id))
    return {each.code_id: each for each in found}[code.code_id]


async def test_a_code_used_up_between_read_and_commit_is_refused(registry: Registry) -> None:
    await add(registry, a_code())
    async with registry.unit_of_work() as uow:
        (code,) = await uow.codes.of_device(ONE.device_id)
        await consume(registry, code)
        uow.codes.consume(code, START)

        with pytest.raises(ConcurrentChange):
            await uow.commit()

    assert (await read(registry, code)).uses == 1


async def test_a_code_revoked_between_read_and_commit_is_refused(registry: Registry) -> None:
    await add(registry, a_code(max_uses=2))
    async with registry.unit_of_work() as uow:
        (code,) = await uow.codes.of_device(ONE.device_id)
        await revoke(registry, code)
        uow.codes.consume(code, START)

        with pytest.raises(ConcurrentChange):
            await uow.commit()

    assert (await read(registry, code)).uses == 0


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(days=9)])
async def test_a_code_that_expires_between_read_and_commit_is_refused(
    registry: Registry, late: timedelta
) -> None:
    code = a_code()
    await add(registry, code)

    with pytest.raises(ConcurrentChange):
        await consume(registry, code, code.expires_at + late)

    assert (await read(registry, code)).uses == 0


async def test_a_code_whose_uses_were_counted_meanwhile_is_refused_though_some_are_left(
    registry: Registry,
) -> None:
    code = a_code(max_uses=3)
    await add(registry, code)
    await consume(registry, code)

    with pytest.raises(ConcurrentChange):
        await consume(registry, code)

    assert (await read(registry, code)).uses == 1


async def test_a_used_up_code_read_as_it_is_is_refused(registry: Registry) -> None:
    code = a_code(max_uses=1)
    await add(registry, code)
    await consume(registry, code)

    with pytest.raises(ConcurrentChange):
        await consume(registry, replace(code, uses=1))


async def test_an_unknown_code_is_refused(registry: Registry) -> None:
    with pytest.raises(ConcurrentChange):
        await consume(registry, a_code())
    with pytest.raises(ConcurrentChange):
        await revoke(registry, a_code())


async def test_a_code_revoked_already_is_not_revoked_again(registry: Registry) -> None:
    code = a_code()
    await add(registry, code)
    await revoke(registry, code, START + timedelta(hours=1))

    with pytest.raises(ConcurrentChange):
        await revoke(registry, code, START + timedelta(hours=2))

    assert (await read(registry, code)).revoked_at == START + timedelta(hours=1)


async def test_a_code_stored_as_revoked_is_revoked(registry: Registry) -> None:
    code = a_code(revoked_at=START)
    await add(registry, code)

    with pytest.raises(ConcurrentChange):
        await consume(registry, code)

    assert await read(registry, code) == code


@pytest.mark.parametrize("count", [2, 100])
async def test_of_units_racing_for_one_code_one_gets_it(registry: Registry, count: int) -> None:
    code = a_code()
    await add(registry, code)

    outcomes = await asyncio.gather(
        *[consume(registry, code) for _ in range(count)], return_exceptions=True
    )

    assert outcomes.count(None) == 1
    assert [type(each) for each in outcomes if each is not None] == [ConcurrentChange] * (count - 1)
    assert (await read(registry, code)).uses == 1


async def test_a_code_revoked_in_a_unit_is_not_used_in_it_whoever_uses_another_at_once(
    registry: Registry,
) -> None:
    one, other = a_code(1), a_code(2)
    await add(registry, one, other)

    def revoke_and_use(uow: UnitOfWork) -> None:
        uow.codes.revoke(one, START)
        uow.codes.consume(one, START)

    outcomes = await asyncio.gather(
        consume(registry, other), store(registry, revoke_and_use), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [type(None), ConcurrentChange]
    assert (await read(registry, one)).uses == 0


async def test_of_units_that_each_revoke_what_the_other_uses_one_is_refused(
    registry: Registry,
) -> None:
    one, other = a_code(1), a_code(2)
    await add(registry, one, other)

    def use_and_revoke(mine: OneTimeCode, its: OneTimeCode, uow: UnitOfWork) -> None:
        uow.codes.consume(mine, START)
        uow.codes.revoke(its, START)

    outcomes = await asyncio.gather(
        store(registry, partial(use_and_revoke, one, other)),
        store(registry, partial(use_and_revoke, other, one)),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if each is not None] == [ConcurrentChange]


async def test_units_racing_for_different_codes_all_get_theirs(registry: Registry) -> None:
    codes = [a_code(number) for number in range(50)]
    await add(registry, *codes)

    await asyncio.gather(*[consume(registry, code) for code in codes])

    assert [(await read(registry, code)).uses for code in codes] == [1] * 50


async def test_a_code_comes_back_as_it_was_stored(registry: Registry) -> None:
    code = a_code(
        digest=bytes(range(32)),
        wrapped=b"\x00\xff" * 40,
        max_uses=1_000,
        uses=3,
        created_at=START + timedelta(microseconds=7),
        expires_at=START + timedelta(days=36_500),
    )

    await add(registry, code)

    assert await read(registry, code) == code


async def test_a_device_has_its_own_codes_in_whatever_state(registry: Registry) -> None:
    used, revoked, expired = a_code(1), a_code(2), a_code(3, expires_at=START)
    await add(registry, used, revoked, expired, a_code(4, device=OTHER))
    await consume(registry, used)
    await revoke(registry, revoked)

    found = await look(registry, lambda uow: uow.codes.of_device(ONE.device_id))

    assert sorted(found, key=lambda code: code.code_id) == sorted(
        [replace(used, uses=1), replace(revoked, revoked_at=START), expired],
        key=lambda code: code.code_id,
    )
    assert await look(registry, lambda uow: uow.codes.of_device("nobody")) == []


async def test_a_code_can_be_used_as_often_as_it_may(registry: Registry) -> None:
    code = a_code(max_uses=3)
    await add(registry, code)

    for _ in range(3):
        await consume(registry, await read(registry, code))

    assert await read(registry, code) == replace(code, uses=3)


async def test_a_code_is_good_until_just_before_it_expires(registry: Registry) -> None:
    code = a_code()
    await add(registry, code)

    await consume(registry, code, code.expires_at - timedelta(microseconds=1))

    assert (await read(registry, code)).uses == 1


async def test_a_used_up_code_can_be_revoked(registry: Registry) -> None:
    code = a_code()
    await add(registry, code)
    await consume(registry, code)

    await revoke(registry, code, START + timedelta(hours=1))

    assert await read(registry, code) == replace(
        code, uses=1, revoked_at=START + timedelta(hours=1)
    )


async def test_a_code_is_found_by_its_digest_whosever_it_is(registry: Registry) -> None:
    first = a_code(code_id="c-1", digest=b"\x01" * 32)
    second = a_code(code_id="c-2", device_id=OTHER.device_id, digest=b"\x02" * 32)
    await add(registry, first, second)

    found = await look(registry, lambda uow: uow.codes.by_digest(b"\x02" * 32))

    assert list(found) == [second]


async def test_no_code_is_found_by_a_digest_that_none_has(registry: Registry) -> None:
    await add(registry, a_code(digest=b"\x01" * 32))

    found = await look(registry, lambda uow: uow.codes.by_digest(b"\x01" * 31 + b"\x00"))

    assert list(found) == []


async def test_a_code_found_by_its_digest_is_as_it_is_now(registry: Registry) -> None:
    code = a_code(digest=b"\x01" * 32)
    await add(registry, code)
    await consume(registry, code)

    (found,) = await look(registry, lambda uow: uow.codes.by_digest(code.digest))

    assert found.uses == 1
