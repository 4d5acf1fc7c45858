"""A secret that a group shares proves little: whom it lets in, and after whose decision."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.codes import CODES_TRIED
from enroll.credentials import ChallengePassword, CredentialKind, SharedSecretMAC
from enroll.events import EventName
from enroll.failures import FailureReason, NotFound, Refused
from enroll.group_secrets import (
    MOST,
    GroupSecretError,
    GroupSecrets,
    MadeSecret,
    SecretTerms,
)
from enroll.orders import OrderState
from enroll.profiles import Approval, DeviceGroup
from enroll.request import PollRequest
from enroll.result import Issued, Pending, Rejected
from enroll.shared_secrets import PASSCODES_TRIED
from tests.support.approvals import approve
from tests.support.builders import GROUP, a_group, a_policy, an_enrollment_profile, an_id
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Ask, Site, by_code, open_site, renewal

SHARED = an_enrollment_profile(
    initial_credentials=frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})
)
OTHER_GROUP = replace(a_group("others"), group_id=an_id("others"))


async def a_site(**changes: object) -> tuple[Site, GroupSecrets]:
    group: DeviceGroup = replace(a_policy().groups[GROUP], **changes)  # type: ignore[arg-type]  # a test's words
    site = await open_site(a_policy(group, OTHER_GROUP, SHARED))
    await site.register()
    return site, GroupSecrets(site.registry, site.vault, site.clock, site.randomness)


async def a_secret(secrets: GroupSecrets, group: str = GROUP) -> MadeSecret:
    return await secrets.add(group, SecretTerms(lifetime=timedelta(days=90)), actor=OPERATOR)


def by_challenge(ask: Ask, site: Site) -> Awaitable[object]:
    """Send it as SCEP has it: the secret by itself, the device named by the request's subject."""
    request = site.request(replace(ask, reference=None, code=None))
    assert ask.code is not None
    return site.pipeline.handle(
        replace(request, credentials=(ChallengePassword(password=ask.code),))
    )


async def by_basic(ask: Ask, site: Site) -> object:
    return await site.send(ask)


WAYS: dict[str, Callable[[Ask, Site], Awaitable[object]]] = {
    "basic": by_basic,
    "challenge": by_challenge,
}


@pytest.fixture(params=WAYS)
def send(request: pytest.FixtureRequest) -> Callable[[Ask, Site], Awaitable[object]]:
    return WAYS[request.param]


async def wrong(site: Site, secrets: GroupSecrets) -> Ask:
    del site
    await a_secret(secrets)
    return by_code("pump-1", "AAAA-BBBB-CCCC-DDDD-EEEE")


async def of_another_group(site: Site, secrets: GroupSecrets) -> Ask:
    del site
    await a_secret(secrets)
    return by_code("pump-1", (await a_secret(secrets, OTHER_GROUP.group_id)).clear)


async def of_nobody(site: Site, secrets: GroupSecrets) -> Ask:
    del site
    return by_code("pump-9", (await a_secret(secrets)).clear)


async def expired(site: Site, secrets: GroupSecrets) -> Ask:
    made = await a_secret(secrets)
    site.clock.advance(timedelta(days=90))
    return by_code("pump-1", made.clear)


async def removed(site: Site, secrets: GroupSecrets) -> Ask:
    del site
    made = await a_secret(secrets)
    await secrets.remove(GROUP, made.secret.secret_id, actor=OPERATOR)
    return by_code("pump-1", made.clear)


async def where_none_is_taken(site: Site, secrets: GroupSecrets) -> Ask:
    made = await a_secret(secrets)
    codes_only: dict[str, object] = {
        "initial_credentials": frozenset({CredentialKind.ONE_TIME_CODE})
    }
    await site.change_policy(bootstrap=codes_only)
    return by_code("pump-1", made.clear)


@pytest.mark.parametrize(
    "arrange", [wrong, of_another_group, of_nobody, expired, removed, where_none_is_taken]
)
async def test_a_secret_that_is_not_the_groups_proves_nothing(
    arrange: Callable[[Site, GroupSecrets], Awaitable[Ask]],
    send: Callable[[Ask, Site], Awaitable[object]],
) -> None:
    site, secrets = await a_site()

    result = await send(await arrange(site, secrets), site)

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED
    assert not await site.certificates()
    assert not await site.orders()


async def test_scep_24_a_group_secret_leads_to_a_persons_decision(
    send: Callable[[Ask, Site], Awaitable[object]],
) -> None:
    site, secrets = await a_site()
    ask = by_code("pump-1", (await a_secret(secrets)).clear)

    waiting = await send(ask, site)
    assert isinstance(waiting, Pending)
    await approve(site)
    result = await send(ask, site)

    assert isinstance(result, Issued)
    assert result.record.device_id == (await site.device()).device_id
    (order,) = await site.orders()
    assert order.state is OrderState.ISSUED


async def test_scep_24_where_the_group_says_so_it_gets_the_names_that_are_registered(
    send: Callable[[Ask, Site], Awaitable[object]],
) -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    ask = by_code("pump-1", (await a_secret(secrets)).clear)

    result = await send(ask, site)

    assert isinstance(result, Issued)
    assert result.record.certificate.subject == a_name("pump-1")


