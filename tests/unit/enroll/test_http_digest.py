"""A code that stays unsaid: which of a device's codes an answer to a challenge proves."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.codes import CODES_TRIED
from enroll.credentials import HTTPDigest, spellings
from enroll.options import ESTOptions, HTTPScheme
from enroll.profiles import ProtocolName
from enroll.result import EnrollmentResult, Issued, Rejected
from tests.support.builders import a_policy, an_enrollment_profile
from tests.support.enrollment import Site, by_code, open_site

EXCHANGE = "nonce:00000001:client:auth:0123"
SHA_256 = HTTPScheme.DIGEST_SHA_256


def an_answer(
    code: str, *, username: str = "pump-1", scheme: HTTPScheme = SHA_256, fresh: bool = True
) -> HTTPDigest:
    empty = HTTPDigest(
        username=username,
        scheme=scheme,
        realm="enrollment",
        exchange=EXCHANGE,
        response="",
        is_fresh=fresh,
    )
    inner = empty._hash(f"{username}:enrollment:{code}")  # noqa: SLF001 - the RFC's examples prove it elsewhere
    return replace(empty, response=empty._hash(f"{inner}:{EXCHANGE}"))  # noqa: SLF001 - as above


async def show(site: Site, answer: HTTPDigest) -> EnrollmentResult:
    request = site.request(by_code("pump-1", ""))
    return await site.pipeline.handle(replace(request, credentials=(answer,)))


async def finding(site: Site, answer: HTTPDigest) -> str:
    result = await show(site, answer)
    assert isinstance(result, Rejected)
    return result.finding


@pytest.mark.parametrize("spelling", range(4))
async def test_interface_code_an_answer_proves_a_code_in_any_spelling(spelling: int) -> None:
    site = await open_site()
    await site.register()

    result = await show(site, an_answer(spellings(await site.code())[spelling]))

    assert isinstance(result, Issued)


async def test_est_T9_an_algorithm_that_the_profile_does_not_take_is_not_looked_at() -> None:
    site = await open_site()
    await site.register()

    answer = an_answer(await site.code(), scheme=HTTPScheme.DIGEST_MD5)

    assert await finding(site, answer) == "credential_not_accepted"


async def test_est_T8_a_password_is_not_looked_at_where_only_digest_is_taken() -> None:
    options = ESTOptions(http_authentication=(SHA_256,))
    site = await open_site(a_policy(an_enrollment_profile(est=options)))
    await site.register()

    result = await site.pipeline.handle(site.request(by_code("pump-1", await site.code())))

    assert isinstance(result, Rejected)
    assert result.finding == "credential_not_accepted"


@pytest.mark.parametrize("name", ["pump-1", "nobody"])
async def test_est_T9_a_stale_answer_is_told_so_whoever_it_is_of(name: str) -> None:
    site = await open_site()
    await site.register()
    answer = an_answer(await site.code(), username=name, fresh=False)

    assert await finding(site, answer) == "nonce_stale"
    attempt = (await site.attempts())[0]
    assert attempt.device_id is None


async def test_a_code_from_before_digest_was_taken_is_wrong_and_the_operator_is_told_why() -> None:
    basic = an_enrollment_profile(
        protocols=frozenset({ProtocolName.EST}),
        est=ESTOptions(http_authentication=(HTTPScheme.BASIC,)),
    )
    site = await open_site(a_policy(basic))
    await site.register()
    code = await site.code()
    await site.change_policy(bootstrap={"est": ESTOptions()})

    result = await show(site, an_answer(code))

    assert isinstance(result, Rejected)
    assert result.finding == "code_wrong"
    assert "before a profile took HTTP Digest" in result.detail


async def test_the_newest_codes_that_are_good_are_those_that_are_tried() -> None:
    site = await open_site()
    await site.register()
    codes = []
    for _ in range(CODES_TRIED + 1):
        codes.append(await site.code())
        site.clock.advance(timedelta(minutes=1))

    assert await finding(site, an_answer(codes[0])) == "code_wrong"
    assert isinstance(await show(site, an_answer(codes[1])), Issued)
    assert isinstance(await show(site, an_answer(codes[1])), Rejected), "used up"


async def test_security_E2_whoever_knows_no_code_costs_as_much_wherever_none_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = await open_site()
    await site.register()
    await site.register("pump-2")
    code = await site.code()
    tried: list[str] = []
    original = HTTPDigest.is_of

    def counting(self: HTTPDigest, secret: str) -> bool:
        tried.append(secret)
        return original(self, secret)

    monkeypatch.setattr(HTTPDigest, "is_of", counting)
    counts = []
    for answer in (
        an_answer(code, username="nobody"),
        an_answer(code, username="pump-2"),
        an_answer("AAAA"),
        an_answer(code),
    ):
        tried.clear()
        await show(site, answer)
        counts.append(len(tried))

    assert counts == [4 * CODES_TRIED] * 3 + [4], "who knows a code is told at once"
