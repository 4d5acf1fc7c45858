"""Mutants of Full PKI Requests through EST's endpoint: each is taken or refused in CMC, cheaply."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from enroll.profiles import ReEnrollment
from enroll.registration import MAXIMUM_USES
from tests.soak.mutations import mutant_of
from tests.support.cmc import (
    DATA_RETURN,
    SENDER_NONCE,
    TRANSACTION_ID,
    a_pki_data,
    crm,
    identification,
    identity_proof_v2,
    integer,
    tcr,
)
from tests.support.crmf import a_crm
from tests.support.csr import tlv
from tests.support.enrollment import Held, a_new_key, open_site, renewal
from tests.support.full_cmc import (
    key_identifier,
    send,
    serve_full_cmc,
    signed_by,
    signed_by_own_key,
)

COUNT = 600
CPU_SECONDS = 0.05
NONCE = tlv(0x04, b"nonce")


def test_security_P1_mutants_of_full_pki_requests_are_taken_or_refused_at_small_cost() -> None:
    statuses = asyncio.run(send_mutants(seed=1, count=COUNT))

    assert sum(statuses.values()) == COUNT
    assert all(each < 500 for each in statuses), statuses
    # Some are whole, and some are wrong in what only their signature lets anybody see.
    assert {200, 400} <= set(statuses), statuses


async def send_mutants(*, seed: int, count: int) -> Counter[int]:
    """Send mutants, half of them signed after the damage, and count what came of them."""
    site = await open_site()
    await serve_full_cmc(site)
    again = {"allow_same_key": True, "re_enrollment": ReEnrollment.ALLOW}
    await site.change_policy(bootstrap=again)
    held = await site.enroll()
    code = await site.code(uses=MAXIMUM_USES)
    random = Random(seed)  # noqa: S311 - a test wants to repeat itself
    statuses: Counter[int] = Counter()
    for _ in range(count):
        message = _mutant(random, held, code)
        costs = []
        status = 0
        for _ in range(3):
            before = time.process_time()
            status = (await send(site, message)).status
            costs.append(time.process_time() - before)
            if costs[-1] < CPU_SECONDS:
                break
        assert min(costs) < CPU_SECONDS, message.hex()
        statuses[status] += 1
    return statuses


Made = tuple[Callable[[bytes], bytes], bytes]
"""How a content is signed, and a good one."""


def _by_certificate(held: Held, code: str) -> Made:
    del code
    heard = [(TRANSACTION_ID, integer(7)), (SENDER_NONCE, NONCE), (DATA_RETURN, NONCE)]
    content = a_pki_data(tcr(renewal(held).csr), controls=heard)
    return (lambda octets: signed_by(held, octets)), content


def _by_own_key(held: Held, code: str) -> Made:
    del held
    key = a_new_key()
    wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
    proof = [identification("pump-1"), identity_proof_v2(code, "pump-1", wanted)]
    content = a_pki_data(wanted, controls=proof)
    return (lambda octets: signed_by_own_key(key, octets)), content


def _mutant(random: Random, held: Held, code: str) -> bytes:
    sign, content = random.choice((_by_certificate, _by_own_key))(held, code)
    if random.random() < 0.5:
        return sign(mutant_of(random, content))
    return mutant_of(random, sign(content))
