"""The contract of `OrderRepository`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.orders import Order, OrderKind, OrderState
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import a_device, a_wish, an_id, an_order
from tests.support.fakes import START
from tests.support.registries import look, store

ONE, OTHER = a_device("pump-1"), a_device("pump-2")
HOUR = timedelta(hours=1)
ENDS = [state for state in OrderState if state not in {OrderState.PENDING, OrderState.APPROVED}]


@pytest.fixture
def registry(registry: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with two devices."""

    def stage(uow: UnitOfWork) -> None:
        uow.devices.add(ONE)
        uow.devices.add(OTHER)

    runner.run(store(registry, stage))
    return registry


def an_application(number: int = 1, **changes: object) -> Order:
    """Make the order for the device itself."""
    plain = replace(an_order(number), kind=OrderKind.DEVICE, profile=None, wish=None)
    return replace(plain, **changes)  # type: ignore[arg-type]  # a test's words


async def add(registry: Registry, *orders: Order) -> None:
    for each in orders:
        await store(registry, lambda uow, order=each: uow.orders.add(order))  # type: ignore[misc]  # a default binds it


async def save(registry: Registry, order: Order) -> None:
    await store(registry, lambda uow: uow.orders.save(order))


async def read(registry: Registry, order: Order) -> Order:
    found = await look(registry, lambda uow: uow.orders.by_id(order.order_id))
    assert found is not None
    return found


@pytest.mark.parametrize("first", [OrderState.PENDING, OrderState.APPROVED])
async def test_a_slot_with_an_open_order_takes_no_second_one(
    registry: Registry, first: OrderState
) -> None:
    await add(registry, an_order(1, state=first))

    with pytest.raises(AlreadyTaken) as caught:
        await add(registry, an_order(2))

    assert caught.value.what == "order"
    assert await look(registry, lambda uow: uow.orders.by_id(an_id("order 2"))) is None


async def test_a_device_has_one_open_application(registry: Registry) -> None:
    await add(registry, an_application(1))

    with pytest.raises(AlreadyTaken):
        await add(registry, an_application(2))


async def test_an_approved_application_is_over(registry: Registry) -> None:
    await add(registry, an_application(1, state=OrderState.APPROVED), an_application(2))

    found = await look(registry, lambda uow: uow.orders.open_of(ONE.device_id))

    assert [each.order_id for each in found] == [an_id("order 2")]


@pytest.mark.parametrize("first", ENDS)
async def test_a_slot_whose_order_ended_takes_another(
    registry: Registry, first: OrderState
) -> None:
    await add(registry, an_order(1, state=first), an_order(2))

    found = await look(registry, lambda uow: uow.orders.open_of(ONE.device_id))

    assert [each.order_id for each in found] == [an_id("order 2")]


async def test_other_slots_and_devices_have_orders_of_their_own(registry: Registry) -> None:
    orders = (
        an_order(1),
        an_order(2, profile="operational"),
        an_order(3, device=OTHER),
        an_application(4),
    )
    await add(registry, *orders)

    assert await look(registry, lambda uow: uow.orders.count_pending()) == 4


async def test_of_two_units_that_open_an_order_one_wins(registry: Registry) -> None:
    outcomes = await asyncio.gather(
        *(add(registry, an_order(number)) for number in range(10)), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in outcomes) == ["AlreadyTaken"] * 9 + ["NoneType"]
    assert len(await look(registry, lambda uow: uow.orders.list())) == 1


async def test_an_order_decided_between_read_and_commit_is_not_decided_again(
    registry: Registry,
) -> None:
    await add(registry, an_order())
    async with registry.unit_of_work() as uow:
        order = await uow.orders.by_id(an_order().order_id)
        assert order is not None
        await save(registry, replace(order, state=OrderState.REJECTED))
        uow.orders.save(replace(order, state=OrderState.APPROVED))

        with pytest.raises(ConcurrentChange):
            await uow.commit()

    assert (await read(registry, order)).state is OrderState.REJECTED


async def test_an_order_that_is_not_there_cannot_be_saved(registry: Registry) -> None:
    with pytest.raises(ConcurrentChange):
        await save(registry, an_order())


async def test_an_order_comes_back_as_it_was_stored(registry: Registry) -> None:
    wish = a_wish(2, key_usage=None, names=(), key_made_here=True)
    plain = an_order(2, profile="operational", wish=wish)
    await add(registry, an_order(1), plain, an_application(3))

    assert await read(registry, an_order(1)) == an_order(1)
    assert await read(registry, plain) == plain
    assert await read(registry, an_application(3)) == an_application(3)


