"""The shared table of cases, asked over fullcmc: the same rules, in the words of CMC."""

import asyncio

import pytest

from enroll.failures import FailureReason
from tests.support.cases import CASES, Case, check_outcome
from tests.support.enrollment import open_site
from tests.support.full_cmc import answered, certificates, post, serve_full_cmc
from tests.support.matrix import MATRIX

# The CMC column of the table of failures, written once more.
FAIL_INFO = {
    FailureReason.NOT_AUTHENTICATED: 7,
    FailureReason.SIGNER_NOT_TRUSTED: 7,
    FailureReason.UNKNOWN_DEVICE: 2,
    FailureReason.NOT_AUTHORIZED: 2,
    FailureReason.CERTIFICATE_REVOKED: 7,
    FailureReason.BAD_CERTIFICATE_TEMPLATE: 2,
    FailureReason.TRANSACTION_CONFLICT: 2,
    FailureReason.CA_UNAVAILABLE: 12,
}
STATUS = {
    FailureReason.BAD_CERTIFICATE_TEMPLATE: 400,
    FailureReason.TRANSACTION_CONFLICT: 409,
    FailureReason.CA_UNAVAILABLE: 503,
}
# A Full PKI Request does not say whether it renews: its signer's certificate decides. So these ask
# something else in CMC than where an operation says it. And a code is a proof of identity there,
# which is verified or refused: a certificate beside it makes up for nothing.
UNSAYABLE = {
    "certificate_where_none_is_taken",
    "by_a_certificate_of_the_wrong_slot",
    "in_the_slot_of_another_profile",
    "by_a_code",
    "by_a_code_with_another_subject",
    "by_a_code_with_nothing_to_renew",
    "by_a_certificate_beside_a_wrong_code",
    "user_name_of_another_beside_a_certificate",
    "certificate_of_another_beside_a_code",
}
SAYABLE = [each for each in (*CASES, *MATRIX) if each.arrange.__name__ not in UNSAYABLE]


@pytest.mark.parametrize("case", SAYABLE, ids=lambda case: case.name)
def test_the_same_rule_has_the_same_outcome_over_fullcmc(case: Case) -> None:
    asyncio.run(_run(case))


async def _run(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    await serve_full_cmc(site)
    before = len(await site.certificates())

    answer = await post(site, ask)

    await check_outcome(site, case, before)
    if case.pending:
        said = answered(answer)
        assert (answer.status, said.status) == (202, 3)
        assert said.pending is not None
        return
    if case.reason is None:
        assert answer.status == 200
        recorded = (await site.attempts())[0].serial_number
        issued = {each.der for each in await site.certificates() if each.serial_number == recorded}
        assert issued < certificates(answer)
        return
    said = answered(answer)
    info = 10 if case.finding == "key_reused" else FAIL_INFO[case.reason]
    assert answer.status == STATUS.get(case.reason, 403)
    assert (said.status, said.fail_info) == (2, info)
    assert said.words is not None
    assert said.words.endswith("c0ffee")
