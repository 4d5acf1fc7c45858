"""How many connections there may be, in all and from one address."""

import asyncio

import pytest

from server.http.limits import ConnectionLimits, Door, Gate
from server.http.load import Load, LoadLimits


class Connection:
    """Says what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.aborted = asyncio.Event()

    def drain(self) -> None:
        self.told.append("drain")

    def abort(self) -> None:
        self.told.append("abort")
        self.aborted.set()


def test_the_total_is_kept() -> None:
    gate = Gate(ConnectionLimits(connections=2))

    admitted = [gate.admit(f"192.0.2.{number}") for number in range(3)]
    gate.leave("192.0.2.0")

    assert admitted == [True, True, False]
    assert gate.admit("192.0.2.9")
    assert gate.open == 2


def test_a_factory_behind_one_address_is_not_limited_unless_configured() -> None:
    gate = Gate(ConnectionLimits())

    assert all(gate.admit("192.0.2.1") for _ in range(5_000))


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_est_H12_an_address_has_its_share_where_configured(address: str) -> None:
    gate = Gate(ConnectionLimits(connections_per_address=2))

    assert [gate.admit(address) for _ in range(3)] == [True, True, False]
    assert gate.admit("198.51.100.1")
    gate.leave(address)
    assert gate.admit(address)
    assert not gate.admit(address)


def test_the_share_is_of_a_subscriber_not_of_each_of_his_addresses() -> None:
    gate = Gate(ConnectionLimits(connections_per_address=1))

    assert gate.admit("2001:db8::1")
    assert not gate.admit("2001:db8::2")
    assert gate.admit("2001:db8:0:1::2")


def test_a_proxy_on_this_host_has_no_share_but_all() -> None:
    gate = Gate(ConnectionLimits(connections_per_address=1))

    assert all(gate.admit("unix") for _ in range(10))


async def test_a_door_counts_only_whom_it_let_in() -> None:
    gate = Gate(ConnectionLimits(connections=1))
    door, let_in, refused = Door(gate), Connection(), Connection()

    assert door.enter(let_in, "192.0.2.1")
    assert not door.enter(refused, "192.0.2.1")
    door.leave(refused)
    assert gate.open == 1

    door.leave(let_in)
    assert gate.open == 0


async def test_draining_waits_for_the_last_and_no_longer() -> None:
    door, first, last = Door(Gate(ConnectionLimits())), Connection(), Connection()
    for each in (first, last):
        door.enter(each, "192.0.2.1")

    draining = asyncio.create_task(door.drain(60))
    await asyncio.sleep(0)
    door.leave(first)
    await asyncio.sleep(0)
    waits = not draining.done()
    door.leave(last)
    await draining

    assert waits
    assert first.told == last.told == ["drain"]


async def test_draining_cuts_off_who_stays_too_long() -> None:
    door, stays = Door(Gate(ConnectionLimits())), Connection()
    door.enter(stays, "192.0.2.1")

    draining = asyncio.create_task(door.drain(0.01))
    await stays.aborted.wait()
    door.leave(stays)
    await draining

    assert stays.told == ["drain", "abort"]


def test_load_is_shed_by_number_and_by_waiting() -> None:
    load = Load(LoadLimits(exchanges=2, queue_seconds=1.0))

    assert load.takes(0.9)
    assert not load.takes(1.1)
    load.exchanges = 2
    assert not load.takes(0.0)


def test_load_is_not_shed_where_switched_off() -> None:
    load = Load(LoadLimits(exchanges=0, queue_seconds=0))
    load.exchanges = 1_000_000

    assert load.takes(1_000.0)


def test_those_told_to_come_back_do_not_all_come_at_once() -> None:
    load = Load(LoadLimits())

    seconds = {load.retry_after() for _ in range(200)}

    assert len(seconds) > 1
    assert seconds <= {1, 2, 3, 4}
