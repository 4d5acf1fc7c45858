"""The contract of `AttemptRepository`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.events import Attempt, Check, Outcome
from enroll.failures import ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import a_hash, an_attempt, an_id
from tests.support.fakes import START
from tests.support.registries import look, store

HOUR = timedelta(hours=1)


async def add(registry: Registry, *attempts: Attempt) -> None:
    def stage(uow: UnitOfWork) -> None:
        for each in attempts:
            uow.attempts.add(each)

    await store(registry, stage)


async def every(registry: Registry) -> list[Attempt]:
    return list(await look(registry, lambda uow: uow.attempts.list()))


async def prune(registry: Registry, *, keep: int, before: timedelta = -HOUR) -> None:
    await store(registry, lambda uow: uow.attempts.prune(before=START + before, keep=keep))


def numbers(attempts: list[Attempt]) -> list[int]:
    return [int(each.attempt_id, 16) for each in attempts]


async def test_the_attempt_of_a_unit_that_fails_is_not_recorded(registry: Registry) -> None:
    def stage(uow: UnitOfWork) -> None:
        uow.attempts.add(an_attempt())
        uow.policy.expect(-1)

    with pytest.raises(ConcurrentChange):
        await store(registry, stage)

    assert await every(registry) == []


async def test_a_pruning_that_fails_forgets_nothing(registry: Registry) -> None:
    await add(registry, an_attempt())

    def stage(uow: UnitOfWork) -> None:
        uow.attempts.prune(before=START + HOUR, keep=0)
        uow.policy.expect(-1)

    with pytest.raises(ConcurrentChange):
        await store(registry, stage)

    assert await every(registry) == [an_attempt()]


async def test_an_attempt_comes_back_as_it_was_stored(registry: Registry) -> None:
    attempt = Attempt(
        attempt_id="c0ffee",
        occurred_at=START + timedelta(microseconds=1),
        protocol="est",
        operation="simplereenroll",
        profile="operational",
        peer_address="2001:db8::1",
        outcome=Outcome.FAILED,
        reason="not_authorized",
        finding="identity_conflict",
        detail="'; DROP TABLE attempts; -- \x00 \ud800 💧" + "x" * 100_000,
        device_id=an_id("device pump-1"),
        device_name="Łódź №1",
        serial_number="7" + "f" * 39,
        request_sha256=a_hash("request"),
        spki_sha256=a_hash("key"),
        client_certificate_sha256=a_hash("certificate"),
        trace=(
            Check(name="profile", passed=True, note="operational"),
            Check(name="credential", passed=False),
        ),
        latency_us=2**40,
    )

    await add(registry, attempt)

    assert await every(registry) == [attempt]


async def test_what_an_attempt_need_not_have_may_be_missing(registry: Registry) -> None:
    attempt = an_attempt(profile=None, peer_address="", operation="")

    await add(registry, attempt)

    assert await every(registry) == [attempt]


async def test_attempts_come_in_the_order_of_their_commits_newest_first(
    registry: Registry,
) -> None:
    await add(registry, an_attempt(1, occurred_at=START + 2 * HOUR), an_attempt(2))
    await add(registry, an_attempt(3, occurred_at=START + HOUR))

    assert numbers(await every(registry)) == [3, 2, 1]


async def test_only_the_denied_and_the_failed_are_listed_if_wished(registry: Registry) -> None:
    await add(
        registry, *[an_attempt(number, outcome=each) for number, each in enumerate(Outcome, 1)]
    )

    found = await look(registry, lambda uow: uow.attempts.list(denied_only=True))

    assert [each.outcome for each in found] == [Outcome.FAILED, Outcome.DENIED]


async def test_only_attempts_since_a_moment_are_listed_if_wished(registry: Registry) -> None:
    await add(
        registry, *[an_attempt(each, occurred_at=START + each * HOUR) for each in (3, 1, 2, 4)]
    )

    found = await look(registry, lambda uow: uow.attempts.list(since=START + 2 * HOUR))

    assert numbers(list(found)) == [4, 2, 3]


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (2, [5, 4]), (9, [5, 4, 3, 2, 1])])
async def test_no_more_than_the_limit_are_listed(
    registry: Registry, limit: int, expected: list[int]
) -> None:
    await add(registry, *[an_attempt(number) for number in range(1, 6)])

    found = await look(registry, lambda uow: uow.attempts.list(limit=limit))

    assert numbers(list(found)) == expected


async def test_the_limit_counts_what_passes_the_other_filters(registry: Registry) -> None:
    for number in range(1, 9):
        outcome = Outcome.ISSUED if number % 2 else Outcome.DENIED
        occurred_at = START + number * HOUR
        await add(registry, an_attempt(number, outcome=outcome, occurred_at=occurred_at))

    found = await look(
        registry,
        lambda uow: uow.attempts.list(denied_only=True, since=START + 3 * HOUR, limit=2),
    )

    assert numbers(list(found)) == [8, 6]


async def test_attempts_older_than_the_moment_are_forgotten(registry: Registry) -> None:
    await add(registry, *[an_attempt(each, occurred_at=START + each * HOUR) for each in range(5)])

    await prune(registry, before=3 * HOUR, keep=100)

    assert numbers(await every(registry)) == [4, 3]


@pytest.mark.parametrize("keep", [0, 1, 3, 5, 9])
async def test_the_oldest_beyond_the_number_kept_are_forgotten(
    registry: Registry, keep: int
) -> None:
    await add(registry, *[an_attempt(each) for each in range(1, 6)])

    await prune(registry, keep=keep)

    assert numbers(await every(registry)) == [5, 4, 3, 2, 1][:keep]


async def test_pruning_nothing_is_fine(registry: Registry) -> None:
    await prune(registry, keep=0)

    assert await every(registry) == []


async def test_the_number_kept_counts_attempts_that_are_there(registry: Registry) -> None:
    """Neither those forgotten before nor those of units that failed count."""

    def fail(uow: UnitOfWork) -> None:
        uow.attempts.add(an_attempt(99))
        uow.policy.expect(-1)

    for number in range(1, 8):
        old = START - 2 * HOUR if number in {3, 5, 6} else START
        await add(registry, an_attempt(number, occurred_at=old))
        with pytest.raises(ConcurrentChange):
            await store(registry, fail)
    await prune(registry, keep=100)

    await prune(registry, keep=3)

    assert numbers(await every(registry)) == [7, 4, 2]


async def test_attempts_go_on_after_all_were_forgotten(registry: Registry) -> None:
    await add(registry, an_attempt(1), an_attempt(2))
    await prune(registry, keep=0)

    await add(registry, an_attempt(3), an_attempt(4))

    assert numbers(await every(registry)) == [4, 3]


async def test_a_unit_that_adds_and_prunes_keeps_what_it_added(registry: Registry) -> None:
    await add(registry, an_attempt(1), an_attempt(2))

    def stage(uow: UnitOfWork) -> None:
        uow.attempts.add(an_attempt(3))
        uow.attempts.prune(before=START, keep=2)

    await store(registry, stage)

    assert numbers(await every(registry)) == [3, 2]


async def test_one_correlation_id_may_have_several_attempts(registry: Registry) -> None:
    await add(registry, an_attempt(1), replace(an_attempt(1), outcome=Outcome.REPEATED))

    assert numbers(await every(registry)) == [1, 1]
