"""A device that nobody registered joins a group by a passcode: whom it lets in, and whom not."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.credentials import CredentialKind
from enroll.device import DeviceSource, DeviceState, IdentityKind
from enroll.events import EventName, Outcome
from enroll.failures import FailureReason
from enroll.key_generation import KeyWish
from enroll.options import ESTOptions
from enroll.orders import OrderState
from enroll.policy.profiles import MOST_NEWCOMERS, PolicyError
from enroll.profiles import Approval, GroupStatus, ProtocolName, RegistrationMode
from enroll.request import Acknowledgement, Confirmation, PollRequest
from enroll.result import Issued, Pending, Rejected
from enroll.ruling import Ruling
from enroll.tallies import day_of, newcomers_of
from tests.support.approvals import APPROVER, approve_device
from tests.support.builders import (
    GROUP,
    a_certificate_profile,
    a_policy,
    an_enrollment_profile,
    an_id,
)
from tests.support.csr import a_name, some_key_usage
from tests.support.enrollment import OPERATOR, Site, a_new_key, by_code, open_site
from tests.support.fakes import FixedClock
from tests.support.passcodes import a_passcode, ask, secrets_of, shown
from tests.support.registries import look

EST, CMP = ProtocolName.EST, ProtocolName.CMP


class TickingClock(FixedClock):
    """Goes on a little whenever it is looked at, as clocks do."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=1))
        return super().now()


async def a_site(*parts: Any, clock: FixedClock | None = None, **group: object) -> Site:
    """Open a site whose group lets devices join at once, but for what is given."""
    profile = an_enrollment_profile(
        initial_credentials=frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET}),
        subject_names_newcomers=True,
    )
    changes: dict[str, Any] = {
        "registration_mode": RegistrationMode.JUST_IN_TIME,
        "group_secret_approval": Approval.AUTO,
        **group,
    }
    open_group = replace(a_policy().groups[GROUP], **changes)
    return await open_site(a_policy(open_group, *(parts or (profile,))), clock=clock)


async def be_refused(site: Site, code: str, way: ProtocolName = EST, **details: Any) -> Rejected:
    before = {each.name for each in await devices(site)}
    result = await ask(site, way, code, **details)
    assert isinstance(result, Rejected), result
    assert {each.name for each in await devices(site)} == before
    return result


async def devices(site: Site) -> Any:
    return await look(site.registry, lambda uow: uow.devices.list())


async def told_of_nobody(site: Site) -> list[EventName]:
    events = await look(site.registry, lambda uow: uow.events.of_device(None))  # type: ignore[arg-type]  # of no device
    return [each.name for each in events if each.name.startswith("device.")]


@pytest.fixture(params=ProtocolName)
def way(request: pytest.FixtureRequest) -> ProtocolName:
    found: ProtocolName = request.param
    return found


async def test_lifecycle_DC5_nobody_joins_a_group_of_registered_devices(way: ProtocolName) -> None:
    site = await a_site(registration_mode=RegistrationMode.PRE_REGISTERED)
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "identity_unknown")
    attempt = (await site.attempts())[0]
    assert attempt.outcome is Outcome.DENIED
    assert "registration_mode" in (attempt.detail or "")


async def test_lifecycle_DC13_nobody_joins_a_disabled_group(way: ProtocolName) -> None:
    site = await a_site(status=GroupStatus.DISABLED)
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "group_disabled")


async def test_nobody_joins_where_the_profile_takes_no_names_of_requests(way: ProtocolName) -> None:
    site = await a_site()
    await site.change_policy(bootstrap={"subject_names_newcomers": False})
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "identity_unknown")


async def test_nobody_joins_by_a_secret_that_goes_by_names() -> None:
    site = await a_site()
    made = await secrets_of(site).add(GROUP, actor=OPERATOR)

    result = await site.send(by_code("pump-1", made.clear))

    assert isinstance(result, Rejected)
    assert not await devices(site)


async def test_nobody_joins_by_a_passcode_without_uses_left(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site, uses=1)
    assert isinstance(await ask(site, way, made.clear, name="pump-1"), Issued)

    result = await be_refused(site, made.clear, way, name="pump-2")

    assert result.finding == "passcode_exhausted"


