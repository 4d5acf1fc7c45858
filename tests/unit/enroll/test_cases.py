"""The shared table of cases, decided by the pipeline itself."""

from collections.abc import Sequence

import pytest

from enroll.certificates import CertificateRecord
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from tests.support.cases import CASES, Case, check_outcome
from tests.support.enrollment import open_site, with_code_in_request
from tests.support.matrix import MATRIX

BY_CASE = pytest.mark.parametrize("case", [*CASES, *MATRIX], ids=lambda case: case.name)


@BY_CASE
async def test_the_same_rule_has_the_same_outcome(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    before = len(await site.certificates())

    result = await site.send(ask)

    await check_outcome(site, case, before)
    _check_result(case, result, await site.certificates())


@BY_CASE
async def test_est_T14_a_code_in_the_request_has_the_outcome_of_one_beside_it(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    before = len(await site.certificates())

    result = await site.send(await with_code_in_request(site, ask))

    await check_outcome(site, case, before)
    _check_result(case, result, await site.certificates())


def _check_result(
    case: Case, result: EnrollmentResult, certificates: Sequence[CertificateRecord]
) -> None:
    if case.pending:
        assert isinstance(result, Pending)
        assert result.retry_after == 60
    elif case.reason is None:
        assert isinstance(result, Issued)
        assert result.repeated is case.repeated
        assert result.record in certificates
    else:
        assert isinstance(result, Rejected)
        assert (result.reason, result.field) == (case.reason, case.fault)
