"""Replays the corpora, the bombs and a slice of the mutants through the fuzz targets."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.fuzz_cmp_exchange import fuzz_cmp_exchange
from tests.fuzz.fuzz_cmp_message import fuzz_cmp_message
from tests.fuzz.fuzz_cmp_possession import fuzz_cmp_possession
from tests.fuzz.fuzz_cmp_revocation import fuzz_cmp_revocation
from tests.fuzz.fuzz_cmp_support import fuzz_cmp_support
from tests.fuzz.fuzz_cms_enveloped import fuzz_cms_enveloped
from tests.fuzz.fuzz_cms_signed import fuzz_cms_signed
from tests.fuzz.fuzz_crmf import fuzz_crmf
from tests.fuzz.fuzz_est_body import fuzz_est_body
from tests.fuzz.fuzz_est_head import fuzz_est_head
from tests.fuzz.fuzz_est_keyless import fuzz_est_keyless
from tests.fuzz.fuzz_full_cmc import fuzz_full_cmc
from tests.fuzz.fuzz_pkcs10 import fuzz_pkcs10
from tests.fuzz.fuzz_pki_data import fuzz_pki_data
from tests.fuzz.fuzz_scep_message import fuzz_scep_message
from tests.fuzz.fuzz_scep_query import fuzz_scep_query
from tests.fuzz.fuzz_scep_sealed import fuzz_scep_sealed
from tests.soak.mutations import mutant_of, mutants
from tests.support.csr import bombs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be"),
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
]

CORPUS = Path(__file__).parent / "corpus"
CPU_SECONDS = 0.05

TARGETS: dict[str, Callable[[bytes], None]] = {
    "cmp_exchange": fuzz_cmp_exchange,
    "cmp_message": fuzz_cmp_message,
    "cmp_possession": fuzz_cmp_possession,
    "cmp_revocation": fuzz_cmp_revocation,
    "cmp_support": fuzz_cmp_support,
    "cms_enveloped": fuzz_cms_enveloped,
    "cms_signed": fuzz_cms_signed,
    "crmf": fuzz_crmf,
    "pki_data": fuzz_pki_data,
    "full_cmc": fuzz_full_cmc,
    "pkcs10": fuzz_pkcs10,
    "est_body": fuzz_est_body,
    "est_head": fuzz_est_head,
    "est_keyless": fuzz_est_keyless,
    "scep_message": fuzz_scep_message,
    "scep_query": fuzz_scep_query,
    "scep_sealed": fuzz_scep_sealed,
}


def check(target: Callable[[bytes], None], data: bytes) -> None:
    """Run a target, which must not raise, and must not cost more than it may.

    Garbage collection may fall into one run, so the cheapest of up to three counts.
    """
    assert any(cost_of(target, data) < CPU_SECONDS for _ in range(3))


def cost_of(target: Callable[[bytes], None], data: bytes) -> float:
    before = time.process_time()
    target(data)
    return time.process_time() - before


def test_every_target_has_a_corpus() -> None:
    assert {each.name for each in CORPUS.iterdir() if each.is_dir()} == set(TARGETS)
    for name in TARGETS:
        assert any((CORPUS / name).iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_of_others_is_taken_by_each_target(name: str) -> None:
    for file in sorted(CORPUS.glob("*/*")):
        check(TARGETS[name], file.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("bomb", bombs().values(), ids=bombs().keys())
def test_security_P1_a_bomb_is_refused_at_small_cost(
    target: Callable[[bytes], None], bomb: bytes
) -> None:
    check(target, bomb)


def test_security_P1_mutants_are_taken_or_refused_at_small_cost() -> None:
    for body in mutants(seed=1, count=2_000):
        check(fuzz_est_body, body)


@pytest.mark.parametrize(
    "target",
    ["cmp_message", "cms_enveloped", "cms_signed", "est_keyless", "scep_message", "scep_sealed"],
)
def test_security_P1_mutants_of_the_corpus_are_taken_or_refused_at_small_cost(target: str) -> None:
    random = Random(3)  # noqa: S311 - a test wants to repeat itself
    seeds = [each.read_bytes() for each in sorted((CORPUS / target).glob("seed-*"))]
    for _ in range(1_000):
        check(TARGETS[target], mutant_of(random, random.choice(seeds)))


def test_the_same_seed_gives_the_same_mutants() -> None:
    assert list(mutants(seed=2, count=50)) == list(mutants(seed=2, count=50))
    assert list(mutants(seed=2, count=50)) != list(mutants(seed=3, count=50))