async def test_lifecycle_2_3_who_joins_never_takes_a_device_over(way: ProtocolName) -> None:
    site = await a_site()
    held = await site.enroll("pump-1", serial_number="SN-1")
    made = await a_passcode(site)
    number = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-1")])

    for subject in (a_name("pump-1"), number, a_name("SN-1"), x509.Name([*a_name("new"), *number])):
        result = await be_refused(site, made.clear, way, subject=subject)

        assert result.finding in {"clone_suspected", "identity_conflict"}
    (record,) = await site.certificates()
    assert record.der == held.der


async def test_who_joined_is_no_more_open_to_others_than_any_device(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)
    assert isinstance(await ask(site, way, made.clear), Issued)

    result = await be_refused(site, made.clear, way)

    assert result.finding == "clone_suspected"
    assert len(await site.certificates()) == 1


async def test_a_name_of_another_group_is_not_taken(way: ProtocolName) -> None:
    other = replace(a_policy().groups[GROUP], group_id=an_id("others"), name="others")
    profile = an_enrollment_profile(
        initial_credentials=frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET}),
        subject_names_newcomers=True,
    )
    site = await a_site(other, profile)
    await site.register("pump-1", group="others")
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way)

    assert result.reason is FailureReason.NOT_AUTHENTICATED


async def test_a_passcode_alone_says_that_the_name_may_be_of_another_group(
    way: ProtocolName,
) -> None:
    other = replace(a_policy().groups[GROUP], group_id=an_id("others"), name="others")
    profile = an_enrollment_profile(
        initial_credentials=frozenset({CredentialKind.GROUP_SECRET}), subject_names_newcomers=True
    )
    site = await a_site(other, profile)
    await site.register("pump-1", group="others")
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "code_wrong")
    assert "of another group" in ((await site.attempts())[0].detail or "")


async def test_a_passcode_where_none_is_taken_is_told_by_the_option_that_lacks() -> None:
    site = await a_site(
        an_enrollment_profile(initial_credentials=frozenset({CredentialKind.ONE_TIME_CODE}))
    )
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, ProtocolName.CMP)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "identity_unknown")
    assert "initial_credentials" in ((await site.attempts())[0].detail or "")


async def test_names_of_others_in_the_request_are_a_conflict(way: ProtocolName) -> None:
    site = await a_site()
    known = await site.register("pump-1")
    made = await a_passcode(site)
    names = [x509.UniformResourceIdentifier(f"urn:uuid:{known.device_id}")]

    result = await be_refused(site, made.clear, way, name="pump-2", names=names)

    assert result.finding == "identity_conflict"


async def test_security_C5_a_key_of_another_device_is_refused_and_told_to_both(
    way: ProtocolName,
) -> None:
    site = await a_site()
    held = await site.enroll("pump-1")
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, way, name="pump-2", key=held.key)

    assert result.finding == "key_reuse"
    assert EventName.ENROLLMENT_CLONE_SUSPECTED in {each.name for each in await site.events()}
    assert await told_of_nobody(site) == [EventName.DEVICE_AUTO_PROVISION_FAILED]


@pytest.mark.parametrize(
    "subject",
    [
        a_name("To be filled by O.E.M."),
        a_name("none"),
        a_name("0000000"),
        a_name("pump:1"),
        a_name("pump\x07"),
        a_name(" \u00a0"),
        x509.Name([]),
        x509.Name([*a_name("one"), *a_name("two")]),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Works")]),
        x509.Name([*a_name("one"), x509.NameAttribute(NameOID.SERIAL_NUMBER, "Default string")]),
    ],
)
async def test_a_name_that_is_none_is_refused(subject: x509.Name) -> None:
    site = await a_site()
    made = await a_passcode(site)

    result = await be_refused(site, made.clear, CMP, subject=subject)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "newcomer_name")


