"""A group's secret under a reference: by every protocol, within its dates, and so often."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.credentials import CredentialKind, HTTPBasic, SharedSecretMAC
from enroll.failures import FailureReason, Refused
from enroll.group_secrets import (
    MAXIMUM_USES,
    MOST,
    GroupSecretError,
    SecretTerms,
    read_reference,
    show_reference,
)
from enroll.profiles import Approval, ProtocolName
from enroll.request import Acknowledgement, Confirmation, PollRequest
from enroll.result import Issued, Pending, Rejected
from tests.support.approvals import approve
from tests.support.builders import GROUP, a_group, a_policy, an_enrollment_profile, an_id
from tests.support.builders import PASSCODE_REFERENCE as REFERENCE
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Site, a_new_key, open_site
from tests.support.fakes import START
from tests.support.passcodes import a_passcode, ask, secrets_of, shown

PROFILE = an_enrollment_profile(
    initial_credentials=frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})
)
OTHERS = replace(a_group("others"), group_id=an_id("others"))
DAY = timedelta(days=1)


async def a_site(*, approval: Approval = Approval.AUTO) -> Site:
    group = replace(a_policy().groups[GROUP], group_secret_approval=approval)
    site = await open_site(a_policy(group, OTHERS, PROFILE))
    await site.register("pump-1")
    await site.register("pump-2")
    return site


@pytest.fixture(params=ProtocolName)
def way(request: pytest.FixtureRequest) -> ProtocolName:
    found: ProtocolName = request.param
    return found


async def wrong(site: Site) -> str:
    await a_passcode(site)
    return "AAAA-BBBB-CCCC-DDDD-EEEE"


async def of_another_group(site: Site) -> str:
    return (await a_passcode(site, group=OTHERS.group_id)).clear


async def not_yet_good(site: Site) -> str:
    return (await a_passcode(site, not_before=site.clock.now() + DAY)).clear


async def no_longer_good(site: Site) -> str:
    made = await a_passcode(site, expires_at=site.clock.now() + DAY)
    site.clock.advance(DAY)
    return made.clear


async def used_up(site: Site) -> str:
    made = await a_passcode(site, uses=1)
    assert isinstance(await ask(site, ProtocolName.EST, made.clear, name="pump-2"), Issued)
    return made.clear


async def removed(site: Site) -> str:
    made = await a_passcode(site)
    await secrets_of(site).remove(GROUP, made.secret.secret_id, actor=OPERATOR)
    return made.clear


@pytest.mark.parametrize(
    ("arrange", "finding"),
    [
        (wrong, None),
        (of_another_group, None),
        (not_yet_good, "passcode_not_yet_valid"),
        (no_longer_good, "passcode_expired"),
        (used_up, "passcode_exhausted"),
        (removed, None),
    ],
)
async def test_lifecycle_DC16_a_passcode_that_is_not_good_proves_nothing(
    arrange: Callable[[Site], Awaitable[str]], finding: str | None, way: ProtocolName
) -> None:
    site = await a_site()
    code = await arrange(site)

    result = await ask(site, way, code)

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED
    assert not await site.certificates()
    attempt = (await site.attempts())[0]
    assert finding in {None, attempt.finding}


@pytest.mark.parametrize("way", [ProtocolName.EST, ProtocolName.CMP])
async def test_a_passcode_under_another_reference_proves_nothing(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)

    for reference in ("pump-1", "bench2", "BENCH", ""):
        result = await ask(site, way, made.clear, reference=reference)

        assert isinstance(result, Rejected)
        assert result.reason is FailureReason.NOT_AUTHENTICATED


async def test_lifecycle_2_3_a_passcode_never_takes_a_device_over(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)
    assert isinstance(await ask(site, way, made.clear), Issued)

    result = await ask(site, way, made.clear)

    assert isinstance(result, Rejected)
    assert result.finding == "clone_suspected"
    assert len(await site.certificates()) == 1


async def test_one_reference_serves_the_devices_that_requests_name(way: ProtocolName) -> None:
    site = await a_site()
    made = await a_passcode(site)

    for name in ("pump-1", "pump-2"):
        result = await ask(site, way, made.clear, name=name)

        assert isinstance(result, Issued)
        assert result.record.device_id == (await site.device(name)).device_id
        assert result.record.certificate.subject == a_name(name)


async def test_a_reference_that_is_a_devices_name_too_is_no_conflict(way: ProtocolName) -> None:
    site = await a_site()
    await site.register(REFERENCE)
    made = await a_passcode(site)

    result = await ask(site, way, made.clear)

    assert isinstance(result, Issued)
    assert result.record.device_id == (await site.device()).device_id


async def test_a_device_of_a_references_name_keeps_its_own_code(way: ProtocolName) -> None:
    site = await a_site()
    await site.register(REFERENCE)
    await a_passcode(site)

    result = await ask(site, way, await site.code(REFERENCE), name=REFERENCE)

    assert isinstance(result, Issued)
    assert result.record.device_id == (await site.device(REFERENCE)).device_id


async def test_names_of_two_devices_in_one_request_are_a_conflict(way: ProtocolName) -> None:
    site = await a_site()
    await site.register("pump-3", serial_number="SN-3")
    made = await a_passcode(site)

    number = x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-3")
    subject = x509.Name([*a_name("pump-1"), number])

    result = await ask(site, way, made.clear, subject=subject)

    assert isinstance(result, Rejected)
    assert result.finding == "identity_conflict"


async def test_a_reference_may_be_any_octets() -> None:
    site = await a_site()
    octets = bytes(range(250, 256)) + b"\0\xc3\x28"
    made = await secrets_of(site).add(GROUP, SecretTerms(reference=octets), actor=OPERATOR)
    request = shown(site, ProtocolName.CMP, made.clear)
    mac = SharedSecretMAC(
        username="\ufffd", matches=lambda each: each == made.clear, references=(octets,)
    )

    result = await site.pipeline.handle(replace(request, credentials=(mac,)))

    assert isinstance(result, Issued)


async def test_the_same_request_again_counts_once_even_when_the_last_use_is_gone(
    way: ProtocolName,
) -> None:
    site = await a_site()
    made = await a_passcode(site, uses=1)
    key = a_new_key()

    results = [await ask(site, way, made.clear, key=key) for _ in range(3)]

    assert all(isinstance(each, Issued) for each in results)
    assert [each.repeated for each in results if isinstance(each, Issued)] == [False, True, True]
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 1}


async def test_of_many_devices_at_once_as_many_get_one_as_there_are_uses(way: ProtocolName) -> None:
    site = await a_site()
    names = [f"meter-{number}" for number in range(8)]
    for name in names:
        await site.register(name)
    made = await a_passcode(site, uses=3)

    results = await asyncio.gather(*(ask(site, way, made.clear, name=each) for each in names))

    assert sum(isinstance(each, Issued) for each in results) == 3
    refused = {each.finding for each in results if isinstance(each, Rejected)}
    assert refused == {"passcode_exhausted"}


async def test_what_waits_for_a_person_has_its_use_and_takes_no_other(way: ProtocolName) -> None:
    site = await a_site(approval=Approval.MANUAL)
    made = await a_passcode(site, uses=1)
    key = a_new_key()
    assert isinstance(await ask(site, way, made.clear, key=key, transaction="t-1"), Pending)
    assert isinstance(await ask(site, way, made.clear, key=key, transaction="t-2"), Pending)
    other = await ask(site, way, made.clear, name="pump-2", transaction="t-3")
    await approve(site)

    result = await ask(site, way, made.clear, key=key, transaction="t-4")

    assert isinstance(other, Rejected)
    assert isinstance(result, Issued)
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 1}


async def test_cmp_a_poll_under_the_passcode_collects_what_was_approved() -> None:
    site = await a_site(approval=Approval.MANUAL)
    made = await a_passcode(site, uses=1)
    request = shown(site, ProtocolName.CMP, made.clear, transaction="t-1")
    assert isinstance(await site.pipeline.handle(request), Pending)
    await approve(site)
    poll = PollRequest(origin=request.origin, reference="t-1", credentials=request.credentials)

    result = await site.pipeline.poll(poll)

    assert isinstance(result, Issued)


async def test_cmp_a_certificate_of_the_last_use_is_confirmed_under_the_passcode() -> None:
    site = await a_site()
    made = await a_passcode(site, uses=1, lifetime=timedelta(minutes=1))
    asked = shown(site, ProtocolName.CMP, made.clear, transaction="t-1")
    request = replace(asked, acknowledgement=Acknowledgement.DUE)
    issued = await site.pipeline.handle(request)
    assert isinstance(issued, Issued)
    site.clock.advance(timedelta(hours=1))

    result = await site.pipeline.confirm(
        Confirmation(
            origin=request.origin,
            reference="t-1",
            accepted=True,
            is_about=lambda der: der == issued.record.der,
            credentials=request.credentials,
        )
    )

    assert isinstance(result, Issued)
    assert (await site.certificates())[0].confirmed_at is not None


async def test_a_reference_is_one_groups_in_a_tenant() -> None:
    site = await a_site()
    made = await a_passcode(site)

    for group in (GROUP, OTHERS.group_id):
        with pytest.raises(Refused, match="goes by this reference"):
            await a_passcode(site, group=group)

    await secrets_of(site).remove(GROUP, made.secret.secret_id, actor=OPERATOR)
    await a_passcode(site, group=OTHERS.group_id)


async def test_passcodes_take_no_place_of_the_two_secrets_that_go_by_names() -> None:
    site = await a_site()
    for number in range(MOST + 1):
        await a_passcode(site, reference=f"bench-{number}")

    made = [await secrets_of(site).add(GROUP, SecretTerms(), actor=OPERATOR) for _ in range(MOST)]

    request = shown(site, ProtocolName.EST, "")
    by_name = HTTPBasic(username="pump-1", password=made[-1].clear)
    result = await site.pipeline.handle(replace(request, credentials=(by_name,)))
    assert isinstance(result, Issued)


@pytest.mark.parametrize(
    "terms",
    [
        SecretTerms(reference=b""),
        SecretTerms(reference=bytes(129)),
        SecretTerms(uses=0),
        SecretTerms(uses=MAXIMUM_USES + 1),
        SecretTerms(lifetime=DAY, expires_at=START + DAY),
        SecretTerms(expires_at=START - DAY),
        SecretTerms(not_before=START + DAY, expires_at=START + DAY),
        SecretTerms(not_before=START + timedelta(days=9_999)),
        SecretTerms(lifetime=timedelta(days=9_999)),
    ],
)
async def test_terms_that_cannot_be_are_refused(terms: SecretTerms) -> None:
    site = await a_site()

    with pytest.raises(GroupSecretError):
        await secrets_of(site).add(GROUP, terms, actor=OPERATOR)


@pytest.mark.parametrize("octets", [b"bench", "Prüfstand 7".encode(), b"\0\xff", b"hex:00", b"a\n"])
def test_a_reference_is_shown_so_that_it_can_be_given_again(octets: bytes) -> None:
    assert read_reference(show_reference(octets)) == octets


def test_a_reference_that_is_no_hex_is_refused() -> None:
    with pytest.raises(GroupSecretError, match="hexadecimal"):
        read_reference("hex:0g")
