"""Arrangements of requests that a person has to decide on (see `arrangements`)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cryptography import x509

from enroll.device import DeviceSource
from enroll.profiles import Approval, DeviceGroup
from tests.support.arrangements import disable, enable, first_enrollment, left_over_code
from tests.support.builders import a_group
from tests.support.csr import a_name
from tests.support.enrollment import Ask, Site, a_new_key, by_certificate, by_code
from tests.support.registries import store
from tests.support.renewals import in_time

APPROVER = "cli:approver"
WEEK = timedelta(days=7)


def a_manual_group(**changes: Any) -> DeviceGroup:
    """Make a group in which people decide on certificates, of every sort."""
    manual = a_group(approval=Approval.MANUAL, renewal_approval=Approval.MANUAL)
    return replace(manual, **changes)


def a_screened_group(**changes: Any) -> DeviceGroup:
    """Make a group in which people decide on each new device."""
    return a_group(device_approval=frozenset(DeviceSource), **changes)


async def held(site: Site) -> Ask:
    """Ask for a first certificate, and be told to wait."""
    ask = await first_enrollment(site)
    await site.wait(ask)
    return ask


async def approve(site: Site) -> None:
    """Approve the one that waits."""
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor=APPROVER)


async def reject(site: Site) -> None:
    """Reject the newest order."""
    newest, *_ = await site.orders()
    await site.approvals.reject(newest.order_id, "unknown to us", actor=APPROVER)


async def repeated_while_it_waits(site: Site) -> Ask:
    return await held(site)


async def repeated_when_approved(site: Site) -> Ask:
    ask = await held(site)
    await approve(site)
    return ask


async def approved_after_the_code_expired(site: Site) -> Ask:
    await site.register()
    ask = by_code("pump-1", await site.code())
    site.clock.advance(WEEK - timedelta(minutes=1))
    await site.wait(ask)
    site.clock.advance(timedelta(hours=1))
    await approve(site)
    return ask


async def collected_and_repeated(site: Site) -> Ask:
    ask = await repeated_when_approved(site)
    await site.obtain(ask)
    return ask


async def repeated_when_rejected(site: Site) -> Ask:
    ask = await held(site)
    await reject(site)
    return ask


async def repeated_when_rejected_after_approval(site: Site) -> Ask:
    ask = await repeated_when_approved(site)
    await reject(site)
    return ask


async def rejected_and_a_code_made_since(site: Site) -> Ask:
    ask = await repeated_when_rejected(site)
    site.clock.advance(timedelta(minutes=1))
    return replace(ask, code=await site.code())


async def rejected_and_another_code_from_before(site: Site) -> Ask:
    await site.register()
    codes = [await site.code(), await site.code()]
    ask = by_code("pump-1", codes[0])
    await site.wait(ask)
    site.clock.advance(timedelta(minutes=1))
    await reject(site)
    return replace(ask, code=codes[1])


async def rejected_long_ago(site: Site) -> Ask:
    ask = await repeated_when_rejected(site)
    site.clock.advance(timedelta(hours=24, seconds=1))
    return ask


async def over_and_not_yet_swept(site: Site) -> Ask:
    ask = await held(site)
    site.clock.advance(WEEK)
    return ask


async def expired_undecided(site: Site) -> Ask:
    ask = await over_and_not_yet_swept(site)
    await site.approvals.expire()
    return ask


async def approved_and_not_collected(site: Site) -> Ask:
    ask = await held(site)
    site.clock.advance(timedelta(days=6))
    await approve(site)
    site.clock.advance(WEEK)
    await site.approvals.expire()
    return ask


async def approved_late_and_collected_late(site: Site) -> Ask:
    ask = await held(site)
    site.clock.advance(timedelta(days=6))
    await approve(site)
    site.clock.advance(timedelta(days=6))
    await site.approvals.expire()
    return ask


async def its_code_with_another_key(site: Site) -> Ask:
    return replace(await held(site), key=a_new_key())


async def another_code_with_another_key(site: Site) -> Ask:
    ask = await held(site)
    return replace(ask, key=a_new_key(), code=await site.code())


async def another_code_with_the_same_key(site: Site) -> Ask:
    return replace(await held(site), code=await site.code())


async def with_another_subject(site: Site) -> Ask:
    return replace(await held(site), subject=a_name("pump-x"))


async def with_other_names(site: Site) -> Ask:
    return replace(await held(site), names=(x509.DNSName("pump-1.example"),))


async def of_a_device_disabled_meanwhile(site: Site) -> Ask:
    ask = await repeated_when_approved(site)
    await disable(site)
    return ask


async def of_a_device_disabled_and_enabled(site: Site) -> Ask:
    ask = await of_a_device_disabled_meanwhile(site)
    await enable(site)
    return ask


async def of_a_group_that_decides_no_more(site: Site) -> Ask:
    ask = await held(site)
    await store(site.registry, lambda uow: uow.policy.put_group(a_group()))
    return ask


async def renewal_in_time(site: Site) -> Ask:
    """Enroll before people decide here, and renew when they do."""
    ask = await in_time(site)
    await store(site.registry, lambda uow: uow.policy.put_group(a_manual_group()))
    return ask


async def renewal_approved(site: Site) -> Ask:
    ask = await renewal_in_time(site)
    await site.wait(ask)
    await approve(site)
    return ask


async def renewal_rejected(site: Site) -> Ask:
    ask = await renewal_in_time(site)
    await site.wait(ask)
    await reject(site)
    return ask


async def renewal_rejected_and_asked_with_another_key(site: Site) -> Ask:
    return replace(await renewal_rejected(site), key=a_new_key())


async def renewal_where_only_beginnings_are_decided(site: Site) -> Ask:
    ask = await in_time(site)
    group = a_group(approval=Approval.MANUAL)
    await store(site.registry, lambda uow: uow.policy.put_group(group))
    return ask


async def renewal_asked_again_after_it_expired(site: Site) -> Ask:
    ask = await renewal_in_time(site)
    await site.wait(ask)
    site.clock.advance(WEEK)
    await site.approvals.expire()
    return ask


async def other_slot(site: Site) -> Ask:
    bootstrap = await site.enroll()
    await store(site.registry, lambda uow: uow.policy.put_group(a_manual_group()))
    return by_certificate(bootstrap)


async def of_a_device_let_in(site: Site) -> Ask:
    """Be held because the device is, and go on when that is approved."""
    ask = await held(site)
    await approve_device(site)
    return ask


async def of_a_device_turned_away(site: Site) -> Ask:
    ask = await held(site)
    order = await site.approvals.of_device((await site.device()).device_id)
    await site.approvals.reject(order.order_id, "not ours", actor=APPROVER)
    return ask


async def of_a_device_nobody_let_in(site: Site) -> Ask:
    ask = await held(site)
    site.clock.advance(WEEK)
    await site.approvals.expire()
    return ask


async def approve_device(site: Site) -> None:
    order = await site.approvals.of_device((await site.device()).device_id)
    await site.approvals.approve(order.order_id, actor=APPROVER)


async def left_over_code_approved(site: Site) -> Ask:
    """Ask for a filled slot by what is left of an old code, where a person may vouch for it."""
    ask = await left_over_code(site)
    await site.wait(ask)
    await approve(site)
    return ask


async def left_over_code_rejected(site: Site) -> Ask:
    ask = await left_over_code(site)
    await site.wait(ask)
    await reject(site)
    return ask
