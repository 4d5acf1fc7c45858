"""Keys made for devices: who gets one, and of which sort (RFC 7030 §4.4)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from enroll.events import Outcome
from enroll.options import ChallengePasswordRule, ESTOptions, LinkingRule, ServerKeyGeneration
from enroll.options import GeneratedKeyAlgorithm as G
from enroll.orders import OrderState
from enroll.profiles import KeyAlgorithm
from server.key_generation import ThreadedKeyGenerator
from tests.support import arrangements as a
from tests.support import renewals as r
from tests.support.approvals import a_manual_group, approve
from tests.support.builders import a_certificate_profile, a_policy
from tests.support.cases import CASES, Case, check_outcome
from tests.support.csr import a_key, a_name, raw_csr, spki_of
from tests.support.enrollment import (
    Held,
    by_certificate,
    by_code,
    open_site,
    renewal,
    with_code_in_request,
)
from tests.support.est import post, post_for_key
from tests.support.key_generation import (
    Answer,
    FixedCipher,
    ask_for_key,
    first,
    key_policy,
    nothing_happened,
)


def test_est_K1_off_by_default() -> None:
    async def run() -> None:
        site = await open_site()
        ask = await first(site)

        answer = await ask_for_key(site, ask)
        labelled = await ask_for_key(site, replace(ask, profile="bootstrap"))

        assert (answer.status, labelled.status) == (404, 404)
        await nothing_happened(site)

    asyncio.run(run())


def test_est_K1_a_profile_where_it_is_off_beside_one_where_it_is_not() -> None:
    """Which profile it is, only the certificate that is shown tells."""

    async def run() -> None:
        site = await open_site(key_policy("operational"))
        held = await site.enroll()

        code = await ask_for_key(site, by_code("pump-1", await site.code()))
        implied = await ask_for_key(site, renewal(held, profile=None))

        assert (code.status, implied.status) == (404, 404)
        assert (await site.attempts())[0].finding == "key_generation_off"
        assert len(await site.certificates()) == 1

    asyncio.run(run())


def test_est_K2_a_plain_key_and_its_certificate() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)

        response = await ask_for_key(site, ask)

        answer = Answer.of(response)
        answer.check_plain()
        assert ("Cache-Control", "no-store") in response.headers
        (record,) = await site.certificates()
        assert record.der == answer.issued.public_bytes(Encoding.DER)
        assert answer.issued.public_key() != a_key().public_key()
        assert answer.issued.subject == a_name("pump-1")

    asyncio.run(run())


def test_est_K12_the_certificate_part_is_the_answer_of_simpleenroll() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)
        answer = Answer.of(await ask_for_key(site, ask))
        key = load_der_private_key(answer.key_octets, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)

        simple = await post(site, replace(ask, key=key))

        assert simple.status == 200  # A repetition, for the key is there now.
        assert simple.body == answer.certificate.get_payload().encode()  # type: ignore[union-attr]  # no multipart
        assert simple.media_type == answer.certificate["Content-Type"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "csr",
    [
        raw_csr(signature=b"\x30\x06\x02\x01\x01\x02\x01\x01"),
        raw_csr(signature=b"no signature at all"),
        raw_csr(key=a_key("rsa-1024"), algorithm=bytes.fromhex("300d06092a864886f70d01010b0500")),
        raw_csr(spki=bytes.fromhex("3000"), signature=b""),
        raw_csr(algorithm=bytes.fromhex("30040602 2a03")),
    ],
    ids=["wrong", "garbage", "weak key", "no key", "unknown algorithm"],
)
def test_est_K5_key_and_signature_of_the_request_are_not_looked_at(csr: bytes) -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)

        Answer.of(await ask_for_key(site, ask, csr=csr)).check_plain()

    asyncio.run(run())


def test_est_K5_the_key_of_another_device_is_not_looked_at_either() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        other = await site.enroll("pump-2")
        ask = await first(site)

        answer = await ask_for_key(site, ask, csr=raw_csr(key=other.key))

        Answer.of(answer).check_plain()

    asyncio.run(run())


def test_est_K5_all_else_is_as_at_an_enrollment() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        await site.register("pump-2")
        ask = await first(site)

        answer = await ask_for_key(site, replace(ask, subject=a_name("pump-2")))
        unreadable = await ask_for_key(site, ask, csr=b"\x30\x80\x00\x00")

        assert (answer.status, unreadable.status) == (403, 400)
        assert {each.finding for each in await site.attempts()} == {"identity_conflict", "not_der"}
        await nothing_happened(site)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("made", "wish", "expected"),
    [
        ((G.P_256,), "p-384", ec.EllipticCurvePrivateKey),
        ((G.RSA_2048, G.P_256), "p-256", ec.EllipticCurvePrivateKey),
        ((G.P_256, G.RSA_2048), "rsa-2048", rsa.RSAPrivateKey),
        ((G.P_256, G.ED25519), "ed25519", ed25519.Ed25519PrivateKey),
        ((G.ML_DSA_44,), "p-256", mldsa.MLDSA44PrivateKey),
        ((G.ML_DSA_65, G.ML_DSA_44), "ml-dsa-44", mldsa.MLDSA44PrivateKey),
        ((G.ML_DSA_65,), "ed448", mldsa.MLDSA65PrivateKey),
    ],
)
def test_est_K13_the_sort_of_key_is_a_wish(made: tuple[G, ...], wish: str, expected: type) -> None:
    async def run() -> None:
        site = await open_site(
            key_policy(key_generation_algorithms=made),
        )
        ask = await first(site)

        answer = Answer.of(await ask_for_key(site, ask, csr=raw_csr(spki=spki_of(a_key(wish)))))

        answer.check_plain()
        assert isinstance(load_der_private_key(answer.key_octets, None), expected)

    asyncio.run(run())


def test_what_the_certificate_profile_does_not_allow_is_not_made() -> None:
    async def run() -> None:
        narrow = a_certificate_profile(key_algorithms=frozenset({KeyAlgorithm.P_384}))
        site = await open_site(a_policy(key_policy().enrollment_profiles["bootstrap"], narrow))
        ask = await first(site)

        answer = await ask_for_key(site, ask)

        assert answer.status == 400
        assert (await site.attempts())[0].finding == "key_not_allowed"
        await nothing_happened(site)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("algorithm", "bits", "status"),
    [
        (G.P_256, 128, 200),
        (G.P_384, 128, 403),
        (G.P_384, 256, 200),
        (G.ML_DSA_65, 128, 403),
        (G.ED25519, 128, 200),
        (G.RSA_2048, 0, 403),
        (G.P_256, None, 403),
    ],
)
def test_est_K6_a_cipher_weaker_than_the_key_carries_none(
    algorithm: G, bits: int | None, status: int
) -> None:
    async def run() -> None:
        site = await open_site(key_policy(key_generation_algorithms=(algorithm,)))
        ask = await first(site)

        answer = await ask_for_key(site, ask, bits=bits)

        assert answer.status == status
        if status == 403:
            wanted = "cipher" if bits is not None else "encrypted"
            assert wanted in answer.body.decode()
            await nothing_happened(site)
            assert (await post(site, ask)).status == 200  # The code is still good.

    asyncio.run(run())


def test_est_K4_a_lost_answer_is_not_given_again_and_a_new_code_recovers() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)
        lost = Answer.of(await ask_for_key(site, ask))

        again = await ask_for_key(site, ask)
        site.clock.advance(timedelta(minutes=1))
        fresh = await ask_for_key(site, by_code("pump-1", await site.code()))

        assert again.status == 401
        found = Answer.of(fresh)
        found.check_plain()
        assert found.issued.public_key() != lost.issued.public_key()

    asyncio.run(run())


def test_est_K4_of_requests_at_once_with_one_code_one_gets_a_key() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)

        answers = await asyncio.gather(*[ask_for_key(site, ask) for _ in range(5)])

        assert sorted(each.status for each in answers) == [200, 401, 401, 401, 401]
        assert len(await site.certificates()) == 1

    asyncio.run(run())


def test_est_T14_a_code_in_the_request_gets_a_key() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        plain = await first(site)
        ask = await with_code_in_request(site, plain)
        rule = ESTOptions(
            challenge_password=ChallengePasswordRule.CODE,
            server_key_generation=ServerKeyGeneration.ALLOWED,
        )
        await site.change_policy(bootstrap={"est": rule})

        answer = await ask_for_key(site, ask, csr=ask.csr)

        Answer.of(answer).check_plain()

    asyncio.run(run())


def test_est_K4_an_answer_lost_to_a_certificate_is_followed_by_another() -> None:
    async def run() -> None:
        site = await open_site(key_policy("operational"))
        held = await site.enroll()
        await ask_for_key(site, by_certificate(held))

        answer = Answer.of(await ask_for_key(site, by_certificate(held)))

        answer.check_plain()
        key = load_der_private_key(answer.key_octets, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        got = Held(der=answer.issued.public_bytes(Encoding.DER), key=key)
        Answer.of(await ask_for_key(site, renewal(got, profile="operational")))

    asyncio.run(run())


def test_est_K4_the_key_is_nowhere_in_what_is_recorded() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)

        answer = Answer.of(await ask_for_key(site, ask))

        key = load_der_private_key(answer.key_octets, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issued = [each for each in await site.events() if each.name == "certificate.issued"]
        assert [each.facts["key_made_here"] for each in issued] == [True]
        secret = f"{key.private_numbers().private_value:x}"
        told = repr([await site.attempts(), await site.events(), await site.certificates()])
        assert secret not in told
        assert answer.key_octets.hex() not in told

    asyncio.run(run())


def test_est_E8_a_certificate_renews_its_own_slot() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        held = await site.enroll()

        answer = Answer.of(await ask_for_key(site, renewal(held)))
        changed = await ask_for_key(site, renewal(held, subject=a_name("other")))

        answer.check_plain()
        assert answer.issued.subject == held.certificate.subject
        assert changed.status == 403
        assert (await site.attempts())[1].outcome is Outcome.ISSUED

    asyncio.run(run())


def test_est_T24_linking_is_demanded_here_too() -> None:
    async def run() -> None:
        site = await open_site(key_policy(linking=LinkingRule.REQUIRED))
        ask = await first(site)

        answer = await ask_for_key(site, ask)

        assert answer.status == 400
        await nothing_happened(site)

    asyncio.run(run())


def test_est_E11_where_a_person_decides_no_key_is_made_before() -> None:
    async def run() -> None:
        manual = a_manual_group()
        policy = key_policy()
        site = await open_site(a_policy(policy.enrollment_profiles["bootstrap"], manual))
        ask = await first(site)

        waiting = await ask_for_key(site, ask)
        again = await ask_for_key(site, ask)
        await approve(site)
        answer = await ask_for_key(site, ask)

        assert (waiting.status, again.status) == (202, 202)
        Answer.of(answer).check_plain()
        (order,) = await site.orders()
        assert order.state is OrderState.ISSUED
        assert (await ask_for_key(site, ask)).status == 401

    asyncio.run(run())


def test_a_device_that_asks_too_often_is_told_when_to_come_again() -> None:
    async def run() -> None:
        policy = key_policy("operational")
        site = await open_site(policy)
        site.key_generator = ThreadedKeyGenerator(waiting=0, per_hour=1)
        site.pipeline = site.new_pipeline()
        held = await site.enroll()
        await ask_for_key(site, by_certificate(held))

        answer = await ask_for_key(site, by_certificate(held))

        assert answer.status == 429
        assert b"Too many keys" in answer.body
        assert int(dict(answer.headers)["Retry-After"]) > 60
        assert (await site.attempts())[0].finding == "key_generation_limit"

    asyncio.run(run())


# What is about keys that devices bring, or about their repetition, is not asked here.
_ABOUT_KEYS = {"publicKey"}
_RENEWALS = (r.in_time, r.with_another_subject, r.with_other_names, r.after_the_end)
_INITIAL = [
    each
    for each in CASES
    if (each.arrange.__module__ == a.__name__ or each.arrange in _RENEWALS)
    and each.fault not in _ABOUT_KEYS
    and each.arrange is not a.key_pinned_to_another
    and each.arrange is not a.repetition_of_a_disabled_device
    and each.arrange is not a.certificate_where_none_is_taken  # It renews itself here.
    and not each.repeated
]


@pytest.mark.parametrize("case", _INITIAL, ids=lambda case: case.name)
def test_est_K5_the_same_rule_has_the_same_outcome_with_a_key_made_here(case: Case) -> None:
    async def run() -> None:
        site = await open_site(case.policy)
        ask = await case.arrange(site)
        before = len(await site.certificates())
        known = (await site.policy()).enrollment_profiles
        made: dict[str, dict[str, object]] = {
            slug: {"est": replace(each.est, server_key_generation=ServerKeyGeneration.ALLOWED)}
            for slug, each in known.items()
        }
        await site.change_policy(**made)

        answer = await post_for_key(site, ask, channel=FixedCipher())

        await check_outcome(site, case, before)
        if case.reason is None and not case.pending:
            Answer.of(answer).check_plain()

    asyncio.run(run())
