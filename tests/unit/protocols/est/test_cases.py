"""The shared table of cases, asked over EST: what HTTP says of each outcome."""

import asyncio
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from multidict import CIMultiDict

from enroll.credentials import CredentialKind
from enroll.failures import FailureReason
from enroll.request import Operation
from protocols.wire import WireResponse
from tests.support.cases import CASES, Case, check_outcome
from tests.support.enrollment import Ask, Site, open_site, with_code_in_request
from tests.support.est import post, post_by_digest
from tests.support.matrix import MATRIX

# The EST column of the table of failures, written once more.
STATUS = {
    FailureReason.NOT_AUTHENTICATED: 401,
    FailureReason.SIGNER_NOT_TRUSTED: 403,
    FailureReason.UNKNOWN_DEVICE: 403,
    FailureReason.NOT_AUTHORIZED: 403,
    FailureReason.CERTIFICATE_REVOKED: 403,
    FailureReason.BAD_CERTIFICATE_TEMPLATE: 400,
    FailureReason.TRANSACTION_CONFLICT: 409,
    FailureReason.CA_UNAVAILABLE: 503,
}
UNTRUSTED = {FailureReason.SIGNER_NOT_TRUSTED, FailureReason.CERTIFICATE_REVOKED}
NAMED = {"subject", "subjectAltName"}


Post = Callable[[Site, Ask], Awaitable[WireResponse]]


@pytest.mark.parametrize("case", [*CASES, *MATRIX], ids=lambda case: case.name)
def test_the_same_rule_has_the_same_outcome_over_est(case: Case) -> None:
    asyncio.run(_run(case, post))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_est_T9_the_same_rule_has_the_same_outcome_by_digest(case: Case) -> None:
    asyncio.run(_run(case, post_by_digest))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_est_T14_a_code_in_the_request_has_the_answer_of_one_beside_it(case: Case) -> None:
    asyncio.run(_run(case, post, with_code_in_request))


async def _as_it_is(site: Site, ask: Ask) -> Ask:
    del site
    return ask


async def _run(
    case: Case, post: Post, word: Callable[[Site, Ask], Awaitable[Ask]] = _as_it_is
) -> None:
    site = await open_site(case.policy)
    ask = await word(site, await case.arrange(site))
    before = len(await site.certificates())

    answer = await post(site, ask)

    await check_outcome(site, case, before)
    if case.pending:
        assert (answer.status, answer.body) == (202, b"")
        assert CIMultiDict(answer.headers)["Retry-After"] == "60"
    elif case.reason is None:
        await _check_certificate(site, answer)
    else:
        _check_refusal(case, ask, answer, await _takes_codes(site, ask))


async def _check_certificate(site: Site, answer: WireResponse) -> None:
    assert answer.status == 200
    (sent,) = pkcs7.load_der_pkcs7_certificates(b64decode(answer.body))
    recorded = (await site.attempts())[0].serial_number
    assert f"{sent.serial_number:x}" == recorded
    assert sent.public_bytes(Encoding.DER) in {each.der for each in await site.certificates()}


def _check_refusal(case: Case, ask: Ask, answer: WireResponse, takes_codes: bool) -> None:  # noqa: FBT001 - said by name above
    assert case.reason is not None
    assert answer.status == _expected_status(case.reason, ask, takes_codes=takes_codes)
    assert answer.media_type.startswith("text/plain")
    headers = CIMultiDict(answer.headers)
    if answer.status == 401:
        assert answer.body == b""
        assert headers["WWW-Authenticate"].startswith("Basic ")
        return
    line = answer.body.decode()
    assert re.fullmatch(r"[ -~]+ c0ffee\n", line)
    may_name = case.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE or case.fault in NAMED
    assert (case.fault is not None and case.fault in line) is (may_name and bool(case.fault))
    assert (answer.status == 503) is ("Retry-After" in headers)


def _expected_status(reason: FailureReason, ask: Ask, *, takes_codes: bool) -> int:
    """Apply rule 3: 401 only where HTTP authentication is taken, and then where it was missing."""
    if reason is FailureReason.NOT_AUTHENTICATED:
        return 401 if takes_codes else 403
    if reason in UNTRUSTED and takes_codes and ask.code is None:
        return 401
    return STATUS[reason]


async def _takes_codes(site: Site, ask: Ask) -> bool:
    policy = await site.policy()
    profile = policy.enrollment_profiles[ask.profile or "bootstrap"]
    initial = ask.operation is Operation.INITIAL
    taken = profile.initial_credentials if initial else profile.renewal_credentials
    return CredentialKind.ONE_TIME_CODE in taken
