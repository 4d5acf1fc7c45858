"""The contract of `EventLog`."""

import asyncio
from datetime import timedelta

import pytest

from enroll.events import EnrollmentEvent, EventName
from enroll.failures import ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import a_device, an_event
from tests.support.fakes import START
from tests.support.registries import look, store

DEVICE = a_device()
OTHER = a_device("pump-2")
HOUR = timedelta(hours=1)


async def append(registry: Registry, *events: EnrollmentEvent) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in events:
            uow.events.append(each)

    await store(registry, stage)


async def of_device(registry: Registry, device_id: str = DEVICE.device_id) -> list[EnrollmentEvent]:
    return list(await look(registry, lambda uow: uow.events.of_device(device_id)))


async def test_the_events_of_a_unit_that_fails_are_not_in_the_log(registry: Registry) -> None:
    def stage(uow: UnitOfWork) -> None:
        uow.events.append(an_event())
        uow.policy.expect(-1)
        uow.events.append(an_event())

    with pytest.raises(ConcurrentChange):
        await store(registry, stage)

    assert await of_device(registry) == []


async def test_an_event_comes_back_as_it_was_appended(registry: Registry) -> None:
    event = EnrollmentEvent(
        name=EventName.ENROLLMENT_CLONE_SUSPECTED,
        occurred_at=START + timedelta(microseconds=1),
        actor="cli:Jürgen O'Neill",
        device_id=DEVICE.device_id,
        correlation_id="c0ffee",
        facts={
            "text": "Łódź 💧 \x00 \ud800 \\ \" '",
            "number": 2**53,
            "fraction": 1 / 3,
            "nothing": None,
            "truth": True,
            "list": [1, ["two", {}], {"three": []}],
            "": "x" * 100_000,
        },
    )

    await append(registry, event)

    assert await of_device(registry) == [event]


async def test_what_an_event_need_not_have_may_be_missing(registry: Registry) -> None:
    event = an_event(correlation_id=None, facts={})

    await append(registry, event, an_event(device_id=None))

    assert await of_device(registry) == [event]


async def test_a_devices_events_come_in_the_order_of_time(registry: Registry) -> None:
    late = an_event(occurred_at=START + HOUR)
    early = an_event(occurred_at=START)
    await append(registry, late, an_event(device_id=OTHER.device_id))

    await append(registry, early)

    assert await of_device(registry) == [early, late]


async def test_events_of_one_moment_stay_in_the_order_of_their_appending(
    registry: Registry,
) -> None:
    events = [an_event(correlation_id=str(number)) for number in range(12)]

    await append(registry, *events[:7])
    for each in events[7:]:
        await append(registry, each)

    assert await of_device(registry) == events


async def test_events_of_units_at_once_stay_together(registry: Registry) -> None:
    units = [
        [an_event(correlation_id=f"{unit}.{number}") for number in range(3)] for unit in range(20)
    ]

    await asyncio.gather(*[append(registry, *events) for events in units])

    found = await of_device(registry)
    assert len(found) == 60
    assert sorted(map(tuple, units), key=lambda unit: found.index(unit[0])) == [
        tuple(found[start : start + 3]) for start in range(0, 60, 3)
    ]


async def test_nobody_else_can_change_the_facts_of_an_event(registry: Registry) -> None:
    names = ["one"]
    event = an_event(facts={"names": names})

    await append(registry, event)
    names.append("two")

    (found,) = await of_device(registry)
    assert found.facts == {"names": ["one"]}