async def test_a_deleted_devices_name_is_not_given_again() -> None:
    site = await a_site(device_approval=frozenset({DeviceSource.AUTO}))
    made = await a_passcode(site)
    assert isinstance(await ask(site, EST, made.clear), Pending)
    order = await site.approvals.of_device((await site.device()).device_id)
    await site.approvals.reject(order.order_id, "unknown to us", actor=APPROVER)

    result = await be_refused(site, made.clear)

    assert result.finding == "identity_tombstoned"


async def test_lifecycle_T05_no_more_join_in_a_day_than_the_group_takes(way: ProtocolName) -> None:
    site = await a_site(newcomers_per_day=2)
    made = await a_passcode(site)
    names = [f"meter-{number}" for number in range(5)]

    results = await asyncio.gather(*(ask(site, way, made.clear, name=each) for each in names))

    assert sum(isinstance(each, Issued) for each in results) == 2
    assert {each.finding for each in results if isinstance(each, Rejected)} == {"newcomers_limit"}
    assert len(await devices(site)) == 2
    today = day_of(site.clock.now())
    assert await look(site.registry, lambda uow: uow.tallies.read(newcomers_of(GROUP), today)) == 2

    site.clock.advance(timedelta(days=1))

    assert isinstance(await ask(site, way, made.clear, name="meter-9"), Issued)


async def test_lifecycle_T05_who_joins_is_registered_with_its_certificate(
    way: ProtocolName,
) -> None:
    site = await a_site()
    made = await a_passcode(site)
    number = x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-7")

    result = await ask(site, way, made.clear, subject=x509.Name([*a_name("meter-7"), number]))

    assert isinstance(result, Issued)
    device = await site.device("meter-7")
    assert result.record.device_id == device.device_id
    assert (device.state, device.source) == (DeviceState.REGISTERED, "auto")
    assert device.serial_number == "SN-7"
    assert device.description == "joined from 192.0.2.7"
    assert result.record.certificate.subject == x509.Name([*a_name("meter-7"), number])
    events = await site.events("meter-7")
    assert [each.name for each in events] == [
        EventName.DEVICE_AUTO_PROVISIONED,
        EventName.CERTIFICATE_ISSUED,
        EventName.DEVICE_ENROLLED,
    ]
    assert events[0].facts["secret"] == made.secret.secret_id
    attempt = (await site.attempts())[0]
    assert attempt.device_id == device.device_id
    assert "newcomer" in [each.name for each in attempt.trace]


async def test_one_reference_serves_many_subjects_of_one_bench(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)
    names = [f"dut-{number}" for number in range(12)]

    results = await asyncio.gather(*(ask(site, way, made.clear, name=each) for each in names))

    assert all(isinstance(each, Issued) for each in results)
    assert {each.name for each in await devices(site)} == set(names)


async def test_a_subject_of_a_number_alone_names_the_device_by_it() -> None:
    site = await a_site()
    made = await a_passcode(site)
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-9")])

    result = await ask(site, CMP, made.clear, subject=subject)

    assert isinstance(result, Issued)
    device = await site.device("SN-9")
    assert [(each.kind, each.value) for each in device.identities] == [
        (IdentityKind.SERIAL_NUMBER, "SN-9")
    ]


async def test_the_subject_in_the_certificate_is_the_profiles_template_of_the_record() -> None:
    template = a_certificate_profile(subject=(("O", "Works"), ("CN", "{name}.lab")))
    profile = an_enrollment_profile(
        initial_credentials=frozenset({CredentialKind.GROUP_SECRET}), subject_names_newcomers=True
    )
    site = await a_site(template, profile)
    made = await a_passcode(site)

    result = await ask(site, CMP, made.clear, name="dut-1")

    assert isinstance(result, Issued)
    assert result.record.certificate.subject.rfc4514_string() == "CN=dut-1.lab,O=Works"


async def test_two_that_join_by_one_name_at_once_are_one_device(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)

    results = await asyncio.gather(*(ask(site, way, made.clear) for _ in range(4)))

    assert sum(isinstance(each, Issued) for each in results) == 1
    assert len(await site.certificates()) == 1


