"""Use cases: one certificate is held, released or revoked; its slot and device follow."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import DeviceState
from enroll.events import EventName
from enroll.failures import FailureReason, NotFound, Refused
from enroll.profiles import OnDisable
from tests.support.arrangements import disable, enable
from tests.support.builders import a_certificate_record, a_group, a_policy, an_enrollment_profile
from tests.support.csr import a_name
from tests.support.enrollment import (
    OPERATOR,
    Held,
    Site,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.registries import store

ACTIVE, PENDING, SUPERSEDED, ON_HOLD, REVOKED = (
    CertificateStatus.ACTIVE,
    CertificateStatus.PENDING_CONFIRM,
    CertificateStatus.SUPERSEDED,
    CertificateStatus.ON_HOLD,
    CertificateStatus.REVOKED,
)


async def hold(site: Site, held: Held) -> None:
    await site.lifecycle.hold(await site.record_of(held), actor=OPERATOR)


async def release(site: Site, held: Held) -> None:
    await site.lifecycle.release(await site.record_of(held), actor=OPERATOR)


async def revoke(site: Site, held: Held) -> None:
    record = await site.record_of(held)
    await site.lifecycle.revoke(record, RevocationReason.SUPERSEDED, actor=OPERATOR)


async def status_of(site: Site, held: Held) -> CertificateStatus:
    return (await site.record_of(held)).status


async def test_what_was_never_issued_is_neither_held_nor_released() -> None:
    site = await open_site()

    with pytest.raises(NotFound):
        await site.lifecycle.hold(a_certificate_record(), actor=OPERATOR)
    with pytest.raises(NotFound):
        await site.lifecycle.release(a_certificate_record(), actor=OPERATOR)


async def test_only_what_is_on_hold_is_released() -> None:
    site = await open_site()
    held = await site.enroll()

    with pytest.raises(Refused, match="is not on hold"):
        await release(site, held)

    assert await status_of(site, held) is ACTIVE


async def test_what_is_revoked_is_neither_held_nor_released() -> None:
    site = await open_site()
    held = await site.enroll()
    await revoke(site, held)

    with pytest.raises(Refused, match="revoked already"):
        await hold(site, held)
    with pytest.raises(Refused, match="revoked already"):
        await release(site, held)


async def test_what_is_on_hold_is_not_held_again() -> None:
    site = await open_site()
    held = await site.enroll()
    await hold(site, held)

    with pytest.raises(Refused, match="on hold already"):
        await hold(site, held)


async def test_what_has_expired_is_not_held() -> None:
    site = await open_site()
    held = await site.enroll()
    site.clock.advance(timedelta(days=366))

    with pytest.raises(Refused, match="has expired"):
        await hold(site, held)


async def test_a_held_certificate_proves_nothing_until_it_is_released() -> None:
    site = await open_site()
    _, held = await site.provision()
    before = await site.record_of(held)

    await hold(site, held)
    refusal = await site.be_refused(renewal(held))
    await release(site, held)

    assert (refusal.reason, refusal.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "certificate_on_hold",
    )
    assert await site.record_of(held) == before
    await site.obtain(renewal(held))
    told = [(each.name, each.actor, each.facts.get("reason")) for each in await site.events()]
    assert (EventName.CERTIFICATE_HELD, OPERATOR, "certificateHold") in told
    assert (EventName.CERTIFICATE_RELEASED, OPERATOR, None) in told


async def test_a_held_certificate_fills_its_slot_and_its_device_stays_as_it_is() -> None:
    site = await open_site()
    _, held = await site.provision()

    await hold(site, held)

    record = await site.record_of(held)
    assert (record.status, record.held_by) == (ON_HOLD, OPERATOR)
    assert record.revocation_reason is RevocationReason.CERTIFICATE_HOLD
    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_lifecycle_T24_what_is_on_hold_may_be_revoked() -> None:
    site = await open_site()
    _, held = await site.provision()
    await hold(site, held)

    await revoke(site, held)

    record = await site.record_of(held)
    assert (record.status, record.held_by) == (REVOKED, None)
    assert record.revocation_reason is RevocationReason.SUPERSEDED
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_lifecycle_T09_a_release_may_be_all_that_was_missing() -> None:
    wifi = replace(
        an_enrollment_profile("wifi", own_certificates_of=("bootstrap",)),
        initial_credentials=an_enrollment_profile("operational").initial_credentials,
    )
    site = await open_site(a_policy(wifi, a_group(required_profiles=("operational", "wifi"))))
    bootstrap, operational = await site.provision()
    await hold(site, operational)
    await site.obtain(by_certificate(bootstrap, "wifi", subject=a_name("pump-1")))
    before = (await site.device()).state

    await release(site, operational)

    assert before is DeviceState.REGISTERED
    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_lifecycle_T16_what_was_held_by_itself_stays_on_hold() -> None:
    site = await open_site()
    bootstrap, operational = await site.provision()
    await hold(site, operational)

    await disable(site)
    await enable(site)

    assert await status_of(site, operational) is ON_HOLD
    assert await status_of(site, bootstrap) is ACTIVE


async def test_lifecycle_T15_nothing_is_released_while_the_device_is_disabled() -> None:
    site = await open_site()
    held = await site.enroll()
    await disable(site)

    with pytest.raises(Refused, match="device enable"):
        await release(site, held)

    assert await status_of(site, held) is ON_HOLD


async def test_one_certificate_of_a_disabled_device_may_be_held_where_its_group_holds_none() -> (
    None
):
    site = await open_site(a_policy(a_group(on_disable=OnDisable.NONE)))
    held = await site.enroll()
    await disable(site)

    await hold(site, held)
    await enable(site)

    assert await status_of(site, held) is ON_HOLD


async def test_lifecycle_2_4_what_is_on_hold_stays_so_when_it_is_superseded() -> None:
    """Another certificate in the slot must not take the old one off the list."""
    site = await open_site()
    first = await site.enroll()
    await hold(site, first)
    site.clock.advance(timedelta(hours=1))

    second = await site.obtain(by_code("pump-1", await site.code()))
    await site.obtain(renewal(second))

    record = await site.record_of(first)
    assert record.status is ON_HOLD
    assert not record.is_live
    superseded = [e for e in await site.events() if e.name is EventName.CERTIFICATE_SUPERSEDED]
    assert [each.facts["serial_number"] for each in superseded] == [record.serial_number]
    await release(site, first)
    assert await status_of(site, first) is SUPERSEDED


async def test_a_certificate_of_the_server_itself_can_be_held() -> None:
    site = await open_site()
    record = a_certificate_record(device_id=None)
    await store(site.registry, lambda uow: uow.certificates.add(record))

    held = await site.lifecycle.hold(record, actor=OPERATOR)

    assert held.status is ON_HOLD
    assert await site.lifecycle.release(record, actor=OPERATOR) == record
