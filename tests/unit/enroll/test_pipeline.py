from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.credentials import CredentialKind
from enroll.device import DeviceState
from enroll.events import EnrollmentEvent, EventName, Outcome
from enroll.failures import AuthorityUnavailable, FailureReason, Malformed
from enroll.profiles import CertificateClass, ProtocolName
from enroll.request import Operation
from enroll.result import Issued, Rejected
from tests.support import arrangements, renewals
from tests.support.builders import TENANT, a_group, a_policy, an_enrollment_profile
from tests.support.cases import BOTH, CASES, Arrange, Case
from tests.support.enrollment import (
    PEER,
    Site,
    a_new_key,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.interruptions import (
    InterruptedRegistry,
    the_database_is_gone,
)
from tests.support.matrix import MATRIX

UNTOLD = frozenset(
    {
        FailureReason.NOT_AUTHENTICATED,
        FailureReason.SIGNER_NOT_TRUSTED,
        FailureReason.CA_UNAVAILABLE,
    }
)
UNPROVEN = frozenset(
    {
        (FailureReason.CERTIFICATE_REVOKED, "certificate_revoked"),
        (FailureReason.CERTIFICATE_REVOKED, "key_compromised"),
        (FailureReason.NOT_AUTHORIZED, "certificate_expired"),
        (FailureReason.NOT_AUTHORIZED, "certificate_not_yet_valid"),
        (FailureReason.NOT_AUTHORIZED, "certificate_purpose"),
    }
)
"""What is found of certificates that prove nothing any more: they are as strangers'."""


async def every_event(site: Site) -> list[EnrollmentEvent]:
    async with site.registry.unit_of_work() as uow:
        devices = await uow.devices.list()
        return [event for each in devices for event in await uow.events.of_device(each.device_id)]


@pytest.mark.parametrize("protocol", [ProtocolName.SCEP, ProtocolName.CMP])
async def test_lifecycle_T07_a_protocol_that_the_profile_does_not_take_is_refused(
    protocol: ProtocolName,
) -> None:
    only_est = frozenset({ProtocolName.EST})
    site = await open_site(a_policy(an_enrollment_profile(protocols=only_est)))
    request = site.request(await arrangements.first_enrollment(site))
    other = replace(request, origin=replace(request.origin, protocol=protocol))

    result = await site.pipeline.handle(other)

    assert isinstance(result, Rejected)
    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "profile_unknown")
    assert await site.certificates() == []


async def test_a_profile_that_is_not_there_is_refused() -> None:
    site = await open_site()
    ask = await arrangements.first_enrollment(site)

    refusal = await site.be_refused(replace(ask, profile="nowhere"))

    assert refusal.finding == "profile_unknown"
    assert (await site.attempts())[0].profile == "nowhere"


async def test_without_a_tenant_there_is_no_default_profile() -> None:
    site = Site()

    refusal = await site.be_refused(by_code("pump-1", "code"))

    assert refusal.finding == "profile_unknown"


async def test_the_default_profile_is_what_the_tenant_says() -> None:
    site = await open_site(
        a_policy(replace(a_policy().tenants[TENANT], default_profile="operational"))
    )
    held = await site.obtain(
        replace(await arrangements.first_enrollment(site), profile="bootstrap")
    )

    operational = await site.obtain(by_certificate(held, profile=None))

    assert (await site.record_of(operational)).profile == "operational"


async def test_a_renewal_without_a_profile_by_a_stranger_is_for_the_default() -> None:
    site = await open_site()
    stranger = arrangements.forged(await site.enroll())

    refusal = await site.be_refused(renewal(stranger))

    assert refusal.finding == "certificate_not_ours"
    assert (await site.attempts())[0].trace[0].note == "bootstrap"


