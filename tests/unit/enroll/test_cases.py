"""The shared table of cases, decided by the pipeline itself."""

import pytest

from enroll.result import Issued, Rejected
from tests.support.cases import CASES, Case, check_outcome
from tests.support.enrollment import open_site
from tests.support.matrix import MATRIX


@pytest.mark.parametrize("case", [*CASES, *MATRIX], ids=lambda case: case.name)
async def test_the_same_rule_has_the_same_outcome(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    before = len(await site.certificates())

    result = await site.send(ask)

    await check_outcome(site, case, before)
    if case.reason is None:
        assert isinstance(result, Issued)
        assert result.repeated is case.repeated
        assert result.record in await site.certificates()
    else:
        assert isinstance(result, Rejected)
        assert (result.reason, result.field) == (case.reason, case.fault)
