"""certProfile: the profile that a message names is the one it is decided by."""

from dataclasses import replace

import pytest

from enroll.options import CMPOptions
from enroll.profiles import Approval, ProtocolName
from protocols.cmp.messages import BodyType
from tests.support.approvals import approve
from tests.support.builders import a_certificate_profile, a_group, a_policy, an_enrollment_profile
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Client, by_held, by_secret
from tests.support.csr import a_name, sequence
from tests.support.enrollment import Ask, Site, by_certificate, by_code, open_site, renewal

CA_CERTS = sequence(bytes.fromhex("06082b0601050507 0411"))
TEMPLATE = sequence(bytes.fromhex("06082b0601050507 0413"))


async def a_client(site: Site, profile: str | None = None) -> tuple[Client, Ask]:
    await site.register("pump-1")
    code = await site.code("pump-1")
    return by_secret(site, "pump-1", code, profile), by_code("pump-1", code)


async def profile_of(site: Site) -> str:
    return (await site.certificates())[0].profile


@pytest.mark.parametrize(
    ("addressed", "names", "fail_info"),
    [
        (None, ("nowhere",), "badCertTemplate"),
        ("bootstrap", ("operational",), "badCertTemplate"),
        (None, ("bootstrap", "bootstrap"), "badRequest"),
        (None, ("bootstrap", "operational"), "badRequest"),
        (None, ("bootstrap", ""), "badRequest"),
        (None, ("of-est",), "badCertTemplate"),
    ],
)
async def test_cmp_H12_a_profile_that_cannot_be_meant_is_refused(
    addressed: str | None, names: tuple[str, ...], fail_info: str
) -> None:
    est_only = an_enrollment_profile("of-est", protocols=frozenset({ProtocolName.EST}))
    site = await open_site(a_policy(est_only))
    client, ask = await a_client(site, addressed)

    answer = await client.ask(ask, cert_profile=names)

    assert answer.fail_info == {FAIL_INFO[fail_info]}
    assert not await site.certificates()
    assert len(await site.attempts()) == 1


async def test_cmp_H12_a_p10cr_names_one_profile() -> None:
    site = await open_site()
    client, ask = await a_client(site)

    answer = await client.send(BodyType.P10CR, ask.csr, cert_profile=("bootstrap", "bootstrap"))

    assert (answer.kind, answer.fail_info) == (BodyType.ERROR, {FAIL_INFO["badRequest"]})


@pytest.mark.parametrize("names", [("other",), ("",), ()])
@pytest.mark.parametrize("addressed", ["other", None])
async def test_cmp_H12_the_profile_is_the_one_that_is_named(
    addressed: str | None, names: tuple[str, ...]
) -> None:
    site = await open_site(a_policy(an_enrollment_profile("other")))
    client, ask = await a_client(site, addressed)

    answer = await client.ask(ask, cert_profile=names)

    assert answer.kind is BodyType.IP
    assert await profile_of(site) == ("other" if addressed or "other" in names else "bootstrap")


async def test_cmp_H12_a_certificate_is_asked_for_by_the_name_of_another_profile() -> None:
    site = await open_site()
    held = await site.enroll()
    ask = by_certificate(held, profile=None, subject=a_name("pump-1"))

    answer = await by_held(site, held).ask(ask, cert_profile=("operational",))

    assert (answer.kind, answer.status) == (BodyType.CP, 0)
    given = {each.profile for each in await site.certificates()}
    assert given == {"bootstrap", "operational"}


async def test_cmp_H12_an_update_may_name_the_profile_of_its_certificate() -> None:
    site = await open_site()
    held = await site.enroll()
    client = by_held(site, held)

    wrong = await client.ask(renewal(held), cert_profile=("operational",))
    right = await by_held(site, held).ask(renewal(held), cert_profile=("bootstrap",))

    assert wrong.fail_info == {FAIL_INFO["notAuthorized"]}
    assert right.kind is BodyType.KUP
    assert right.status == 0


async def test_cmp_H12_an_exchange_goes_on_without_the_name() -> None:
    manual = a_group(approval=Approval.MANUAL)
    site = await open_site(a_policy(manual, an_enrollment_profile("other")))
    client, ask = await a_client(site)
    client.heard = await client.ask(ask, cert_profile=("other",))
    await approve(site)

    client.heard = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))
    confirmed = await client.confirm()

    assert confirmed.kind is BodyType.PKICONF
    assert await profile_of(site) == "other"


async def test_cmp_H12_a_template_is_of_the_profile_that_is_named() -> None:
    other = a_certificate_profile("other", subject=(("O", "Acme"),))
    site = await open_site(
        a_policy(other, an_enrollment_profile("other", certificate_profile="other"))
    )
    client, _ = await a_client(site)

    answers = [
        await client.send(BodyType.GENM, sequence(*questions), cert_profile=names)
        for questions, names in [
            ((TEMPLATE,), ("other",)),
            ((CA_CERTS, TEMPLATE), ("", "other")),
            ((TEMPLATE,), ()),
            ((TEMPLATE,), ("nowhere",)),
            ((TEMPLATE,), ("other", "other")),
            ((CA_CERTS, TEMPLATE), ("bootstrap", "other")),
        ]
    ]

    assert [b"Acme" in each.octets for each in answers] == [True, True, False, False, False, False]
    assert [each.kind for each in answers[3:]] == [BodyType.ERROR] * 3


async def test_cmp_H12_what_follows_without_the_name_is_judged_as_the_profile_has_it() -> None:
    strict = an_enrollment_profile("bootstrap", cmp=CMPOptions(strict=True))
    site = await open_site(a_policy(strict, an_enrollment_profile("other")))
    client, ask = await a_client(site)
    client.header = replace(client.header, sender_kid=None, message_time=None)

    client.heard = given = await client.ask(ask, cert_profile=("other",))
    confirmed = await client.confirm()

    assert (given.kind, given.status) == (BodyType.IP, 0)
    assert confirmed.kind is BodyType.PKICONF


async def test_cmp_H12_a_fault_is_one_in_the_profile_that_is_named() -> None:
    site = await open_site(a_policy(an_enrollment_profile("other")))
    client, _ = await a_client(site)

    answer = await client.send(BodyType.IR, sequence(), cert_profile=("other",))

    assert answer.status == 2
    assert [each.profile for each in await site.attempts()] == ["other"]