async def test_the_same_request_again_gets_the_same_certificate(
    send: Callable[[Ask, Site], Awaitable[object]],
) -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    ask = by_code("pump-1", (await a_secret(secrets)).clear)

    first, second = await send(ask, site), await send(ask, site)

    assert isinstance(first, Issued)
    assert isinstance(second, Issued)
    assert (second.repeated, second.record) == (True, first.record)


async def test_lifecycle_2_3_a_shared_secret_never_takes_a_device_over(
    send: Callable[[Ask, Site], Awaitable[object]],
) -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    made = await a_secret(secrets)
    assert isinstance(await send(by_code("pump-1", made.clear), site), Issued)

    result = await send(by_code("pump-1", made.clear), site)

    assert isinstance(result, Rejected)
    assert result.finding == "clone_suspected"
    assert len(await site.certificates()) == 1
    assert EventName.ENROLLMENT_CLONE_SUSPECTED in {each.name for each in await site.events()}


async def test_a_name_of_another_beside_it_is_a_conflict() -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    await site.register("pump-2")
    ask = by_code("pump-1", (await a_secret(secrets)).clear, subject=a_name("pump-2"))

    result = await site.send(ask)

    assert isinstance(result, Rejected)
    assert result.finding == "identity_conflict"


async def test_a_renewal_is_not_proven_by_what_all_share() -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    made = await a_secret(secrets)
    held = await site.enroll("pump-2")

    result = await site.send(replace(renewal(held), held=None, reference="pump-2", code=made.clear))

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED


async def test_what_waits_is_refused_once_its_secret_was_taken_back() -> None:
    site, secrets = await a_site()
    made = await a_secret(secrets)
    ask = by_code("pump-1", made.clear)
    request = replace(site.request(ask), reference="t-1")
    assert isinstance(await site.pipeline.handle(request), Pending)
    await approve(site)
    await secrets.remove(GROUP, made.secret.secret_id, actor=OPERATOR)

    spki = request.certificate_request.spki_sha256
    result = await site.pipeline.poll(
        PollRequest(origin=site.origin(ask), reference="t-1", spki_sha256=spki)
    )

    assert isinstance(result, Rejected)
    assert not await site.certificates()


async def test_scep_26_a_poll_collects_what_was_approved() -> None:
    site, secrets = await a_site()
    ask = by_code("pump-1", (await a_secret(secrets)).clear)
    request = replace(site.request(ask), reference="t-1")
    assert isinstance(await site.pipeline.handle(request), Pending)
    await approve(site)

    spki = request.certificate_request.spki_sha256
    result = await site.pipeline.poll(
        PollRequest(origin=site.origin(ask), reference="t-1", spki_sha256=spki)
    )

    assert isinstance(result, Issued)


async def test_one_time_codes_are_taken_beside_it() -> None:
    site, secrets = await a_site()
    await a_secret(secrets)

    result = await site.send(by_code("pump-1", await site.code()))

    assert isinstance(result, Issued)


async def test_two_secrets_are_good_at_once_and_no_third() -> None:
    site, secrets = await a_site(group_secret_approval=Approval.AUTO)
    await site.register("pump-2")
    made = [await a_secret(secrets) for _ in range(MOST)]

    with pytest.raises(Refused, match="remove one first"):
        await a_secret(secrets)

    for name, each in zip(("pump-1", "pump-2"), made, strict=True):
        assert isinstance(await site.send(by_code(name, each.clear)), Issued)


async def test_an_expired_secret_makes_room_for_the_next() -> None:
    site, secrets = await a_site()
    for _ in range(MOST):
        await a_secret(secrets)
    site.clock.advance(timedelta(days=90))

    made = await a_secret(secrets)

    assert [each.secret_id for each in await secrets.of_group(GROUP)] == [made.secret.secret_id]


async def test_a_secret_of_no_time_or_no_group_is_not_made() -> None:
    _, secrets = await a_site()

    with pytest.raises(GroupSecretError):
        await secrets.add(GROUP, SecretTerms(lifetime=timedelta(0)), actor=OPERATOR)
    with pytest.raises(NotFound):
        await secrets.add(an_id("nothing"), actor=OPERATOR)
    with pytest.raises(NotFound, match="enroll group secret list"):
        await secrets.remove(GROUP, "nothing", actor=OPERATOR)


@pytest.mark.parametrize("name", ["pump-1", "pump-9", "other-1"])
async def test_cmp_P12_an_answer_costs_as_many_trials_however_many_groups_there_are(
    name: str,
) -> None:
    site, secrets = await a_site()
    await site.register("other-1", group="others")
    made = [await a_secret(secrets), await a_secret(secrets, OTHER_GROUP.group_id)]
    tried: list[str] = []

    def matches(secret: str) -> bool:
        tried.append(secret)
        return False

    ask = by_code(name, "unused")
    request = replace(
        site.request(ask),
        credentials=(SharedSecretMAC(username=name, matches=matches, exact=True),),
    )

    result = await site.pipeline.handle(request)

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED
    assert len(tried) == CODES_TRIED + MOST + PASSCODES_TRIED
    own = {"pump-1": {made[0].clear}, "pump-9": set(), "other-1": {made[1].clear}}[name]
    assert {each.clear for each in made} & set(tried) == own
