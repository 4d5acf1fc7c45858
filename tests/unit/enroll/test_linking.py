"""Linking identity and proof of possession: what a profile demands, and what a connection gives."""

from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from enroll.channel import ChannelBinding, ChannelBindingKind
from enroll.events import Attempt, EventName
from enroll.failures import FailureReason
from enroll.options import ChallengePasswordRule, ESTOptions, LinkingRule
from enroll.ports import CertificateAuthority
from enroll.profiles import ProtocolName
from enroll.result import EnrollmentResult, Issued, Rejected
from tests.support.builders import a_policy, an_enrollment_profile
from tests.support.enrollment import Ask, Held, Site, by_code, open_site, renewal

THIS, OTHER = bytes(range(32)), bytes(range(32, 64))
REQUIRED = ESTOptions(linking=LinkingRule.REQUIRED)
ACCEPTED = ESTOptions()
OFF = ESTOptions(linking=LinkingRule.OFF)


@dataclass(slots=True)
class FixedChannel:
    """A connection with this binding; counts how often it is asked."""

    value: bytes | None = THIS
    kind: ChannelBindingKind = ChannelBindingKind.TLS_EXPORTER
    extended_master_secret: bool = True
    asked: int = field(default=0)

    def strength(self) -> int:
        return 256

    def binding(self) -> ChannelBinding | None:
        self.asked += 1
        if self.value is None:
            return None
        return ChannelBinding(
            kind=self.kind,
            value=self.value,
            extended_master_secret=self.extended_master_secret,
        )


@dataclass(frozen=True, slots=True)
class AuthorityWithoutOrders:
    """An authority that must not be asked to sign, and knows all else."""

    known: CertificateAuthority

    async def issue(self, order: object) -> None:
        raise AssertionError(f"an order came: {order}")

    def __getattr__(self, name: str) -> object:
        return getattr(self.known, name)


async def a_site(options: ESTOptions) -> Site:
    return await open_site(a_policy(an_enrollment_profile(est=options)))


async def first(site: Site, password: str | None) -> Ask:
    await site.register()
    return by_code("pump-1", await site.code(), challenge_password=password)


async def send(site: Site, ask: Ask, channel: FixedChannel | None) -> EnrollmentResult:
    return await site.pipeline.handle(replace(site.request(ask), channel=channel))


def base64(value: bytes) -> str:
    return b64encode(value).decode()


def finding_of(result: EnrollmentResult) -> str:
    assert isinstance(result, Rejected), result
    assert result.reason is FailureReason.BAD_PROOF_OF_POSSESSION
    assert result.field == "challengePassword"
    return result.finding


async def held_of(site: Site, ask: Ask) -> Held:
    return Held(der=(await site.certificates())[0].der, key=ask.key)


async def linking_of(site: Site) -> tuple[Attempt, str]:
    attempt = (await site.attempts())[0]
    (check,) = [each for each in attempt.trace if each.name == "linking"]
    return attempt, check.note


@pytest.mark.parametrize("options", [ACCEPTED, REQUIRED])
@pytest.mark.parametrize(
    "password",
    [
        base64(OTHER),
        base64(THIS)[:-4],
        base64(THIS) + "AAAA",
        base64(THIS).lower(),
        THIS.hex(),
        "a password of the owner's",
        "ü",
    ],
)
async def test_est_T11_what_is_not_this_connections_binding_is_refused(
    options: ESTOptions, password: str
) -> None:
    site = await a_site(options)

    result = await send(site, await first(site, password), FixedChannel())

    assert finding_of(result) == "linking_failed"
    assert not await site.certificates()


@pytest.mark.parametrize("options", [ACCEPTED, REQUIRED])
async def test_est_T11_a_request_with_this_connections_binding_is_served(
    options: ESTOptions,
) -> None:
    site = await a_site(options)

    result = await send(site, await first(site, base64(THIS)), FixedChannel())

    assert isinstance(result, Issued)
    assert (await linking_of(site))[1] == "tls-exporter"


async def test_est_T11_base64_may_be_in_lines() -> None:
    site = await a_site(REQUIRED)
    in_lines = f"{base64(THIS)[:20]}\r\n{base64(THIS)[20:]}\n"

    assert isinstance(await send(site, await first(site, in_lines), FixedChannel()), Issued)


async def test_est_T11_a_request_without_any_is_refused_where_one_is_required() -> None:
    site = await a_site(REQUIRED)
    channel = FixedChannel()

    result = await send(site, await first(site, None), channel)

    assert finding_of(result) == "linking_required"
    assert channel.asked == 0


async def test_est_T12_an_attempt_says_which_binding_was_tried() -> None:
    site = await a_site(ACCEPTED)
    tls_unique_on_tls_1_3 = base64(bytes(12))

    await send(site, await first(site, tls_unique_on_tls_1_3), FixedChannel())

    attempt, note = await linking_of(site)
    assert attempt.finding == "linking_failed"
    assert "of 16 characters, is not the tls-exporter of this connection, which has 44" in note
    assert attempt.detail is not None
    assert tls_unique_on_tls_1_3 not in f"{attempt.detail}{note}"