async def test_lifecycle_T13_the_same_request_again_joins_once_and_takes_one_use(
    way: ProtocolName,
) -> None:
    site = await a_site()
    made = await a_passcode(site, uses=5)
    key = a_new_key()

    first, second = [await ask(site, way, made.clear, key=key) for _ in range(2)]

    assert isinstance(first, Issued)
    assert isinstance(second, Issued)
    assert second.record == first.record
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 1}


@pytest.mark.parametrize(
    "group",
    [
        {"group_secret_approval": Approval.MANUAL},
        {"device_approval": frozenset({DeviceSource.AUTO})},
        {"approval": Approval.MANUAL},
    ],
)
async def test_lifecycle_T02_who_joins_waits_with_its_order_and_is_let_in_once(
    group: dict[str, Any], way: ProtocolName
) -> None:
    site = await a_site(**group)
    made = await a_passcode(site, uses=1)
    key = a_new_key()

    waiting = await ask(site, way, made.clear, key=key, transaction="t-1")
    assert isinstance(waiting, Pending)
    assert (await site.device()).state is DeviceState.PENDING_APPROVAL
    assert isinstance(await ask(site, way, made.clear, key=key, transaction="t-2"), Pending)
    await approve_device(site)
    result = await ask(site, way, made.clear, key=key, transaction="t-3")

    assert isinstance(result, Issued)
    assert (await site.device()).state is DeviceState.REGISTERED
    assert {each.state for each in await site.orders()} == {
        OrderState.APPROVED,
        OrderState.ISSUED,
    }


async def test_lifecycle_T03_who_joins_is_let_in_with_what_it_asked_for_as_time_goes_by(
    way: ProtocolName,
) -> None:
    site = await a_site(group_secret_approval=Approval.MANUAL, clock=TickingClock())
    made = await a_passcode(site)
    key = a_new_key()
    assert isinstance(await ask(site, way, made.clear, key=key, transaction="t-1"), Pending)

    await approve_device(site)

    result = await ask(site, way, made.clear, key=key, transaction="t-2")
    assert isinstance(result, Issued)


async def test_what_a_newcomer_asked_for_later_is_decided_on_by_itself() -> None:
    other = an_enrollment_profile(
        "other",
        initial_credentials=frozenset({CredentialKind.GROUP_SECRET}),
        subject_names_newcomers=True,
    )
    site = await a_site(
        an_enrollment_profile(
            initial_credentials=frozenset({CredentialKind.GROUP_SECRET}),
            subject_names_newcomers=True,
        ),
        other,
        group_secret_approval=Approval.MANUAL,
        clock=TickingClock(),
    )
    made = await a_passcode(site)
    key = a_new_key()
    assert isinstance(await ask(site, EST, made.clear), Pending)
    assert isinstance(await ask(site, EST, made.clear, key=key, profile="other"), Pending)

    await approve_device(site)

    (waiting,) = await site.orders(pending_only=True)
    assert waiting.profile == "other"


async def test_cmp_who_joins_and_waits_polls_under_the_passcode() -> None:
    site = await a_site(group_secret_approval=Approval.MANUAL)
    made = await a_passcode(site)
    request = shown(site, CMP, made.clear, transaction="t-1")
    assert isinstance(await site.pipeline.handle(request), Pending)
    poll = PollRequest(origin=request.origin, reference="t-1", credentials=request.credentials)
    assert isinstance(await site.pipeline.poll(poll), Pending)
    await approve_device(site)

    result = await site.pipeline.poll(poll)

    assert isinstance(result, Issued)


async def test_lifecycle_T03_who_is_turned_away_is_gone(way: ProtocolName) -> None:
    site = await a_site(group_secret_approval=Approval.MANUAL)
    made = await a_passcode(site)
    assert isinstance(await ask(site, way, made.clear), Pending)
    device = await site.device()
    order = await site.approvals.of_device(device.device_id)

    await site.approvals.reject(order.order_id, "unknown to us", actor=APPROVER)

    assert (await site.device()).state is DeviceState.DELETED
    assert not await site.orders(pending_only=True)


