import asyncio

from enroll.events import Outcome
from protocols.wire import WireResponse
from tests.support.arrangements import first_enrollment
from tests.support.enrollment import Site, open_site
from tests.support.est import post
from tests.support.interruptions import (
    InterruptedRegistry,
    Interruption,
    the_database_is_gone,
)


async def a_bug() -> None:
    raise RuntimeError("nobody thought of this")


async def _enroll(*happen: Interruption) -> tuple[Site, WireResponse]:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await first_enrollment(site)
    registry.interruptions += happen
    return site, await post(site, ask)


async def _enroll_with_a_bug() -> None:
    site, answer = await _enroll(a_bug)

    (attempt,) = await site.attempts()
    assert answer.status == 500
    assert b"nobody thought of this" not in answer.body
    assert attempt.attempt_id.encode() in answer.body
    assert (attempt.outcome, attempt.finding) == (Outcome.FAILED, "internal")
    assert await site.certificates() == []


async def _enroll_with_bugs_only() -> None:
    site, answer = await _enroll(a_bug, a_bug)

    assert answer.status == 500
    assert await site.attempts() == []


async def _enroll_with_a_bug_and_no_database() -> None:
    site, answer = await _enroll(a_bug, the_database_is_gone)

    assert answer.status == 503
    assert await site.attempts() == []


def test_errors_6_a_fault_of_ours_leaves_an_attempt_under_the_id_that_is_told() -> None:
    asyncio.run(_enroll_with_a_bug())


def test_a_fault_that_cannot_even_be_recorded_is_answered() -> None:
    asyncio.run(_enroll_with_bugs_only())


def test_a_fault_that_the_database_cannot_record_is_told_as_unavailable() -> None:
    asyncio.run(_enroll_with_a_bug_and_no_database())