@pytest.mark.parametrize("case", [*CASES, *MATRIX], ids=lambda case: case.name)
async def test_errors_6_every_request_leaves_one_attempt_with_its_trace(case: Case) -> None:
    site = await open_site(case.policy)
    request = site.request(await case.arrange(site))
    before = len(await site.attempts())

    await site.pipeline.handle(request)

    attempts = await site.attempts()
    attempt = attempts[0]
    assert len(attempts) == before + 1
    assert attempt.attempt_id == request.origin.correlation_id
    assert attempt.peer_address == PEER
    assert attempt.request_sha256 == request.certificate_request.der_sha256
    assert attempt.spki_sha256 == request.certificate_request.spki_sha256
    assert attempt.trace[0].name == "profile"
    assert bool(attempt.serial_number) is (case.reason is None and not case.pending)
    assert bool(attempt.detail) is (case.reason is not None)


@pytest.mark.parametrize(
    "case", [each for each in (*CASES, *MATRIX) if each.reason], ids=lambda case: case.name
)
async def test_a_refusal_changes_nothing_but_the_records_of_it(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    device, certificates = await site.device(), await site.certificates()
    told = await every_event(site)

    await site.send(ask)

    assert await site.device() == device
    assert await site.certificates() == certificates
    new = {each.name for each in await every_event(site) if each not in told}
    assert new <= {
        EventName.ENROLLMENT_DENIED,
        EventName.CODE_REUSED,
        EventName.ENROLLMENT_CLONE_SUSPECTED,
    }
    is_told = case.reason not in UNTOLD or case.finding == "code_reused"
    of_a_device = (await site.attempts())[0].device_id is not None
    is_proven = (case.reason, case.finding) not in UNPROVEN
    assert bool(new) is (is_told and of_a_device and is_proven)


@pytest.mark.parametrize(
    ("arrange", "name"),
    [
        (arrangements.used_code_with_another_key, EventName.CODE_REUSED),
        (renewals.by_its_predecessor_once_it_was_used, EventName.ENROLLMENT_CLONE_SUSPECTED),
        (arrangements.key_of_another, EventName.ENROLLMENT_CLONE_SUSPECTED),
        (arrangements.disabled_with_a_code, EventName.ENROLLMENT_DENIED),
        (arrangements.certificate_where_none_is_taken, EventName.ENROLLMENT_DENIED),
    ],
)
async def test_lifecycle_2_7_what_a_proven_device_is_refused_is_in_its_history(
    arrange: Arrange, name: EventName
) -> None:
    site = await open_site()
    ask = await arrange(site)

    refusal = await site.be_refused(ask)

    told = (await site.events())[-1]
    assert (told.name, told.actor) == (name, "system")
    assert told.correlation_id == refusal.correlation_id
    assert told.facts["finding"] == refusal.finding
    assert told.facts["peer_address"] == PEER


async def test_lifecycle_2_7g_a_shared_key_is_told_in_both_histories() -> None:
    site = await open_site()
    ask = await arrangements.key_of_another(site)

    await site.be_refused(ask)

    mine, theirs = (await site.events())[-1], (await site.events("pump-2"))[-1]
    assert mine.name is theirs.name is EventName.ENROLLMENT_CLONE_SUSPECTED
    assert mine.facts == theirs.facts
    assert theirs.facts["requested_by"] == (await site.device()).device_id


async def test_lifecycle_2_3_a_conflict_of_identities_names_both_devices() -> None:
    site = await open_site()
    ask = await arrangements.subject_of_another(site)

    await site.be_refused(ask)

    told = (await site.events())[-1]
    assert told.facts["finding"] == "identity_conflict"
    assert told.facts["requested_by"] == (await site.device()).device_id
    assert told.facts["rivals"] == [(await site.device("pump-2")).device_id]


async def test_lifecycle_T09_every_state_on_the_way_is_told_once() -> None:
    site = await open_site(
        a_policy(
            an_enrollment_profile(certificate_class=CertificateClass.OPERATIONAL),
            a_group(required_profiles=("bootstrap",)),
        )
    )
    ask = await arrangements.first_enrollment(site)
    told = len(await site.events())

    await site.obtain(ask)

    assert (await site.device()).state is DeviceState.PROVISIONED
    new = (await site.events())[told:]
    assert [each.name for each in new] == [
        EventName.CERTIFICATE_ISSUED,
        EventName.CODE_USED,
        EventName.DEVICE_ENROLLED,
        EventName.DEVICE_PROVISIONED,
    ]
    assert [(each.facts["before"], each.facts["after"]) for each in new[2:]] == [
        ("enrolled", "registered"),
        ("registered", "provisioned"),
    ]
    assert len({each.correlation_id for each in new}) == 1


async def test_lifecycle_T12_a_re_enrollment_is_told() -> None:
    site = await open_site()
    ask = await arrangements.fresh_code(site)

    await site.obtain(ask)

    assert (await site.events())[-1].name is EventName.DEVICE_RE_ENROLLED


async def test_lifecycle_T13_a_repetition_gets_the_very_certificate_and_its_chain() -> None:
    site = await open_site()
    ask = await arrangements.first_enrollment(site)
    first = await site.send(ask)
    told = len(await site.events())

    again = await site.send(ask)

    assert isinstance(first, Issued)
    assert again == replace(first, repeated=True)
    assert len(await site.events()) == told


async def test_a_message_that_cannot_be_read_leaves_an_attempt_too() -> None:
    site = await open_site()
    origin = site.origin(by_code("pump-1", "code"))

    refusal = await site.pipeline.refuse(origin, Malformed("no DER", finding="not_base64"))

    (attempt,) = await site.attempts()
    assert (refusal.reason, attempt.finding) == (FailureReason.MALFORMED_REQUEST, "not_base64")
    assert (attempt.device_id, attempt.request_sha256, attempt.spki_sha256) == (None, None, None)
    assert [(each.name, each.passed) for each in attempt.trace] == [("message", False)]


async def test_a_fault_of_ours_counts_as_failed_not_as_denied() -> None:
    site = await open_site()
    origin = site.origin(by_code("pump-1", "code"))

    await site.pipeline.refuse(origin, AuthorityUnavailable("down"))

    assert (await site.attempts())[0].outcome is Outcome.FAILED


async def test_what_cannot_be_recorded_is_not_issued() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.first_enrollment(site)
    registry.interruptions.append(the_database_is_gone)

    refusal = await site.be_refused(ask)
    again = await site.send(ask)

    assert (refusal.reason, refusal.finding) == (
        FailureReason.CA_UNAVAILABLE,
        "registry_unavailable",
    )
    assert refusal.retry_after == 5
    assert isinstance(again, Issued)
    assert not again.repeated


async def test_a_refusal_that_cannot_be_recorded_is_told_as_unavailable() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.wrong_code(site)
    registry.interruptions.append(the_database_is_gone)

    refusal = await site.be_refused(ask)

    assert refusal.reason is FailureReason.CA_UNAVAILABLE
    assert "code_wrong" in refusal.detail
    assert refusal.field is None
    assert await site.attempts() == []


async def test_what_the_endpoint_takes_is_told_with_the_refusal() -> None:
    site = await open_site(a_policy(an_enrollment_profile(renewal_credentials=BOTH)))
    await site.register()
    first = by_code("pump-1", "wrong")

    refused = [
        await site.be_refused(first),
        await site.be_refused(replace(first, operation=Operation.RENEWAL)),
        await site.be_refused(replace(first, profile="operational")),
        await site.be_refused(replace(first, profile="nowhere")),
    ]

    assert [each.accepted for each in refused] == [
        {CredentialKind.ONE_TIME_CODE, CredentialKind.IDEVID, CredentialKind.AUTH_CA},
        BOTH,
        {CredentialKind.OWN_CERTIFICATE},
        frozenset(),
    ]


async def test_how_long_a_decision_took_is_recorded() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    ask = await arrangements.first_enrollment(site)
    request = site.request(ask)
    site.clock.advance(timedelta(milliseconds=3))

    await site.pipeline.handle(request)
    site.clock.advance(timedelta(seconds=-1))
    await site.pipeline.handle(site.request(replace(ask, key=a_new_key())))

    assert [each.latency_us for each in await site.attempts()] == [0, 3_000]