@pytest.mark.parametrize("channel", [None, FixedChannel(value=None)])
@pytest.mark.parametrize("options", [ACCEPTED, REQUIRED])
async def test_est_T11_without_a_tls_connection_to_the_client_nothing_can_be_linked(
    options: ESTOptions, channel: FixedChannel | None
) -> None:
    site = await a_site(options)

    result = await send(site, await first(site, base64(THIS)), channel)

    assert finding_of(result) == "linking_unavailable"
    assert "est.linking=off" in (await linking_of(site))[1]


async def test_est_T13_without_extended_master_secret_tls_unique_binds_nothing() -> None:
    site = await a_site(ACCEPTED)
    old = FixedChannel(kind=ChannelBindingKind.TLS_UNIQUE, extended_master_secret=False)

    result = await send(site, await first(site, base64(THIS)), old)

    assert finding_of(result) == "linking_unavailable"


async def test_est_T13_a_profile_may_take_it_all_the_same() -> None:
    site = await a_site(replace(REQUIRED, linking_without_ems=True))
    old = FixedChannel(kind=ChannelBindingKind.TLS_UNIQUE, extended_master_secret=False)

    result = await send(site, await first(site, base64(THIS)), old)

    assert isinstance(result, Issued)
    assert (await linking_of(site))[1] == "tls-unique"


@pytest.mark.parametrize("password", [None, base64(OTHER), "a password of the owner's"])
async def test_est_T11_where_linking_is_off_a_challenge_password_is_passed_over(
    password: str | None,
) -> None:
    site = await a_site(OFF)
    channel = FixedChannel()

    assert isinstance(await send(site, await first(site, password), channel), Issued)
    assert channel.asked == 0


async def test_est_T11_nothing_is_computed_for_a_request_without_a_challenge_password() -> None:
    site = await a_site(ACCEPTED)
    channel = FixedChannel()

    assert isinstance(await send(site, await first(site, None), channel), Issued)
    assert channel.asked == 0


async def test_est_T11_a_stranger_learns_nothing_of_linking() -> None:
    site = await a_site(REQUIRED)
    ask = replace(await first(site, base64(OTHER)), code="AAAA-BBBB-CCCC-DDDD-EEEE")
    channel = FixedChannel()

    result = await send(site, ask, channel)

    assert isinstance(result, Rejected)
    assert result.finding == "code_wrong"
    assert channel.asked == 0


async def test_est_T23_what_is_not_linked_is_neither_signed_nor_handed_on() -> None:
    site = await a_site(REQUIRED)
    ask = await first(site, base64(OTHER))
    upstream = AuthorityWithoutOrders(site.authority)
    pipeline = site.new_pipeline(cast("CertificateAuthority", upstream))

    result = await pipeline.handle(replace(site.request(ask), channel=FixedChannel()))

    assert finding_of(result) == "linking_failed"


async def test_est_T24_a_renewal_is_linked_too() -> None:
    site = await a_site(REQUIRED)
    enrolled = await send(site, ask := await first(site, base64(THIS)), FixedChannel())
    assert isinstance(enrolled, Issued)
    held = await held_of(site, ask)

    refused = await send(site, renewal(held, challenge_password=base64(OTHER)), FixedChannel())
    absent = await send(site, renewal(held), FixedChannel())
    taken = await send(site, renewal(held, challenge_password=base64(THIS)), FixedChannel())

    assert finding_of(refused) == "linking_failed"
    assert finding_of(absent) == "linking_required"
    assert isinstance(taken, Issued)


async def test_est_E4_a_repeated_request_is_linked_to_its_own_connection() -> None:
    site = await a_site(ACCEPTED)
    ask = await first(site, base64(THIS))
    await send(site, ask, FixedChannel())

    stale = await send(site, ask, FixedChannel(value=OTHER))
    fresh = await send(
        site, replace(ask, challenge_password=base64(OTHER)), FixedChannel(value=OTHER)
    )

    assert finding_of(stale) == "linking_failed"
    assert isinstance(fresh, Issued)
    assert fresh.repeated


async def test_est_T11_what_a_proven_device_was_refused_is_in_its_history() -> None:
    site = await a_site(ACCEPTED)

    await send(site, await first(site, base64(OTHER)), FixedChannel())

    event = (await site.events())[-1]
    assert event.name is EventName.ENROLLMENT_DENIED
    assert event.facts["finding"] == "linking_failed"


async def test_est_T14_a_challenge_password_of_another_protocol_is_no_binding() -> None:
    site = await a_site(REQUIRED)
    request = site.request(await first(site, "anything"))
    elsewhere = replace(request, origin=replace(request.origin, protocol=ProtocolName.SCEP))

    assert isinstance(await site.pipeline.handle(elsewhere), Issued)


async def test_est_T14_a_code_in_the_request_and_one_beside_it_are_one_too_many() -> None:
    site = await a_site(ESTOptions(challenge_password=ChallengePasswordRule.CODE))
    ask = await first(site, None)

    result = await site.send(replace(ask, challenge_password=ask.code))

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED
    assert result.finding == "two_secrets"
    assert isinstance(await site.send(ask), Issued)


@pytest.mark.parametrize("options", [ACCEPTED, OFF])
async def test_est_T14_where_it_means_a_binding_a_challenge_password_is_no_credential(
    options: ESTOptions,
) -> None:
    site = await a_site(options)
    ask = await first(site, None)

    result = await site.send(replace(ask, reference=None, code=None, challenge_password=ask.code))

    assert isinstance(result, Rejected)
    assert result.finding == "no_credential"
