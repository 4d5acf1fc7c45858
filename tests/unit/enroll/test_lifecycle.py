from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import DeviceState, DeviceStatus
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import AlreadyTaken, NotFound, Refused
from enroll.profiles import OnDisable
from tests.support.arrangements import disable, enable, put_in_state
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
from tests.support.registries import look, store

ACTIVE, PENDING, SUPERSEDED, ON_HOLD, REVOKED = (
    CertificateStatus.ACTIVE,
    CertificateStatus.PENDING_CONFIRM,
    CertificateStatus.SUPERSEDED,
    CertificateStatus.ON_HOLD,
    CertificateStatus.REVOKED,
)


async def revoke(
    site: Site, held: Held, reason: RevocationReason = RevocationReason.UNSPECIFIED
) -> None:
    await site.lifecycle.revoke(await site.record_of(held), reason, actor=OPERATOR)


async def reset(site: Site, name: str = "pump-1") -> str:
    device_id = (await site.device(name)).device_id
    _, made = await site.lifecycle.reset(device_id, "repair", actor=OPERATOR)
    return made.clear


async def statuses(site: Site) -> dict[CertificateStatus, int]:
    found: dict[CertificateStatus, int] = {}
    for each in await site.certificates():
        found[each.status] = found.get(each.status, 0) + 1
    return found


def named(events: Sequence[EnrollmentEvent], name: EventName) -> list[EnrollmentEvent]:
    return [each for each in events if each.name is name]


async def every_status(site: Site) -> None:
    """Give `pump-1` a superseded, an active and a pending certificate."""
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    await site.obtain(renewal(second))
    assert await statuses(site) == {SUPERSEDED: 1, ACTIVE: 1, PENDING: 1}


@pytest.mark.parametrize("verb", ["disable", "enable", "reset"])
async def test_DC9_what_a_person_decides_has_a_reason(verb: str) -> None:
    site = await open_site()
    await site.enroll()
    device = await site.device()

    with pytest.raises(Refused, match="say why"):
        await getattr(site.lifecycle, verb)(device.device_id, " ", actor=OPERATOR)

    assert await site.device() == device


@pytest.mark.parametrize("verb", ["disable", "enable", "reset"])
async def test_what_is_not_there_cannot_be_changed(verb: str) -> None:
    site = await open_site()

    with pytest.raises(NotFound):
        await getattr(site.lifecycle, verb)("nobody", "reason", actor=OPERATOR)


async def test_lifecycle_T15_a_disabled_device_cannot_be_disabled() -> None:
    site = await open_site()
    await site.register()
    await disable(site)

    with pytest.raises(Refused, match="already"):
        await disable(site)


async def test_lifecycle_T16_an_enabled_device_cannot_be_enabled() -> None:
    site = await open_site()
    await site.register()

    with pytest.raises(Refused, match="already"):
        await enable(site)


async def test_lifecycle_2_6_a_deleted_device_is_not_enabled() -> None:
    site = await open_site()
    await site.register()
    await disable(site)
    await put_in_state(site, DeviceState.DELETED)

    with pytest.raises(Refused, match="cannot enable"):
        await enable(site)


async def test_lifecycle_T23_an_enrolled_device_cannot_be_reset() -> None:
    site = await open_site()
    await site.register()

    with pytest.raises(Refused, match="cannot reset"):
        await reset(site)


async def test_lifecycle_T15_disabling_holds_what_is_good_and_enabling_releases_it() -> None:
    site = await open_site()
    await every_status(site)
    before = await site.certificates()

    await disable(site)
    held = await statuses(site)
    await enable(site)

    assert held == {ON_HOLD: 3}
    assert await site.certificates() == before
    device = await site.device()
    assert (device.status, device.status_reason) == (DeviceStatus.ENABLED, None)
    events = await site.events()
    assert len(named(events, EventName.CERTIFICATE_HELD)) == 3
    assert len(named(events, EventName.CERTIFICATE_RELEASED)) == 3
    (told,) = named(events, EventName.DEVICE_DISABLED)
    assert told.facts == {"before": "registered", "after": "registered", "reason": "stolen"}
    assert told.actor == OPERATOR


async def test_lifecycle_T15_what_is_expired_is_not_held() -> None:
    site = await open_site()
    await site.enroll()
    site.clock.advance(timedelta(days=366))

    await disable(site)

    assert await statuses(site) == {ACTIVE: 1}


