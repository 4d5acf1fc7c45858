"""Full PKI Requests gone wrong: half of them signed after the damage, so that it is looked into."""

from collections.abc import Callable
from random import Random

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
from tests.support.enrollment import Held, a_new_key, renewal
from tests.support.full_cmc import key_identifier, signed_by, signed_by_own_key

Made = tuple[Callable[[bytes], bytes], bytes]
"""How a content is signed, and a good one."""
_NONCE = tlv(0x04, b"nonce")


def full_cmc_mutant(random: Random, held: Held, name: str, code: str) -> bytes:
    """Give a message of a device's, DER, proven by what it holds or by its code; or nearly so."""
    by_certificate = random.random() < 0.5
    sign, content = _by_certificate(held) if by_certificate else _by_own_key(name, code)
    if random.random() < 0.5:
        return sign(mutant_of(random, content))
    return mutant_of(random, sign(content))


def _by_certificate(held: Held) -> Made:
    heard = [(TRANSACTION_ID, integer(7)), (SENDER_NONCE, _NONCE), (DATA_RETURN, _NONCE)]
    content = a_pki_data(tcr(renewal(held).csr), controls=heard)
    return (lambda octets: signed_by(held, octets)), content


def _by_own_key(name: str, code: str) -> Made:
    key = a_new_key()
    wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
    proof = [identification(name), identity_proof_v2(code, name, wanted)]
    content = a_pki_data(wanted, controls=proof)
    return (lambda octets: signed_by_own_key(key, octets)), content
