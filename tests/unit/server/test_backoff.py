"""Failed authentications slow their own address down, and nobody else (est-H12)."""

import pytest

from server.backoff import ADDRESSES, Backoff, source_of

STRANGER, FACTORY = "192.0.2.1", "198.51.100.7"


class Watch:
    """Time in the test's hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def backoff(watch: Watch) -> Backoff:
    return Backoff(burst=10, per_second=2.0, monotonic=watch)


def fail(backoff: Backoff, address: str, times: int) -> None:
    for _ in range(times):
        backoff.failed(address)


def test_est_H12_an_address_waits_once_its_failures_are_too_many(backoff: Backoff) -> None:
    fail(backoff, STRANGER, 9)
    assert backoff.wait(STRANGER) == 0

    fail(backoff, STRANGER, 1)

    assert backoff.wait(STRANGER) == 1


def test_est_H12_another_address_does_not_wait(backoff: Backoff) -> None:
    fail(backoff, STRANGER, 1_000)

    assert backoff.wait(FACTORY) == 0


def test_est_H12_the_wait_is_bounded_and_ends(backoff: Backoff, watch: Watch) -> None:
    fail(backoff, STRANGER, 1_000)
    wait = backoff.wait(STRANGER)

    watch.now += wait

    assert wait == 1
    assert backoff.wait(STRANGER) == 0


def test_est_H12_who_goes_on_failing_gets_as_many_tries_as_recover(
    backoff: Backoff, watch: Watch
) -> None:
    fail(backoff, STRANGER, 10)
    tries = 0

    for _ in range(1_000):
        watch.now += 0.1
        if not backoff.wait(STRANGER):
            backoff.failed(STRANGER)
            tries += 1

    assert tries == pytest.approx(200, abs=5)


def test_a_factory_with_some_wrong_codes_among_good_ones_never_waits(backoff: Backoff) -> None:
    for number in range(10_000):
        assert backoff.wait(FACTORY) == 0
        if number % 3 == 0:
            backoff.failed(FACTORY)
        else:
            backoff.succeeded(FACTORY)


def test_good_authentications_alone_leave_nothing_behind(backoff: Backoff) -> None:
    for _ in range(100):
        backoff.succeeded(FACTORY)
    fail(backoff, FACTORY, 10)

    assert backoff.wait(FACTORY) == 1


def test_a_burst_of_zero_switches_it_off(watch: Watch) -> None:
    backoff = Backoff(burst=0, per_second=1.0, monotonic=watch)

    fail(backoff, STRANGER, 1_000)

    assert backoff.wait(STRANGER) == 0


def test_a_proxy_on_this_host_is_not_slowed_down_for_its_clients(backoff: Backoff) -> None:
    fail(backoff, "unix", 1_000)

    assert backoff.wait("unix") == 0


def test_a_subscriber_of_ipv6_cannot_hide_in_his_addresses(backoff: Backoff) -> None:
    for number in range(10):
        backoff.failed(f"2001:db8:0:1::{number:x}")

    assert backoff.wait("2001:db8:0:1:ffff::1") == 1
    assert backoff.wait("2001:db8:0:2::1") == 0


def test_a_flood_of_addresses_is_forgotten_from_its_beginning(watch: Watch) -> None:
    backoff = Backoff(burst=1, per_second=0.001, monotonic=watch)

    for number in range(ADDRESSES + 1):
        backoff.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert backoff.wait("10.0.0.0") == 0
    assert backoff.wait("10.0.0.1") > 0


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", ""),
        ("", ""),
    ],
)
def test_the_source_of_an_address_is_what_one_caller_controls(address: str, source: str) -> None:
    assert source_of(address) == source