async def test_cmp_who_joins_is_registered_when_its_certificate_is_confirmed() -> None:
    site = await a_site()
    made = await a_passcode(site)
    request = replace(
        shown(site, CMP, made.clear, transaction="t-1"), acknowledgement=Acknowledgement.DUE
    )
    assert isinstance(await site.pipeline.handle(request), Issued)
    assert (await site.device()).state is DeviceState.ENROLLED

    await site.pipeline.confirm(
        Confirmation(
            origin=request.origin,
            reference="t-1",
            accepted=True,
            is_about=lambda _: True,
            credentials=request.credentials,
        )
    )

    assert (await site.device()).state is DeviceState.REGISTERED


async def test_a_webhook_that_is_asked_sees_one_device_and_may_enrich_it() -> None:
    site = await a_site()
    await site.change_policy(bootstrap={"decision_webhook": "mdm"})
    made = await a_passcode(site)
    site.decision_maker.ruling = Ruling(allowed=True, attributes={"site": "plant-7"})

    result = await ask(site, EST, made.clear)

    assert isinstance(result, Issued)
    assert len(site.decision_maker.asked) == 1
    assert (await site.device()).attributes == {"site": "plant-7"}


async def test_a_webhook_that_says_no_leaves_no_device() -> None:
    site = await a_site()
    await site.change_policy(bootstrap={"decision_webhook": "mdm"})
    made = await a_passcode(site)
    site.decision_maker.ruling = Ruling(allowed=False)

    result = await be_refused(site, made.clear)

    assert result.finding == "webhook_denied"
    assert await told_of_nobody(site) == [EventName.DEVICE_AUTO_PROVISION_FAILED]


async def test_no_key_is_made_for_who_is_not_registered_yet() -> None:
    site = await a_site()
    made = await a_passcode(site)
    request = shown(site, EST, made.clear)
    wished = replace(request, key_wish=KeyWish(spki=request.certificate_request.spki))

    result = await site.pipeline.handle(wished)

    assert isinstance(result, Rejected)
    assert result.finding == "newcomer_without_key"
    assert not await devices(site)


async def test_est_A4_who_joins_holds_what_strangers_are_told_to() -> None:
    site = await a_site()
    await site.change_policy(bootstrap={"est": ESTOptions(enforce_attributes=True)})
    made = await a_passcode(site)
    subject = x509.Name([*a_name("dut-1"), x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-1")])
    good: dict[str, Any] = {
        "names": (x509.UniformResourceIdentifier("urn:uuid:unknown-yet"),),
        "purposes": (ExtendedKeyUsageOID.CLIENT_AUTH,),
        "key_usage": some_key_usage(digital_signature=True),
    }

    lacking = await be_refused(site, made.clear, EST, name="dut-1")
    result = await ask(site, EST, made.clear, subject=subject, **good)

    assert lacking.finding == "attributes_missing"
    assert isinstance(result, Issued)


async def test_a_refusal_is_told_with_the_name_that_was_said() -> None:
    site = await a_site(newcomers_per_day=1)
    made = await a_passcode(site)
    await ask(site, EST, made.clear, name="dut-1")

    await be_refused(site, made.clear, name="dut-2")

    attempt = (await site.attempts())[0]
    assert (attempt.device_id, attempt.device_name) == (None, "dut-2")
    assert attempt.finding == "newcomers_limit"


@pytest.mark.parametrize("number", [0, MOST_NEWCOMERS + 1])
async def test_a_limit_that_cannot_be_is_not_stored(number: int) -> None:
    site = await a_site()
    group = (await site.policy()).groups[GROUP]

    with pytest.raises(PolicyError, match="newcomers_per_day"):
        await site.administration.put_group(
            replace(group, newcomers_per_day=number), new=False, actor=OPERATOR
        )


async def test_security_P15_a_newcomer_does_not_vouch_for_its_key() -> None:
    site = await a_site()
    made = await a_passcode(site)
    request = replace(shown(site, CMP, made.clear), possession_vouched=True)

    result = await site.pipeline.handle(request)

    assert isinstance(result, Rejected)
    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "possession_vouched")
    assert not await devices(site)
