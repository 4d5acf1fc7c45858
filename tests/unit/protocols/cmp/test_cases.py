"""The shared table of cases, asked over CMP: the same rule, the same outcome."""

import asyncio
from collections.abc import Mapping

import pytest

from enroll.failures import FailureReason
from protocols.cmp.messages import BodyType
from tests.support.cases import CASES, Case, check_outcome
from tests.support.cmp_conversation import FAIL_INFO, Answered, client_for
from tests.support.enrollment import open_site
from tests.support.matrix import MATRIX

# The CMP column of the table of failures, written once more.
FAIL_INFOS: Mapping[FailureReason, str] = {
    FailureReason.NOT_AUTHENTICATED: "badMessageCheck",
    FailureReason.SIGNER_NOT_TRUSTED: "signerNotTrusted",
    FailureReason.UNKNOWN_DEVICE: "notAuthorized",
    FailureReason.NOT_AUTHORIZED: "notAuthorized",
    FailureReason.CERTIFICATE_REVOKED: "certRevoked",
    FailureReason.BAD_CERTIFICATE_TEMPLATE: "badCertTemplate",
    FailureReason.TRANSACTION_CONFLICT: "transactionIdInUse",
    FailureReason.CA_UNAVAILABLE: "systemUnavail",
}
BY_FINDING: Mapping[str | None, str] = {
    "approval_expired": "systemUnavail",
    "certificate_expired": "signerNotTrusted",
    "certificate_not_yet_valid": "signerNotTrusted",
    "name_changed": "badCertTemplate",
    "key_reuse": "badCertTemplate",
    "key_reused": "badCertTemplate",
}
# What cannot be said in CMP: a message has one protection, a kur is signed (row P12), a code is
# typed as it was shown (row P2), and no attribute asks for another name.
NOT_SAID = frozenset(
    {
        "by_a_certificate_beside_a_wrong_code",
        "by_a_code",
        "by_a_code_with_another_subject",
        "by_a_code_with_nothing_to_renew",
        "certificate_of_another_beside_a_code",
        "changing_its_names",
        "changing_its_subject",
        "code_in_lower_case_without_hyphens",
        "first_enrollment_changing_its_subject",
        "nothing_shown",
        "user_name_of_another_beside_a_certificate",
        "with_nothing_shown",
    }
)
SAID = [each for each in [*CASES, *MATRIX] if each.arrange.__name__ not in NOT_SAID]


@pytest.mark.parametrize("case", SAID, ids=lambda case: case.name)
def test_the_same_rule_has_the_same_outcome_over_cmp(case: Case) -> None:
    asyncio.run(_run(case))


async def _run(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    before = len(await site.certificates())

    answer = await client_for(site, ask).ask(ask, implicit_confirm=True)

    await check_outcome(site, case, before)
    if case.pending:
        assert answer.status == 3
    elif case.reason is None:
        assert answer.certificate in {each.der for each in await site.certificates()}
    else:
        _check_refusal(case, answer)


def _check_refusal(case: Case, answer: Answered) -> None:
    assert case.reason is not None
    assert answer.status == 2
    assert answer.kind in {BodyType.ERROR, BodyType.IP, BodyType.CP, BodyType.KUP}
    found = BY_FINDING.get(case.finding) or FAIL_INFOS[case.reason]
    if case.finding == "key_compromised" and case.reason is FailureReason.NOT_AUTHORIZED:
        found = "badCertTemplate"
    assert answer.fail_info == {FAIL_INFO[found]}, case.finding
