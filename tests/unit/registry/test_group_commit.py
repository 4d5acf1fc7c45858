"""One transaction for many units of work, and an answer to each only after it is on disk."""

import asyncio
import gc
import sqlite3
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from enroll.failures import ConcurrentChange, RegistryUnavailable
from enroll.ports import UnitOfWork
from registry.unit_of_work import SQLRegistry
from registry.writer import CAPACITY
from tests.support.audit_log import AuditLog
from tests.support.builders import a_device, a_policy, an_attempt, an_event, stage_policy
from tests.support.registries import look, make_database, open_sqlite, store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "registry.db")


@pytest.fixture
def registry(path: Path, runner: asyncio.Runner) -> Iterator[SQLRegistry]:
    opened = open_sqlite(path)
    runner.run(store(opened, lambda uow: stage_policy(uow, a_policy())))
    yield opened
    runner.run(opened.close())


def on_disk(path: Path, table: str) -> int:
    """Count the rows that another process sees."""
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - one of our tables
    finally:
        connection.close()
    assert isinstance(count, int)
    return count


async def attempt(registry: SQLRegistry, number: int) -> None:
    await store(registry, lambda uow: uow.attempts.add(an_attempt(number)))


async def test_no_more_units_wait_than_there_is_room_for(registry: SQLRegistry) -> None:
    outcomes = await asyncio.gather(
        *[attempt(registry, number) for number in range(CAPACITY + 100)], return_exceptions=True
    )

    refused = [each for each in outcomes if each is not None]
    assert len(refused) == 100
    assert {type(each) for each in refused} == {RegistryUnavailable}
    assert {each.retry_after for each in refused if isinstance(each, RegistryUnavailable)} == {2}
    assert outcomes[:CAPACITY] == [None] * CAPACITY
    found = await look(registry, lambda uow: uow.attempts.list())
    assert [int(each.attempt_id, 16) for each in found] == list(reversed(range(CAPACITY)))


async def test_after_too_many_there_is_room_again(registry: SQLRegistry) -> None:
    await asyncio.gather(
        *[attempt(registry, number) for number in range(CAPACITY + 1)], return_exceptions=True
    )

    await attempt(registry, CAPACITY + 1)

    (last, *_) = await look(registry, lambda uow: uow.attempts.list(limit=1))
    assert int(last.attempt_id, 16) == CAPACITY + 1


async def test_many_units_at_once_are_few_transactions(registry: SQLRegistry) -> None:
    before = registry.batches

    def stage(number: int, uow: UnitOfWork) -> None:
        uow.devices.add(a_device(f"pump-{number}"))

    await asyncio.gather(*[store(registry, partial(stage, number)) for number in range(500)])

    assert len(await look(registry, lambda uow: uow.devices.list())) == 500
    assert registry.batches - before <= 20


async def test_units_one_after_another_are_a_transaction_each(registry: SQLRegistry) -> None:
    before = registry.batches

    for number in range(5):
        await attempt(registry, number)

    assert registry.batches - before == 5


async def test_a_unit_is_on_disk_when_its_commit_returns(registry: SQLRegistry, path: Path) -> None:
    seen: list[int] = []

    async def commit_and_look(number: int) -> None:
        await attempt(registry, number)
        seen.append(on_disk(path, "attempts"))

    await asyncio.gather(*[commit_and_look(number) for number in range(200)])

    assert all(count >= place for place, count in enumerate(seen, 1))
    assert seen[-1] == 200


async def test_a_unit_that_failed_is_not_on_disk_when_its_commit_raises(
    registry: SQLRegistry, path: Path
) -> None:
    def fail(uow: UnitOfWork) -> None:
        uow.attempts.add(an_attempt(99))
        uow.policy.expect(-1)

    outcomes = await asyncio.gather(
        *[attempt(registry, number) for number in range(10)],
        store(registry, fail),
        return_exceptions=True,
    )

    assert isinstance(outcomes[-1], ConcurrentChange)
    assert on_disk(path, "attempts") == 10


async def test_the_loop_goes_on_while_a_transaction_is_committed(registry: SQLRegistry) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.ensure_future(turn())
    await attempt(registry, 1)
    turning.cancel()

    assert turns > 1


async def test_what_waits_is_committed_before_the_registry_closes(tmp_path: Path) -> None:
    path = make_database(tmp_path / "another.db")
    registry = open_sqlite(path)
    waiting = [asyncio.ensure_future(attempt(registry, number)) for number in range(300)]
    await asyncio.sleep(0)

    await registry.close()

    await asyncio.gather(*waiting)
    assert on_disk(path, "attempts") == 300


async def test_the_events_of_many_units_make_one_chain(log: AuditLog) -> None:
    registry = open_sqlite(log.database, stream="main")

    def stage(number: int, uow: UnitOfWork) -> None:
        uow.events.append(an_event(correlation_id=f"{number}"))
        uow.events.append(an_event(correlation_id=f"{number}"))
        if number % 7 == 3:
            uow.policy.expect(-1)

    outcomes = await asyncio.gather(
        *[store(registry, partial(stage, number)) for number in range(200)],
        return_exceptions=True,
    )
    await registry.close()

    stored = outcomes.count(None)
    assert stored == 200 - len(range(3, 200, 7))
    assert registry.events_written == 2 * stored
    assert log.faults() == []


async def test_two_registries_write_two_chains_into_one_database(log: AuditLog) -> None:
    one = open_sqlite(log.database, stream="main")
    other = open_sqlite(log.database, stream="worker-2")

    await asyncio.gather(
        *[
            store(registry, lambda uow: uow.events.append(an_event()))
            for registry in (one, other)
            for _ in range(50)
        ]
    )
    await one.close()
    await other.close()

    report = log.verify()
    assert report.faults == []
    assert report.events == 17 + 100


async def test_a_unit_that_has_ended_leaves_nothing_to_the_collector(
    registry: SQLRegistry,
) -> None:
    """One a request would keep it busy, and the collector stops everything else."""
    gc.disable()
    try:
        async with registry.unit_of_work() as unit:
            await unit.devices.by_id(a_device().device_id)
            unit.attempts.add(an_attempt(1))
            await unit.commit()
        gone = weakref.ref(unit.devices)
        del unit

        assert gone() is None
    finally:
        gc.enable()
