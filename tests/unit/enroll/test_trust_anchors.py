"""Which trust anchors may be stored, and which certificates fit their conditions."""

import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from enroll.credentials import CredentialKind
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.profiles import PolicyError, check_enrollment_profile
from enroll.policy.trust_anchors import (
    check_trust_anchor,
    is_shared,
    objection,
    split_chain,
    values_in,
)
from enroll.trust import TrustAnchor, TrustPurpose
from tests.support.builders import a_policy, a_trust_anchor, an_enrollment_profile
from tests.support.chains import IDEVID_EXTENSIONS, Authority, a_dn

ROOT = Authority.root()
DEVICE = a_dn("Pump", serial_number="SN-1")


def an_anchor(**changes: Any) -> TrustAnchor:
    return a_trust_anchor(**{"der": ROOT.der, **changes})


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": ""}, "name"),
        ({"name": "a:b"}, "name"),
        ({"name": "n" * 51}, "name"),
        ({"der": b"no certificate"}, "certificate"),
        ({"der": Authority.root(extensions=IDEVID_EXTENSIONS).der}, "certificate"),
        ({"der": Authority.root(kind="rsa-1024").der}, "certificate"),
        ({"der": ROOT.der.replace(b"Maker", b"Mbker")}, "certificate"),
        ({"intermediates": (b"no certificate",)}, "certificate"),
        ({"intermediates": (ROOT.der,) * 51}, "intermediates"),
        ({"patterns": (("shoeSize", "*"),)}, "patterns"),
        ({"patterns": (("CN", ""),)}, "patterns"),
        ({"patterns": (("CN", "x" * 256),)}, "patterns"),
        ({"patterns": (("CN", "*"),) * 51}, "patterns"),
        ({"profiles": ("nowhere",)}, "profiles"),
        ({"policies": ("gold",)}, "policies"),
        ({"manufacturer": " "}, "manufacturer"),
        ({"manufacturer": "x" * 256}, "manufacturer"),
    ],
)
def test_an_anchor_that_cannot_be_is_refused_by_the_key_at_fault(
    changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(PolicyError, match=f"^{key}: "):
        check_trust_anchor(an_anchor(**changes), a_policy())


def test_an_intermediate_may_be_an_anchor() -> None:
    check_trust_anchor(an_anchor(der=ROOT.ca().der, profiles=("bootstrap",)), a_policy())


@pytest.mark.parametrize("kind", [CredentialKind.IDEVID, CredentialKind.AUTH_CA])
def test_est_T19_no_profile_renews_by_another_cas_certificate(kind: CredentialKind) -> None:
    profile = an_enrollment_profile(renewal_credentials=frozenset({kind}))

    with pytest.raises(PolicyError, match=r"^renewal_credentials: "):
        check_enrollment_profile(profile, a_policy())


def test_the_top_of_a_chain_is_found_in_any_order() -> None:
    between = ROOT.ca()
    lower = between.ca(a_dn("Lower"), number=2)
    chain = [lower.certificate, ROOT.certificate, between.certificate]

    top, below = split_chain(chain)

    assert top == ROOT.certificate
    assert set(below) == {between.certificate, lower.certificate}


def test_two_cas_in_one_file_are_not_one_anchor() -> None:
    other = Authority.root(a_dn("Other Root"), number=9)

    with pytest.raises(PolicyError, match="Other Root"):
        split_chain([ROOT.certificate, other.certificate])


def test_a_forged_name_puts_no_ca_below_another() -> None:
    forged = Authority.root(number=9).ca()

    with pytest.raises(PolicyError):
        split_chain([ROOT.certificate, forged.certificate])


@pytest.mark.parametrize(
    ("purpose", "patterns", "shared"),
    [
        (TrustPurpose.IDEVID, (), False),
        (TrustPurpose.AUTH_CA, (), True),
        (TrustPurpose.AUTH_CA, (("O", "Maker"),), True),
        (TrustPurpose.AUTH_CA, (("CN", "pump-*"),), False),
        (TrustPurpose.AUTH_CA, (("uri", "urn:dev:*"),), False),
    ],
)
def test_lifecycle_rule_5_what_devices_share_is_told_by_its_patterns(
    purpose: TrustPurpose, patterns: tuple[tuple[str, str], ...], *, shared: bool
) -> None:
    assert is_shared(an_anchor(purpose=purpose, patterns=patterns)) is shared


def against(anchor: TrustAnchor, leaf: x509.Certificate) -> str | None:
    return objection(anchor, an_enrollment_profile(), values_in(PathCertificate(leaf)))


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ((("serialNumber", "SN-*"),), True),
        ((("serialNumber", "SN-?"),), True),
        ((("serialNumber", "SN"),), False),
        ((("serialNumber", "sn-1"),), False),
        ((("serialNumber", "SN-[0-9]"),), False),
        ((("serialNumber", "X*"), ("serialNumber", "SN-1")), True),
        ((("serialNumber", "SN-1"), ("CN", "Valve")), False),
        ((("serialNumber", "SN-1"), ("CN", "Pump")), True),
        ((("uri", "*"),), False),
    ],
)
def test_a_certificate_fits_alternatives_in_one_field_and_all_fields(
    patterns: tuple[tuple[str, str], ...], *, fits: bool
) -> None:
    found = against(an_anchor(patterns=patterns), ROOT.issue(DEVICE))

    assert (found is None) is fits


def test_every_value_of_a_field_must_fit() -> None:
    names = [x509.UniformResourceIdentifier(each) for each in ("urn:a:1", "urn:b:1")]
    anchor = an_anchor(patterns=(("uri", "urn:a:*"),))

    assert "urn:b:1" in str(against(anchor, ROOT.issue(DEVICE, names=names)))
    assert against(anchor, ROOT.issue(DEVICE, names=names[:1])) is None


def test_an_anchor_for_one_profile_is_not_for_another() -> None:
    anchor = an_anchor(profiles=("operational",))

    assert "bootstrap" in str(against(anchor, ROOT.issue(DEVICE)))
    assert against(replace(anchor, profiles=("bootstrap",)), ROOT.issue(DEVICE)) is None


def test_a_pattern_made_to_be_slow_is_judged_at_once() -> None:
    anchor = an_anchor(patterns=(("uri", "*a" * 100 + "b"),))
    leaf = ROOT.issue(DEVICE, names=[x509.UniformResourceIdentifier("urn:" + "a" * 250)])
    began = time.process_time()

    assert against(anchor, leaf) is not None

    assert time.process_time() - began < 1