async def test_saving_changes_what_was_decided_and_not_what_was_asked(registry: Registry) -> None:
    await add(registry, an_order())
    changes = {
        "state": OrderState.REJECTED,
        "reference": "0af3",
        "expires_at": START + HOUR,
        "decided_by": "cli:approver",
        "decided_at": START + HOUR,
        "reason": "no such pump",
        "fingerprint": "f" * 64,
    }
    changed = replace(an_order(), **changes)  # type: ignore[arg-type]  # a test's words

    await save(registry, replace(changed, requested_by="nobody", wish=None, profile="other"))

    assert await read(registry, an_order()) == replace(changed, version=2)


async def test_orders_come_newest_first(registry: Registry) -> None:
    ended = OrderState.EXPIRED
    orders = [
        an_order(number, state=ended, reference="t", requested_at=START + number * HOUR)
        for number in (2, 3, 1)
    ]
    await add(registry, *orders)
    wanted = [an_id(f"order {number}") for number in (3, 2, 1)]

    every = await look(registry, lambda uow: uow.orders.list())
    in_slot = await look(registry, lambda uow: uow.orders.in_slot(ONE.device_id, "bootstrap"))
    referred = await look(registry, lambda uow: uow.orders.by_reference("t"))

    assert [each.order_id for each in every] == wanted
    assert [each.order_id for each in in_slot] == wanted
    assert [each.order_id for each in referred] == wanted


async def test_orders_are_found_by_their_slot_and_transaction_alone(registry: Registry) -> None:
    await add(registry, an_order(1, reference="t-1"), an_application(2))

    assert await look(registry, lambda uow: uow.orders.by_reference("t-2")) == []
    assert await look(registry, lambda uow: uow.orders.by_reference("")) == []
    assert await look(registry, lambda uow: uow.orders.in_slot(ONE.device_id, "other")) == []
    assert await look(registry, lambda uow: uow.orders.in_slot(OTHER.device_id, None)) == []
    (found,) = await look(registry, lambda uow: uow.orders.in_slot(ONE.device_id, None))
    assert found.kind is OrderKind.DEVICE


async def test_what_is_open_is_overdue_from_the_moment_of_its_end(registry: Registry) -> None:
    await add(
        registry,
        an_order(1, expires_at=START + HOUR),
        an_order(2, profile="a", expires_at=START + HOUR, state=OrderState.APPROVED),
        an_order(3, profile="b", expires_at=START + HOUR, state=OrderState.ISSUED),
        an_application(4, expires_at=START + HOUR, state=OrderState.APPROVED),
    )

    early = await look(registry, lambda uow: uow.orders.overdue(START + HOUR - HOUR / 60))
    found = await look(registry, lambda uow: uow.orders.overdue(START + HOUR))

    assert early == []
    assert {each.order_id for each in found} == {an_id("order 1"), an_id("order 2")}


async def test_what_is_pending_is_counted_and_listed_by_itself(registry: Registry) -> None:
    await add(
        registry,
        an_order(1, state=OrderState.APPROVED),
        an_order(2, profile="a"),
        an_order(3, profile="b", state=OrderState.REJECTED),
    )

    pending = await look(registry, lambda uow: uow.orders.list(pending_only=True))

    assert [each.order_id for each in pending] == [an_id("order 2")]
    assert await look(registry, lambda uow: uow.orders.count_pending()) == 1


async def test_what_ended_long_ago_is_forgotten_and_what_is_open_is_not(
    registry: Registry,
) -> None:
    ended = OrderState.EXPIRED
    await add(
        registry,
        an_order(1),
        an_order(2, profile="a", state=OrderState.APPROVED, decided_at=START),
        an_order(3, profile="b", state=ended, decided_at=START + HOUR),
        an_order(4, profile="b", state=ended, decided_at=START),
        an_order(5, profile="b", state=ended),
        an_application(6, state=OrderState.APPROVED, decided_at=START),
    )

    await store(registry, lambda uow: uow.orders.prune(START + HOUR))

    kept = await look(registry, lambda uow: uow.orders.list())
    assert {each.order_id for each in kept} == {an_id(f"order {number}") for number in (1, 2, 3)}
