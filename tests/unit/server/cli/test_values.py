"""Values as people write them: pairs, and the settings of profiles and groups."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import TypeVar

import pytest
import typer

from enroll.options import SCEPOptions
from enroll.profiles import CertificateProfile, DeviceGroup, EnrollmentProfile
from server.cli.values import parse_pairs, to_data, with_settings
from tests.support.builders import a_certificate_profile, a_group, an_enrollment_profile

Policy = TypeVar("Policy", CertificateProfile, DeviceGroup, EnrollmentProfile)
POLICIES = [
    a_certificate_profile(),
    a_group(),
    an_enrollment_profile(),
    an_enrollment_profile("operational"),
]
FIXED = {"slug", "name", "tenant_id", "group_id", "version", "secrets"}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda each: type(each).__name__)
def test_every_key_is_set_in_the_words_in_which_it_is_shown(
    policy: Policy,
) -> None:
    shown = {
        key: ",".join(value) if isinstance(value, list) else _words(value)
        for key, value in to_data(policy).items()
        if key not in FIXED
    }
    shown_fields = {key.partition(".")[0] for key in shown}
    assert shown_fields | FIXED >= {each.name for each in fields(policy)}

    assert with_settings(policy, shown) == policy


def _words(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def test_pairs_go_with_commas() -> None:
    profile = with_settings(a_certificate_profile(), {"subject": "CN={name}, O=Acme"})

    assert profile.subject == (("CN", "{name}"), ("O", "Acme"))


def test_a_comma_in_a_value_is_written_with_a_backslash() -> None:
    profile = with_settings(a_certificate_profile(), {"subject": r"O=Acme\, Inc.,CN={name}"})

    assert profile.subject == (("O", "Acme, Inc."), ("CN", "{name}"))


@pytest.mark.parametrize("text", ["none", "None", ""])
def test_what_may_be_absent_is_taken_away_with_none(text: str) -> None:
    profile = an_enrollment_profile(revoke_superseded_after=timedelta(days=1))

    changed = with_settings(profile, {"revoke_superseded_after": text})

    assert changed == replace(profile, revoke_superseded_after=None)


def test_an_option_of_one_protocol_is_set_under_its_name() -> None:
    changed = with_settings(an_enrollment_profile(), {"scep.legacy": "true"})

    assert changed == an_enrollment_profile(scep=SCEPOptions(legacy=True))


def test_the_options_of_a_protocol_are_not_set_as_one() -> None:
    with pytest.raises(typer.BadParameter, match=r"no such key; known are .*scep\.legacy"):
        with_settings(an_enrollment_profile(), {"scep": "true"})


def test_a_pair_keeps_what_follows_its_first_equals_sign() -> None:
    assert parse_pairs(["url=https://x/?a=b", "empty="], "--attribute") == {
        "url": "https://x/?a=b",
        "empty": "",
    }


@pytest.mark.parametrize("item", ["", "key", "=value"])
def test_what_is_no_pair_is_refused(item: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected KEY=VALUE"):
        parse_pairs([item], "--set")
