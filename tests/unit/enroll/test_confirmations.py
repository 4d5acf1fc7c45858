from datetime import timedelta

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import DeviceState
from enroll.events import EventName
from tests.support.builders import (
    a_certificate_profile,
    a_certificate_record,
    a_policy,
    an_enrollment_profile,
)
from tests.support.enrollment import OPERATOR, Held, Site, by_certificate, open_site, renewal
from tests.support.interruptions import InterruptedRegistry, another_commit_came_first
from tests.support.registries import look, store

DAY = timedelta(days=1)


async def statuses(site: Site, *held: Held) -> list[CertificateStatus]:
    return [(await site.record_of(each)).status for each in held]


async def test_lifecycle_2_4_a_replacement_waits_a_day() -> None:
    site = await open_site()
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    site.clock.advance(DAY - timedelta(seconds=1))

    settled = await site.confirmations.settle()

    assert settled == 0
    assert await statuses(site, first, second) == [
        CertificateStatus.ACTIVE,
        CertificateStatus.PENDING_CONFIRM,
    ]


async def test_lifecycle_2_4_time_confirms_a_replacement() -> None:
    site = await open_site()
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    site.clock.advance(DAY)

    settled = await site.confirmations.settle()

    assert settled == 1
    assert await statuses(site, first, second) == [
        CertificateStatus.SUPERSEDED,
        CertificateStatus.ACTIVE,
    ]
    confirmed, superseded = (await site.events())[-2:]
    assert (confirmed.name, confirmed.actor) == (EventName.CERTIFICATE_CONFIRMED, "system")
    assert superseded.name is EventName.CERTIFICATE_SUPERSEDED
    assert await site.confirmations.settle() == 0


async def test_a_profile_says_how_long_a_replacement_waits() -> None:
    site = await open_site(a_policy(an_enrollment_profile(confirm_timeout=timedelta(minutes=1))))
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    site.clock.advance(timedelta(minutes=1))

    await site.confirmations.settle()

    assert await statuses(site, second) == [CertificateStatus.ACTIVE]


async def test_a_replacement_whose_profile_is_gone_waits_a_day_too() -> None:
    site = await open_site()
    held = await site.enroll()
    orphan = a_certificate_record(
        2,
        device=await site.device(),
        profile="gone",
        status=CertificateStatus.PENDING_CONFIRM,
        confirmed_at=None,
    )
    await store(site.registry, lambda uow: uow.certificates.add(orphan))
    site.clock.advance(DAY - timedelta(seconds=1))
    early = await site.confirmations.settle()
    site.clock.advance(timedelta(seconds=1))

    settled = await site.confirmations.settle()

    assert (early, settled) == (0, 1)
    assert await statuses(site, held) == [CertificateStatus.ACTIVE]


async def test_lifecycle_2_4_the_superseded_is_good_until_it_expires() -> None:
    site = await open_site()
    first = await site.enroll()
    await site.obtain(renewal(await site.obtain(renewal(first))))
    site.clock.advance(timedelta(days=300))

    await site.confirmations.settle()

    assert await statuses(site, first) == [CertificateStatus.SUPERSEDED]


async def test_lifecycle_2_4_a_profile_may_revoke_what_is_superseded_at_once() -> None:
    site = await open_site(a_policy(an_enrollment_profile(revoke_superseded_after=timedelta(0))))
    first = await site.enroll()
    second = await site.obtain(renewal(first))

    await site.obtain(renewal(second))

    record = await site.record_of(first)
    assert record.revocation_reason is RevocationReason.SUPERSEDED
    assert record.revoked_at == site.clock.now()


async def test_lifecycle_2_4_a_profile_may_revoke_what_is_superseded_after_a_time() -> None:
    grace = timedelta(days=3)
    site = await open_site(a_policy(an_enrollment_profile(revoke_superseded_after=grace)))
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    await site.obtain(renewal(second))
    site.clock.advance(grace)
    early = await site.confirmations.settle()
    site.clock.advance(timedelta(seconds=1))

    await site.confirmations.settle()

    assert early == 1, "only the replacement of the second was due"
    record = await site.record_of(first)
    assert record.revocation_reason is RevocationReason.SUPERSEDED
    told = [each for each in await site.events() if each.name is EventName.CERTIFICATE_REVOKED]
    assert [each.facts["reason"] for each in told] == ["superseded"]


async def test_a_replacement_that_expired_unused_does_not_take_the_slot() -> None:
    site = await open_site()
    first = await site.enroll()
    short = a_certificate_profile(version=2, validity=timedelta(hours=1))
    await store(site.registry, lambda uow: uow.policy.put_certificate_profile(short))
    second = await site.obtain(renewal(first))
    site.clock.advance(DAY)

    settled = await site.confirmations.settle()

    assert settled == 1
    assert await statuses(site, first, second) == [
        CertificateStatus.ACTIVE,
        CertificateStatus.SUPERSEDED,
    ]


async def test_lifecycle_T09_time_may_provision_a_device_and_tells_it() -> None:
    site = await open_site()
    bootstrap, operational = await site.provision()
    await site.obtain(renewal(operational))
    await site.lifecycle.revoke(
        await site.record_of(operational), RevocationReason.UNSPECIFIED, actor=OPERATOR
    )
    degraded = (await site.device()).state
    site.clock.advance(DAY)

    await site.confirmations.settle()

    assert degraded is DeviceState.REGISTERED
    assert (await site.device()).state is DeviceState.PROVISIONED
    told = [each for each in await site.events() if each.name is EventName.DEVICE_PROVISIONED]
    assert len(told) == 2
    assert (told[-1].actor, told[-1].facts["before"]) == ("system", "registered")
    assert await statuses(site, bootstrap) == [CertificateStatus.ACTIVE]


async def test_what_belongs_to_no_device_is_left_alone() -> None:
    site = await open_site()
    record = a_certificate_record(
        device_id=None, status=CertificateStatus.PENDING_CONFIRM, confirmed_at=None
    )
    await store(site.registry, lambda uow: uow.certificates.add(record))
    site.clock.advance(DAY)

    settled = await site.confirmations.settle()

    assert settled == 0
    assert await _stored(site, record) == record


async def test_what_somebody_else_changed_meanwhile_is_left_to_the_next_turn() -> None:
    registry = InterruptedRegistry()
    site = await open_site(
        a_policy(an_enrollment_profile(revoke_superseded_after=timedelta(hours=1))),
        registry=registry,
    )
    first = await site.enroll()
    await site.obtain(renewal(await site.obtain(renewal(first))))
    site.clock.advance(DAY)
    registry.interruptions += [another_commit_came_first] * 2
    busy = await site.confirmations.settle()

    settled = await site.confirmations.settle()

    assert (busy, settled) == (0, 2)


async def test_a_disabled_device_keeps_its_slots_as_they_are() -> None:
    site = await open_site()
    bootstrap, _ = await site.provision()
    second = await site.obtain(by_certificate(bootstrap))
    device = await site.device()
    await site.lifecycle.disable(device.device_id, "stolen", actor=OPERATOR)
    site.clock.advance(DAY)

    settled = await site.confirmations.settle()

    assert settled == 0
    assert await statuses(site, second) == [CertificateStatus.ON_HOLD]


async def _stored(site: Site, record: CertificateRecord) -> CertificateRecord | None:
    return await look(
        site.registry, lambda uow: uow.certificates.by_fingerprint(record.fingerprint)
    )
