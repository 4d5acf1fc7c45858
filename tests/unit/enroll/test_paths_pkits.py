"""Path validation against NIST PKITS: the exact outcome of every test."""

import json
import tomllib
import warnings
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from enroll.policy.paths.building import Anchor, CertificateStore, find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError
from enroll.policy.paths.validation import PathRules
from tests.architecture.source import ROOT

HERE = ROOT / "tests" / "vectors" / "pkits"
TESTS = json.loads((HERE / "tests.json").read_text())
TABLE = tomllib.loads((HERE / "outcomes.toml").read_text())
REASONS = {"dsa", "revocation", "device"}
AT = datetime(2020, 1, 1, tzinfo=UTC)


@lru_cache
def certificate(name: str) -> PathCertificate | None:
    """Read a certificate of PKITS, or give None for one that cryptography cannot read."""
    der = (HERE / "certs" / name).read_bytes()
    with warnings.catch_warnings():
        # PKITS has negative serial numbers on purpose.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            return PathCertificate(x509.load_der_x509_certificate(der))
        except ValueError:
            return None


def outcome(test: dict[str, Any]) -> str:
    leaf = certificate(test["leaf"])
    anchor = certificate("TrustAnchorRootCertificate.crt")
    assert anchor is not None
    if leaf is None:
        return "certificate_unreadable"
    inputs = test.get("inputs", {})
    rules = PathRules(
        at=AT,
        policies=frozenset(map(x509.ObjectIdentifier, inputs.get("user_initial_policy_set", ()))),
        explicit_policy=inputs.get("initial_explicit_policy", False),
        inhibit_policy_mapping=inputs.get("initial_policy_mapping_inhibit", False),
        inhibit_any_policy=inputs.get("initial_any_policy_inhibit", False),
    )
    sent = [each for each in map(certificate, test["sent"]) if each is not None]
    store = CertificateStore(anchors=(Anchor(anchor_id="pkits", certificate=anchor),))
    try:
        find_path(leaf, sent, store, rules)
    except PathError as error:
        return error.fault.value
    return "valid"


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["section"] + "-" + test["name"])
def test_pkits(test: dict[str, Any]) -> None:
    name = test["name"]

    found = outcome(test)

    assert found == TABLE["outcomes"][name]
    deviates = (found == "valid") != test["valid"]
    assert deviates == (name in TABLE["deviations"]), "deviations are listed, and only those"


def test_every_deviation_from_pkits_has_its_reason() -> None:
    reasons = TABLE["deviations"]

    assert set(reasons.values()) == REASONS
    assert set(TABLE["outcomes"]) == {test["name"] for test in TESTS}
    accepted = {name for name in reasons if TABLE["outcomes"][name] == "valid"}
    assert {reasons[name] for name in accepted} == {"revocation"}, "nothing else is let through"
