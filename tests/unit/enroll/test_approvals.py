"""What people decide on orders, what time does to them, and what the audit log hears of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.certificates import CertificateStatus
from enroll.device import DeviceState
from enroll.events import EventName, Outcome
from enroll.failures import FailureReason, NotFound, Refused
from enroll.orders import Order, OrderKind, OrderState
from enroll.ports import UnitOfWork
from enroll.profiles import Approval
from enroll.registration import CodeTerms, NewDevice
from enroll.request import PollRequest
from enroll.result import Issued, Pending, Rejected
from tests.support.approvals import (
    APPROVER,
    a_manual_group,
    a_screened_group,
    approve,
    approve_device,
    held,
    reject,
    renewal_in_time,
)
from tests.support.arrangements import disable, first_enrollment
from tests.support.builders import a_policy
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Ask, Site, a_new_key, by_code, open_site
from tests.support.registries import look, store

WEEK = timedelta(days=7)


async def a_manual_site() -> Site:
    return await open_site(a_policy(a_manual_group()))


async def a_screened_site(**changes: object) -> Site:
    return await open_site(a_policy(a_screened_group(**changes)))


async def newest(site: Site) -> Order:
    return (await site.orders())[0]


async def told(site: Site) -> list[EventName]:
    return [each.name for each in await site.events()]


async def poll(site: Site, ask: Ask, reference: str = "t-1", **proof: str) -> object:
    origin = site.origin(ask)
    wanted = {"spki_sha256": site.request(ask).certificate_request.spki_sha256, **proof}
    return await site.pipeline.poll(
        PollRequest(origin=origin, reference=reference, **wanted)  # type: ignore[arg-type]  # a test's words
    )


async def held_as(site: Site, ask: Ask, reference: str = "t-1") -> Pending:
    result = await site.pipeline.handle(replace(site.request(ask), reference=reference))
    assert isinstance(result, Pending), result
    return result


async def test_est_E4_an_order_tells_what_was_asked_by_whom_and_until_when() -> None:
    site = await a_manual_site()
    ask = await held(site)

    order = await newest(site)

    device, request = await site.device(), site.request(ask).certificate_request
    assert (order.kind, order.state) == (OrderKind.CERTIFICATE, OrderState.PENDING)
    assert (order.device_id, order.profile) == (device.device_id, "bootstrap")
    assert order.requested_by == f"device:{device.device_id}"
    assert order.expires_at == order.requested_at + WEEK
    assert order.wish is not None
    assert order.wish.spki_sha256 == request.spki_sha256
    assert order.wish.subject == "CN=pump-1"


async def test_est_E4_a_hundred_repetitions_at_once_make_one_order() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)

    results = await asyncio.gather(*(site.send(ask) for _ in range(100)))

    (order,) = await site.orders()
    assert {each.order_id for each in results if isinstance(each, Pending)} == {order.order_id}
    assert len([each for each in results if isinstance(each, Pending)]) == 100
    assert (await told(site)).count(EventName.ENROLLMENT_PENDING) == 1


async def test_lifecycle_6_of_many_keys_at_once_one_opens_the_order() -> None:
    site = await a_manual_site()
    await site.register()
    codes = [await site.code() for _ in range(10)]

    results = await asyncio.gather(*(site.send(by_code("pump-1", each)) for each in codes))

    refused = [each for each in results if isinstance(each, Rejected)]
    assert len(await site.orders()) == 1
    assert len(refused) == 9
    assert {each.reason for each in refused} == {FailureReason.TRANSACTION_CONFLICT}


async def test_est_E5_of_many_collections_at_once_one_is_issued() -> None:
    site = await a_manual_site()
    ask = await held(site)
    await approve(site)

    results = await asyncio.gather(*(site.send(ask) for _ in range(20)))

    issued = [each for each in results if isinstance(each, Issued)]
    assert len(issued) == 20
    assert len({each.record.fingerprint for each in issued}) == 1
    assert len(await site.certificates()) == 1


async def test_est_E11_another_process_finds_the_order_and_fulfills_it() -> None:
    site = await a_manual_site()
    ask = await held(site)

    again = await site.send(ask, pipeline=site.new_pipeline())
    await approve(site)
    result = await site.send(ask, pipeline=site.new_pipeline())

    assert isinstance(again, Pending)
    assert isinstance(result, Issued)
    order = await newest(site)
    assert (order.state, order.fingerprint) == (OrderState.ISSUED, result.record.fingerprint)
    assert order.decided_by == APPROVER


async def test_opening_an_order_uses_the_code_and_collecting_does_not() -> None:
    site = await a_manual_site()
    await site.register()
    ask = by_code("pump-1", await site.code(uses=2))
    device_id = (await site.device()).device_id

    await site.wait(ask)
    await site.wait(ask)
    await approve(site)
    await site.obtain(ask)

    (code,) = await look(site.registry, lambda uow: uow.codes.of_device(device_id))
    assert code.uses == 1
    assert (await told(site)).count(EventName.CODE_USED) == 1


async def test_every_step_of_an_order_is_told() -> None:
    site = await a_manual_site()
    ask = await held(site)
    await approve(site)
    await site.obtain(ask)

    order = await newest(site)
    about = {each.name: each for each in await site.events() if "order" in each.facts}

    assert list(about) == [
        EventName.ENROLLMENT_PENDING,
        EventName.ENROLLMENT_APPROVED,
        EventName.CERTIFICATE_ISSUED,
    ]
    assert {each.facts["order"] for each in about.values()} == {order.order_id}
    assert about[EventName.ENROLLMENT_APPROVED].actor == APPROVER


async def test_a_wait_leaves_an_attempt_that_is_no_refusal() -> None:
    site = await a_manual_site()
    await held(site)

    (attempt,) = await site.attempts()
    denied = await look(site.registry, lambda uow: uow.attempts.list(denied_only=True))

    assert (attempt.outcome, attempt.reason) == (Outcome.PENDING, None)
    assert (await newest(site)).order_id in {each.note for each in attempt.trace}
    assert denied == []


async def test_a_rejection_says_why_and_by_whom() -> None:
    site = await a_manual_site()
    ask = await held(site)
    await reject(site)

    refused = await site.be_refused(ask)

    order = await newest(site)
    assert (order.state, order.decided_by) == (OrderState.REJECTED, APPROVER)
    assert "unknown to us" in refused.detail
    assert EventName.ENROLLMENT_REJECTED in await told(site)


@pytest.mark.parametrize("reason", ["", "  "])
async def test_a_rejection_without_a_reason_is_refused(reason: str) -> None:
    site = await a_manual_site()
    await held(site)

    with pytest.raises(Refused, match="reason"):
        await site.approvals.reject((await newest(site)).order_id, reason, actor=APPROVER)


async def test_what_is_decided_is_not_decided_again() -> None:
    site = await a_manual_site()
    await held(site)
    order_id = (await newest(site)).order_id
    await site.approvals.reject(order_id, "no", actor=APPROVER)

    with pytest.raises(Refused, match="rejected already"):
        await site.approvals.approve(order_id, actor=APPROVER)
    with pytest.raises(Refused, match="rejected already"):
        await site.approvals.reject(order_id, "no", actor=APPROVER)


async def test_what_was_collected_cannot_be_rejected_any_more() -> None:
    site = await a_manual_site()
    ask = await held(site)
    await approve(site)
    await site.obtain(ask)

    with pytest.raises(Refused, match="issued already"):
        await reject(site)


async def test_what_is_over_cannot_be_approved() -> None:
    site = await a_manual_site()
    await held(site)
    site.clock.advance(WEEK)

    with pytest.raises(Refused, match="expired"):
        await approve(site)


async def test_an_order_that_is_not_there_is_not_found() -> None:
    site = await a_manual_site()

    for decide in (
        site.approvals.approve("nothing", actor=APPROVER),
        site.approvals.reject("nothing", "no", actor=APPROVER),
        site.approvals.by_id("nothing"),
    ):
        with pytest.raises(NotFound):
            await decide


async def test_time_ends_what_nobody_decided_on_once() -> None:
    site = await a_manual_site()
    await held(site)
    site.clock.advance(WEEK - timedelta(seconds=1))
    early = await site.approvals.expire()
    site.clock.advance(timedelta(seconds=1))

    ended = await site.approvals.expire()
    again = await site.approvals.expire()

    assert (early, ended, again) == (0, 1, 0)
    assert (await newest(site)).state is OrderState.EXPIRED
    assert (await told(site)).count(EventName.ENROLLMENT_EXPIRED) == 1
    assert await site.approvals.count_pending() == 0


async def test_lifecycle_T15_disabling_a_device_cancels_what_it_waits_for() -> None:
    site = await a_manual_site()
    await held(site)
    order_id = (await newest(site)).order_id

    await disable(site)

    order = await newest(site)
    assert order.state is OrderState.CANCELLED
    assert "stolen" in (order.reason or "")
    with pytest.raises(Refused, match="cancelled"):
        await site.approvals.approve(order_id, actor=APPROVER)


async def test_lifecycle_T23_a_reset_cancels_what_a_device_waits_for() -> None:
    site = await open_site()
    ask = await renewal_in_time(site)
    await site.wait(ask)

    await site.lifecycle.reset((await site.device()).device_id, "repair", actor=OPERATOR)

    assert (await newest(site)).state is OrderState.CANCELLED
    assert (await site.be_refused(ask)).reason is FailureReason.CERTIFICATE_REVOKED


async def test_a_device_disabled_while_its_order_is_opened_leaves_none_open() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)

    await asyncio.gather(site.send(ask), disable(site), return_exceptions=True)

    assert not any(each.is_open for each in await site.orders())


async def test_an_order_withdrawn_while_it_is_collected_ends_one_way() -> None:
    site = await a_manual_site()
    ask = await held(site)
    await approve(site)

    result, outcome = await asyncio.gather(site.send(ask), reject(site), return_exceptions=True)

    order = await newest(site)
    if isinstance(result, Issued):
        assert isinstance(outcome, Refused)
        assert order.state is OrderState.ISSUED
    else:
        assert order.state is OrderState.REJECTED
        assert await site.certificates() == []


async def test_lifecycle_T02_a_new_device_waits_and_its_approval_is_asked_for() -> None:
    site = await a_screened_site()

    device, made = await site.registration.register(
        NewDevice(name="pump-1"), code=CodeTerms(), actor=OPERATOR
    )

    order = await newest(site)
    assert device.state is DeviceState.PENDING_APPROVAL
    assert made is not None
    assert (order.kind, order.device_id) == (OrderKind.DEVICE, device.device_id)
    assert (order.requested_by, order.profile, order.wish) == (OPERATOR, None, None)


async def test_lifecycle_T03_an_approved_device_is_enrolled() -> None:
    site = await a_screened_site()
    await site.register()

    await approve_device(site)

    assert (await site.device()).state is DeviceState.ENROLLED
    assert (await newest(site)).state is OrderState.APPROVED
    assert EventName.DEVICE_APPROVED in await told(site)
    assert await site.approvals.count_pending() == 0


async def test_lifecycle_T03_nobody_approves_what_they_registered() -> None:
    site = await a_screened_site()
    await site.register()
    order_id = (await newest(site)).order_id

    with pytest.raises(Refused, match="somebody else"):
        await site.approvals.approve(order_id, actor=OPERATOR)

    assert (await site.device()).state is DeviceState.PENDING_APPROVAL


async def test_lifecycle_T03_a_group_may_let_people_approve_their_own() -> None:
    site = await a_screened_site(separation_of_duty=False)
    await site.register()

    await site.approvals.approve((await newest(site)).order_id, actor=OPERATOR)

    assert (await site.device()).state is DeviceState.ENROLLED


async def test_lifecycle_T03_a_rejected_device_is_deleted_with_its_codes() -> None:
    site = await a_screened_site()
    await site.register()
    await site.code()
    device_id = (await site.device()).device_id

    await site.approvals.reject((await newest(site)).order_id, "not ours", actor=OPERATOR)

    (code,) = await look(site.registry, lambda uow: uow.codes.of_device(device_id))
    assert (await site.device()).state is DeviceState.DELETED
    assert code.revoked_at is not None
    rejected = [each for each in await site.events() if each.name is EventName.DEVICE_REJECTED]
    assert [each.facts["reason"] for each in rejected] == ["not ours"]


async def test_lifecycle_T03_what_a_device_waits_for_cannot_overtake_it() -> None:
    site = await a_screened_site()
    await held(site)
    waiting = [each for each in await site.orders() if each.kind is OrderKind.CERTIFICATE]

    with pytest.raises(Refused, match="itself waits"):
        await site.approvals.approve(waiting[0].order_id, actor=APPROVER)


async def test_lifecycle_T03_what_waited_for_the_device_goes_on_or_fails_with_it() -> None:
    for decide, state in ((approve_device, OrderState.APPROVED), (turn_away, OrderState.REJECTED)):
        site = await a_screened_site()
        await held(site)

        await decide(site)

        ordered = {each.kind: each for each in await site.orders()}
        assert ordered[OrderKind.CERTIFICATE].state is state


async def turn_away(site: Site) -> None:
    order = await site.approvals.of_device((await site.device()).device_id)
    await site.approvals.reject(order.order_id, "not ours", actor=APPROVER)


async def test_lifecycle_T03_a_device_is_decided_on_apart_from_its_certificates() -> None:
    site = await a_screened_site(approval=Approval.MANUAL)
    ask = await held(site)
    await approve_device(site)

    still = await site.send(ask)
    await approve(site)

    assert isinstance(still, Pending)
    await site.obtain(ask)


async def test_lifecycle_T04_a_device_nobody_decided_on_is_deleted() -> None:
    site = await a_screened_site()
    await held(site)
    site.clock.advance(WEEK)

    ended = await site.approvals.expire()

    states = {each.kind: each.state for each in await site.orders()}
    assert ended >= 1
    assert (await site.device()).state is DeviceState.DELETED
    assert EventName.DEVICE_APPROVAL_EXPIRED in await told(site)
    assert states[OrderKind.DEVICE] is OrderState.EXPIRED
    assert states[OrderKind.CERTIFICATE] in {OrderState.REJECTED, OrderState.EXPIRED}


async def test_only_a_device_that_waits_can_be_let_in() -> None:
    site = await open_site()
    device = await site.register()

    with pytest.raises(Refused, match="does not wait"):
        await site.approvals.of_device(device.device_id)


async def test_scep_26_a_poll_finds_the_order_by_its_transaction_and_key() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    held_order = await held_as(site, ask)

    waiting = await poll(site, ask)
    await approve(site)
    collected = await poll(site, ask)
    again = await poll(site, ask)

    assert waiting == held_order
    assert isinstance(collected, Issued)
    assert isinstance(again, Issued)
    assert again.repeated
    assert again.record == collected.record
    (certificate,) = await site.certificates()
    request = site.request(ask).certificate_request
    assert certificate.spki_sha256 == request.spki_sha256
    assert collected.record.certificate.public_key() == request.public_key


async def test_scep_26_a_poll_for_another_transaction_or_by_another_key_finds_nothing() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    await held_as(site, ask)

    findings = []
    for result in (
        await poll(site, ask, reference="t-2"),
        await poll(site, replace(ask, key=a_new_key())),
        await poll(site, replace(ask, profile="operational")),
        await site.pipeline.poll(PollRequest(origin=site.origin(ask), reference="t-1")),
    ):
        assert isinstance(result, Rejected)
        assert result.reason is FailureReason.CERTIFICATE_UNKNOWN
        findings.append(result.finding)

    assert findings == ["order_unknown"] * 4


async def test_a_poll_may_be_proven_by_the_credential_that_opened_the_order() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    await held_as(site, ask)
    order = await newest(site)
    assert order.wish is not None

    origin, code = site.origin(ask), order.wish.credential_id
    result = await site.pipeline.poll(
        PollRequest(origin=origin, reference="t-1", credential_id=code)
    )

    assert isinstance(result, Pending)


async def test_scep_54_a_poll_after_the_window_finds_nothing() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    await held_as(site, ask)
    await approve(site)
    await poll(site, ask)
    site.clock.advance(timedelta(hours=24, seconds=1))

    result = await poll(site, ask)

    assert isinstance(result, Rejected)
    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_UNKNOWN,
        "order_answered",
    )


async def test_scep_55_a_new_transaction_with_the_same_key_joins_the_order() -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    first = await held_as(site, ask)

    second = await held_as(site, ask, reference="t-2")

    assert first == second
    assert isinstance(await poll(site, ask, reference="t-2"), Pending)
    assert len(await site.orders()) == 1


@pytest.mark.parametrize(
    ("decide", "finding"), [(reject, "approval_rejected"), (disable, "device_disabled")]
)
async def test_a_poll_is_told_of_the_end_of_its_order(decide: object, finding: str) -> None:
    site = await a_manual_site()
    ask = await first_enrollment(site)
    await held_as(site, ask)
    await decide(site)  # type: ignore[operator]  # one of the arrangements above

    result = await poll(site, ask)

    assert isinstance(result, Rejected)
    assert result.finding == finding


async def test_a_poll_leads_to_the_certificate_though_its_code_expired_meanwhile() -> None:
    site = await a_manual_site()
    await site.register()
    ask = by_code("pump-1", await site.code())
    site.clock.advance(WEEK - timedelta(minutes=1))
    await held_as(site, ask)
    site.clock.advance(timedelta(hours=1))
    await approve(site)

    assert isinstance(await poll(site, ask), Issued)


async def test_a_polled_renewal_is_judged_by_its_certificate_as_it_is_now() -> None:
    site = await open_site()
    ask = await renewal_in_time(site)
    await held_as(site, ask)
    await approve(site)
    (record,) = await site.certificates()
    changed = replace(record, status=CertificateStatus.SUPERSEDED, superseded_at=site.clock.now())

    def stage(uow: UnitOfWork) -> None:
        uow.certificates.save(changed, was=record)

    await store(site.registry, stage)
    result = await poll(site, ask)

    assert isinstance(result, Rejected)
    assert result.finding == "certificate_superseded"


async def test_a_polled_renewal_leads_to_the_successor() -> None:
    site = await open_site()
    ask = await renewal_in_time(site)
    await held_as(site, ask)
    await approve(site)

    result = await poll(site, ask)

    assert isinstance(result, Issued)
    assert result.record.status is CertificateStatus.PENDING_CONFIRM


async def test_the_names_of_a_held_request_are_kept_whatever_they_are() -> None:
    site = await a_manual_site()
    await site.register()
    odd = replace(by_code("pump-1", await site.code()), subject=a_name("Pümpe \u00fc, O=Acme + x"))
    await held_as(site, odd)
    await approve(site)

    assert isinstance(await poll(site, odd), Issued)