async def test_lifecycle_T16_what_was_revoked_stays_revoked() -> None:
    site = await open_site()
    held = await site.enroll()
    await revoke(site, held)
    await disable(site)

    await enable(site)

    assert await statuses(site) == {REVOKED: 1}


async def test_lifecycle_T15_a_group_may_leave_certificates_alone() -> None:
    site = await open_site(a_policy(a_group(on_disable=OnDisable.NONE)))
    await every_status(site)
    before = await site.certificates()

    await disable(site)

    assert await site.certificates() == before


async def test_lifecycle_T24_disabling_that_revokes_takes_a_step_back() -> None:
    site = await open_site(a_policy(a_group(on_disable=OnDisable.REVOKE)))
    await site.provision()

    await disable(site)

    assert await statuses(site) == {REVOKED: 2}
    device = await site.device()
    assert (device.state, device.status) == (DeviceState.REGISTERED, DeviceStatus.DISABLED)
    assert device.status_reason == "stolen"
    (degraded,) = named(await site.events(), EventName.DEVICE_DEGRADED)
    assert degraded.facts["before"] == "provisioned"
    assert degraded.facts["after"] == "registered"
    revoked = await site.certificates()
    assert {each.revocation_reason for each in revoked} == {RevocationReason.CESSATION_OF_OPERATION}


async def test_lifecycle_T23_reset_revokes_everything_whatever_it_was() -> None:
    site = await open_site()
    await every_status(site)
    left_over = await site.code()

    code = await reset(site)

    assert await statuses(site) == {REVOKED: 3}
    assert (await site.device()).state is DeviceState.ENROLLED
    events = await site.events()
    assert len(named(events, EventName.CODE_REVOKED)) == 1
    (told,) = named(events, EventName.DEVICE_RESET)
    assert told.facts == {"before": "registered", "after": "enrolled", "reason": "repair"}
    refusal = await site.be_refused(by_code("pump-1", left_over))
    assert refusal.finding == "code_revoked"
    await site.obtain(by_code("pump-1", code))
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_lifecycle_T23_a_reset_device_that_is_disabled_stays_so() -> None:
    site = await open_site()
    await site.enroll()
    await disable(site)

    code = await reset(site)

    assert await statuses(site) == {REVOKED: 1}
    assert (await site.be_refused(by_code("pump-1", code))).finding == "device_disabled"


async def test_lifecycle_T17_an_enabled_device_is_not_deleted() -> None:
    site = await open_site()
    await site.enroll()
    device = await site.device()

    with pytest.raises(Refused, match="is enabled"):
        await site.lifecycle.delete(device.device_id, actor=OPERATOR)

    assert await site.device() == device
    assert await statuses(site) == {ACTIVE: 1}


async def test_lifecycle_T17_with_a_device_goes_all_that_it_has() -> None:
    site = await open_site()
    await every_status(site)
    left_over = await site.code()
    await disable(site)

    await site.lifecycle.delete((await site.device()).device_id, actor=OPERATOR)

    assert await statuses(site) == {REVOKED: 3}
    reasons = {each.revocation_reason for each in await site.certificates()}
    assert reasons == {RevocationReason.CESSATION_OF_OPERATION}
    assert (await site.device()).state is DeviceState.DELETED
    events = await site.events()
    assert len(named(events, EventName.CODE_REVOKED)) == 1
    (told,) = named(events, EventName.DEVICE_DELETED)
    assert told.facts == {"before": "registered", "after": "deleted"}
    assert (await site.be_refused(by_code("pump-1", left_over))).finding == "identity_unknown"
    with pytest.raises(AlreadyTaken):
        await site.register()


async def test_lifecycle_T17_a_deleted_device_is_deleted_once() -> None:
    site = await open_site()
    await site.register()
    await disable(site)
    device_id = (await site.device()).device_id
    await site.lifecycle.delete(device_id, actor=OPERATOR)

    with pytest.raises(Refused, match="is deleted"):
        await site.lifecycle.delete(device_id, actor=OPERATOR)


async def test_lifecycle_T24_a_device_that_loses_what_it_needs_is_degraded() -> None:
    site = await open_site()
    _, operational = await site.provision()

    await revoke(site, operational)

    assert (await site.device()).state is DeviceState.REGISTERED
    (told,) = named(await site.events(), EventName.DEVICE_DEGRADED)
    assert told.facts == {"before": "provisioned", "after": "registered", "lost": "operational"}


