"""Many at once, and what happens between a decision and its commit."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from ca.ceremony import ISSUING
from ca.issuers import IssuerSet
from ca.local import LocalAuthority
from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    IssuanceOrder,
    IssuedCertificate,
    RevocationReason,
)
from enroll.decisions import TRIES
from enroll.device import DeviceState
from enroll.events import EventName
from enroll.failures import FailureReason
from enroll.profiles import ReEnrollment
from enroll.result import EnrollmentResult, Issued, Rejected
from tests.support import arrangements
from tests.support.enrollment import (
    OPERATOR,
    Ask,
    Site,
    a_new_key,
    an_issuer,
    by_code,
    open_site,
    renewal,
    with_code_in_request,
)
from tests.support.fakes import FixedClock
from tests.support.interruptions import InterruptedRegistry, another_commit_came_first
from tests.support.registries import look


class Meeting(LocalAuthority):
    """Holds whoever was signed for until all are there: the tightest race there is."""

    def __init__(self, clock: FixedClock) -> None:
        issuer = an_issuer()
        super().__init__(IssuerSet(issuers={ISSUING: issuer}, roots=issuer.chain), clock)
        self._missing = 0
        self._all_here = asyncio.Event()

    def expect(self, parties: int) -> None:
        self._missing = parties
        self._all_here.clear()

    async def issue(self, order: IssuanceOrder) -> IssuedCertificate:
        issued = await super().issue(order)
        self._missing -= 1
        if self._missing <= 0:
            self._all_here.set()
        await self._all_here.wait()
        return issued


async def meet(site: Site, meeting: Meeting, asks: list[Ask]) -> list[EnrollmentResult]:
    """Send all at once, none committed before all are signed for."""
    meeting.expect(len(asks))
    return await asyncio.wait_for(asyncio.gather(*(site.send(each) for each in asks)), 30)


async def a_meeting() -> tuple[Site, Meeting]:
    clock = FixedClock()
    meeting = Meeting(clock)
    return await open_site(clock=clock, authority=meeting), meeting


def findings(results: list[EnrollmentResult]) -> list[str | None]:
    return [each.finding if isinstance(each, Rejected) else None for each in results]


async def as_it_is(site: Site, ask: Ask) -> Ask:
    del site
    return ask


@pytest.mark.parametrize("word", [as_it_is, with_code_in_request])
async def test_security_E1_one_code_used_by_100_at_once_yields_one_certificate(
    word: Callable[[Site, Ask], Awaitable[Ask]],
) -> None:
    site, meeting = await a_meeting()
    ask = await word(site, await arrangements.first_enrollment(site))
    asks = [replace(ask, key=a_new_key()) for _ in range(100)]

    results = await meet(site, meeting, asks)

    assert sorted(findings(results), key=str) == [None] + ["code_reused"] * 99
    assert {each.reason for each in results if isinstance(each, Rejected)} == {
        FailureReason.NOT_AUTHENTICATED
    }
    (certificate,) = await site.certificates()
    assert certificate.status is CertificateStatus.ACTIVE
    device = await site.device()
    assert device.state is DeviceState.REGISTERED
    (code,) = await look(site.registry, lambda uow: uow.codes.of_device(device.device_id))
    assert code.uses == 1
    told = [each.name for each in await site.events()]
    assert told.count(EventName.CERTIFICATE_ISSUED) == 1
    assert told.count(EventName.CODE_REUSED) == 99
    assert len(await site.attempts()) == 100


async def test_est_E5_one_request_sent_50_times_at_once_yields_one_certificate() -> None:
    site, meeting = await a_meeting()
    ask = await arrangements.first_enrollment(site)

    results = await meet(site, meeting, [ask] * 50)

    issued = [each for each in results if isinstance(each, Issued)]
    assert len({each.record.fingerprint for each in issued}) == 1
    assert sorted(each.repeated for each in issued) == [False] + [True] * 49
    assert len(await site.certificates()) == 1


async def test_security_C5_one_key_of_50_devices_at_once_has_one_success() -> None:
    site, meeting = await a_meeting()
    key = a_new_key()
    asks = []
    for number in range(50):
        await site.register(f"unit-{number}")
        asks.append(by_code(f"unit-{number}", await site.code(f"unit-{number}"), key=key))

    results = await meet(site, meeting, asks)

    assert sorted(findings(results), key=str) == [None] + ["key_reuse"] * 49
    certificates = await look(site.registry, lambda uow: uow.certificates.list())
    devices = await look(site.registry, lambda uow: uow.devices.list())
    assert len(certificates) == 1
    assert sorted(each.state for each in devices) == ["enrolled"] * 49 + ["registered"]


async def test_security_C6_two_units_with_one_certificate_never_both_take_the_slot() -> None:
    site, meeting = await a_meeting()
    held = await site.enroll()

    results = await meet(site, meeting, [renewal(held), renewal(held)])

    assert findings(results) == [None, None]
    statuses = sorted(each.status for each in await site.certificates())
    assert statuses == ["active", "pending_confirm", "superseded"]


async def test_security_E1_a_code_of_few_uses_is_never_used_more_often() -> None:
    site, meeting = await a_meeting()
    await site.register()
    code = await site.code(uses=3)
    await site.change_policy(bootstrap={"re_enrollment": ReEnrollment.ALLOW})

    results = await meet(site, meeting, [by_code("pump-1", code) for _ in range(12)])

    assert findings(results).count(None) == 3
    assert findings(results).count("code_reused") == 9


@pytest.mark.parametrize("others", [1, TRIES - 1])
async def test_a_request_is_decided_anew_when_another_commit_came_first(others: int) -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.first_enrollment(site)
    registry.interruptions += [another_commit_came_first] * others

    await site.obtain(ask)

    assert len(await site.certificates()) == 1
    assert len(await site.attempts()) == 1


async def test_a_request_that_never_comes_first_is_told_to_come_again() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.first_enrollment(site)
    registry.interruptions += [another_commit_came_first] * TRIES

    refusal = await site.be_refused(ask)

    assert (refusal.reason, refusal.retry_after) == (FailureReason.CA_UNAVAILABLE, 1)
    assert await site.certificates() == []


async def test_security_E3_a_device_disabled_between_decision_and_commit_gets_nothing() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.first_enrollment(site)
    registry.interruptions.append(lambda: arrangements.disable(site))

    refusal = await site.be_refused(ask)

    assert refusal.finding == "device_disabled"
    assert await site.certificates() == []


async def test_security_E3_a_certificate_revoked_between_decision_and_commit_renews_nothing() -> (
    None
):
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    held = await site.enroll()
    record = await site.record_of(held)
    registry.interruptions.append(lambda: _revoke(site, record))

    refusal = await site.be_refused(renewal(held))

    assert refusal.reason is FailureReason.CERTIFICATE_REVOKED
    assert len(await site.certificates()) == 1


async def test_policy_that_changes_between_decision_and_commit_is_applied() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    held = await site.enroll()
    registry.interruptions.append(
        lambda: site.change_policy(bootstrap={"renewal_credentials": frozenset()})
    )

    refusal = await site.be_refused(renewal(held))

    assert refusal.finding == "credential_not_sufficient"


async def test_a_busy_device_is_disabled_all_the_same() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    held = await site.enroll()
    registry.interruptions.append(lambda: site.obtain(renewal(held)))

    await arrangements.disable(site)

    assert {each.status.value for each in await site.certificates()} == {"on_hold"}


async def _revoke(site: Site, record: CertificateRecord) -> None:
    await site.lifecycle.revoke(record, RevocationReason.UNSPECIFIED, actor=OPERATOR)
