from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enroll.credentials import CredentialKind
from enroll.options import (
    ChallengePasswordRule,
    CSRAttributesStyle,
    ESTOptions,
    HTTPScheme,
    LinkingRule,
)
from enroll.policy.profiles import (
    EXTENDED_KEY_USAGES,
    RESERVED_SLUGS,
    PolicyError,
    check_certificate_profile,
    check_enrollment_profile,
    check_group,
    purpose_oid,
)
from enroll.profiles import CertificateClass
from tests.support.builders import (
    a_certificate_profile,
    a_group,
    a_policy,
    a_tenant,
    an_enrollment_profile,
)

OWN = frozenset({CredentialKind.OWN_CERTIFICATE})
OTHER = a_tenant("other")
POLICY = a_policy(
    OTHER,
    an_enrollment_profile("theirs", tenant_id=OTHER.tenant_id),
    a_certificate_profile("for servers", extended_key_usage=("serverAuth",)),
    a_certificate_profile("for anything", extended_key_usage=()),
)


def test_est_A2_linking_is_not_required_where_devices_are_not_told_of_it() -> None:
    silent = ESTOptions(csr_attributes=CSRAttributesStyle.NONE, linking=LinkingRule.REQUIRED)

    with pytest.raises(PolicyError, match=r"est\.csr_attributes: .* link"):
        check_enrollment_profile(an_enrollment_profile(est=silent), POLICY)


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_est_H2_a_profile_is_not_named_like_an_operation(slug: str) -> None:
    with pytest.raises(PolicyError, match=r"slug: .* operation"):
        check_enrollment_profile(an_enrollment_profile(slug), POLICY)


@pytest.mark.parametrize("slug", ["", "Upper", "a b", "a/b", ".a", "a-", "x" * 65, "ä", "a\n"])
def test_a_slug_fits_into_a_path(slug: str) -> None:
    with pytest.raises(PolicyError, match="slug: expected"):
        check_enrollment_profile(an_enrollment_profile(slug), POLICY)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("certificate_class", {"certificate_class": CertificateClass.SERVICE}),
        ("certificate_profile", {"certificate_profile": "nowhere"}),
        ("certificate_profile", {"certificate_profile": "for servers"}),
        ("protocols", {"protocols": frozenset()}),
        ("initial_credentials", {"initial_credentials": frozenset()}),
        ("own_certificates_of", {"initial_credentials": OWN}),
        ("own_certificates_of", {"own_certificates_of": ("nowhere",)}),
        ("own_certificates_of", {"own_certificates_of": ("theirs",)}),
        ("renewal_window", {"renewal_window": 0.0}),
        (
            "est.csr_attributes",
            {
                "est": ESTOptions(
                    csr_attributes=CSRAttributesStyle.NONE, linking=LinkingRule.REQUIRED
                )
            },
        ),
        (
            "est.csr_attributes",
            {"est": ESTOptions(csr_attributes=CSRAttributesStyle.NONE, enforce_attributes=True)},
        ),
        (
            "est.http_authentication",
            {"est": ESTOptions(http_authentication=(HTTPScheme.BASIC, HTTPScheme.BASIC))},
        ),
        (
            "est.linking",
            {
                "est": ESTOptions(
                    challenge_password=ChallengePasswordRule.CODE, linking=LinkingRule.REQUIRED
                )
            },
        ),
        ("renewal_window", {"renewal_window": 1.1}),
        ("renewal_window", {"renewal_window": float("nan")}),
        ("confirm_timeout", {"confirm_timeout": timedelta(seconds=-1)}),
        ("replay_window", {"replay_window": timedelta(days=366 * 31)}),
        ("revoke_superseded_after", {"revoke_superseded_after": timedelta(weeks=999_999)}),
    ],
)
def test_a_fault_in_an_enrollment_profile_names_its_key(key: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=rf"^{key}: "):
        check_enrollment_profile(an_enrollment_profile(**changes), POLICY)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"slug": "a"},
        {"slug": "line-2.pumps_a"},
        {"initial_credentials": OWN, "own_certificates_of": ("operational",)},
        {"certificate_profile": "for anything"},
        {
            "certificate_profile": "for servers",
            "renewal_credentials": frozenset({CredentialKind.ONE_TIME_CODE}),
        },
        {"renewal_window": 1.0},
        {"revoke_superseded_after": timedelta(0), "replay_window": timedelta(0)},
    ],
)
def test_a_good_enrollment_profile_is_taken(changes: dict[str, Any]) -> None:
    check_enrollment_profile(replace(an_enrollment_profile(), **changes), POLICY)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 65}),
        ("name", {"name": "a\n"}),
        ("validity", {"validity": timedelta(seconds=59)}),
        ("validity", {"validity": timedelta(days=366 * 30, seconds=1)}),
        ("backdate", {"backdate": timedelta(minutes=5, seconds=1)}),
        ("backdate", {"backdate": timedelta(seconds=-1)}),
        ("subject", {"subject": (("X", "{name}"),)}),
        ("subject", {"subject": (("CN", ""),)}),
        ("subject", {"subject": (("CN", "{nome}"),)}),
        ("subject", {"subject": (("C", "Germany"),)}),
        ("subject", {"subject": (), "subject_alternative_names": ()}),
        (
            "subject_alternative_names",
            {"subject_alternative_names": (("upn", "{name}"),)},
        ),
        (
            "subject_alternative_names",
            {"subject_alternative_names": (("ip", "no address"),)},
        ),
        (
            "subject_alternative_names",
            {"subject_alternative_names": (("uri", "urn:{id"),)},
        ),
        ("key_usage", {"key_usage": frozenset()}),
        ("key_algorithms", {"key_algorithms": frozenset()}),
        ("extended_key_usage", {"extended_key_usage": ("clientauth",)}),
        ("extended_key_usage", {"extended_key_usage": ("2.5.29.37.0",)}),
        ("extended_key_usage", {"extended_key_usage": ("1.3.6.1.5.5.7.3.9",)}),
        ("extended_key_usage", {"extended_key_usage": ("1.3.6.1.5.5.7.3.28",)}),
    ],
)
def test_a_fault_in_a_certificate_profile_names_its_key(key: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=rf"^{key}: "):
        check_certificate_profile(replace(a_certificate_profile(), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"subject": (("C", "DE"), ("O", "Acme"), ("CN", "{name}"))},
        {"subject": ()},
        {
            "subject_alternative_names": (
                ("dns", "{name}.example"),
                ("ip", "{attribute.address}"),
                ("ip", "192.0.2.1"),
                ("email", "{name}@example.net"),
            )
        },
        {"extended_key_usage": ("1.3.6.1.5.5.7.3.17", "clientAuth")},
    ],
)
def test_a_good_certificate_profile_is_taken(changes: dict[str, Any]) -> None:
    check_certificate_profile(replace(a_certificate_profile(), **changes))


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("name", {"name": "/"}),
        ("required_profiles", {"required_profiles": ("nowhere",)}),
        ("required_profiles", {"required_profiles": ("operational", "theirs")}),
    ],
)
def test_a_fault_in_a_group_names_its_key(key: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=rf"^{key}: "):
        check_group(replace(a_group(), **changes), POLICY)


def test_a_good_group_is_taken() -> None:
    check_group(a_group(required_profiles=("bootstrap", "operational")), POLICY)


def test_purposes_have_names_and_numbers() -> None:
    assert purpose_oid("clientAuth") == EXTENDED_KEY_USAGES["clientAuth"]
    assert purpose_oid("1.3.6.1.4.1.311.20.2.2") == "1.3.6.1.4.1.311.20.2.2"