async def test_lifecycle_T24_a_device_that_loses_what_it_does_not_need_stays_provisioned() -> None:
    site = await open_site()
    bootstrap, _ = await site.provision()

    await revoke(site, bootstrap)

    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_lifecycle_T24_what_a_disabled_device_once_had_fills_no_slot() -> None:
    """A superseded certificate on hold must not hide that the active one is gone."""
    site = await open_site()
    _, first = await site.provision()
    second = await site.obtain(renewal(first))
    await site.obtain(renewal(second))
    await disable(site)

    await revoke(site, second)

    assert (await site.device()).state is DeviceState.REGISTERED


async def test_lifecycle_T24_a_waiting_replacement_takes_the_place_of_what_was_revoked() -> None:
    site = await open_site()
    _, first = await site.provision()
    second = await site.obtain(renewal(first))
    await revoke(site, first)

    third = await site.obtain(renewal(second))

    assert (await site.device()).state is DeviceState.PROVISIONED
    assert (await site.record_of(second)).status is ACTIVE
    assert (await site.record_of(third)).status is PENDING


async def test_lifecycle_T07_a_slot_that_was_emptied_is_filled_without_a_fresh_code() -> None:
    site = await open_site()
    await site.register()
    ask = by_code("pump-1", await site.code(uses=2))
    first = await site.obtain(ask)
    waiting = await site.obtain(renewal(first))
    await revoke(site, first)

    again = await site.obtain(by_code("pump-1", str(ask.code)))

    assert (await site.record_of(again)).status is ACTIVE
    assert (await site.record_of(waiting)).status is SUPERSEDED
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_a_certificate_is_revoked_once() -> None:
    site = await open_site()
    held = await site.enroll()
    await revoke(site, held)

    with pytest.raises(Refused, match="already"):
        await revoke(site, held, RevocationReason.SUPERSEDED)


async def test_security_C5_a_compromise_may_be_learnt_after_the_revocation() -> None:
    site = await open_site()
    held = await site.enroll()
    await revoke(site, held, RevocationReason.SUPERSEDED)
    revoked_at = (await site.record_of(held)).revoked_at
    site.clock.advance(timedelta(hours=1))

    await revoke(site, held, RevocationReason.KEY_COMPROMISE)

    record = await site.record_of(held)
    assert record.revocation_reason is RevocationReason.KEY_COMPROMISE
    assert record.revoked_at == revoked_at
    refusal = await site.be_refused(by_code("pump-1", await site.code(), key=held.key))
    assert refusal.finding == "key_compromised"
    with pytest.raises(Refused, match="already"):
        await revoke(site, held, RevocationReason.KEY_COMPROMISE)


async def test_hold_is_no_revocation() -> None:
    site = await open_site()
    held = await site.enroll()

    with pytest.raises(Refused, match="certificate hold"):
        await revoke(site, held, RevocationReason.CERTIFICATE_HOLD)


async def test_what_was_never_issued_is_not_revoked() -> None:
    site = await open_site()

    with pytest.raises(NotFound):
        await site.lifecycle.revoke(
            a_certificate_record(), RevocationReason.UNSPECIFIED, actor=OPERATOR
        )


async def test_a_certificate_of_the_server_itself_can_be_revoked() -> None:
    site = await open_site()
    record = a_certificate_record(device_id=None)
    await store(site.registry, lambda uow: uow.certificates.add(record))

    await site.lifecycle.revoke(record, RevocationReason.UNSPECIFIED, actor=OPERATOR)

    stored = await look(
        site.registry, lambda uow: uow.certificates.by_fingerprint(record.fingerprint)
    )
    assert stored is not None
    assert stored.status is REVOKED


async def test_lifecycle_T09_every_required_slot_counts() -> None:
    wifi = an_enrollment_profile("wifi", own_certificates_of=("bootstrap",))
    by_own = replace(
        wifi, initial_credentials=an_enrollment_profile("operational").initial_credentials
    )
    site = await open_site(a_policy(by_own, a_group(required_profiles=("operational", "wifi"))))
    bootstrap, _ = await site.provision()
    half = (await site.device()).state

    await site.obtain(by_certificate(bootstrap, "wifi", subject=a_name("pump-1")))

    assert half is DeviceState.REGISTERED
    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_a_group_that_requires_nothing_provisions_nobody() -> None:
    site = await open_site(a_policy(a_group(required_profiles=())))

    await site.provision()

    assert (await site.device()).state is DeviceState.REGISTERED
