"""`enroll group`, `profile` and `certificate-profile`: list, show, add and set."""

import pytest

from enroll.result import Issued
from tests.support.desk import obtain, send
from tests.support.enrollment import by_code
from tests.support.installation import Installation

KINDS = {
    "group": ("default", "on_disable", "revoke"),
    "profile": ("bootstrap", "re_enrollment", "deny"),
    "certificate-profile": ("operational", "validity", "30d"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_interface_a_copy_is_like_the_other_but_for_what_was_set(
    installation: Installation, kind: str
) -> None:
    other, key, value = KINDS[kind]
    original = installation.json(kind, "show", other)

    added = installation.json(kind, "add", "line-2", "--copy", other, "--set", f"{key}={value}")

    own = {"name", "slug", "id", key}
    assert added["name"] == "line-2"
    assert added[key] == value
    assert {k: v for k, v in added.items() if k not in own} == {
        k: v for k, v in original.items() if k not in own
    }
    assert installation.json(kind, "show", "line-2") == added
    assert added in installation.json(kind, "list")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["positional", "option"])
def test_set_changes_what_was_said_and_no_more(
    installation: Installation, kind: str, style: str
) -> None:
    name, key, value = KINDS[kind]
    before = installation.json(kind, "show", name)
    words = ("--set", f"{key}={value}") if style == "option" else (f"{key}={value}",)

    after = installation.json(kind, "set", name, *words)

    assert after[key] == value
    changed = {k for k in after if after[k] != before[k]}
    assert changed - {"version"} == {key}
    assert installation.json(kind, "show", name) == after


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_change_changes_nothing(installation: Installation, kind: str) -> None:
    name, key, value = KINDS[kind]
    before = installation.json(kind, "show", name)

    ended = installation.call(kind, "set", name, f"{key}={value}", "no_such_key=1")

    assert ended.returncode == 2
    assert installation.json(kind, "show", name) == before


def test_a_certificate_profile_counts_its_versions(installation: Installation) -> None:
    assert installation.json("certificate-profile", "show", "operational")["version"] == 1

    installation.run("certificate-profile", "set", "operational", "validity=30d")

    assert installation.json("certificate-profile", "show", "operational")["version"] == 2


def test_what_was_set_is_in_the_next_certificate(installation: Installation) -> None:
    installation.run(
        *("certificate-profile", "set", "bootstrap", "validity=2h"),
        r"subject=O=Acme\, Inc.,OU={attribute.floor},CN={name}",
    )
    code = installation.json("device", "add", "pump-1", "--attribute", "floor=2")["code"]

    certificate = obtain(installation, by_code("pump-1", code)).certificate

    assert [each.value for each in certificate.subject] == ["Acme, Inc.", "2", "pump-1"]
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.total_seconds() == pytest.approx(2 * 3600 + 300, abs=2)


def test_a_new_profile_is_an_endpoint_of_its_own(installation: Installation) -> None:
    installation.run("profile", "add", "line-2", "--copy", "bootstrap", "--set", "protocols=scep")
    code = installation.json("device", "add", "pump-1")["code"]

    by_est = send(installation, by_code("pump-1", code, profile="line-2"))
    installation.run("profile", "set", "line-2", "protocols=scep,est")

    assert not isinstance(by_est, Issued)
    obtain(installation, by_code("pump-1", code, profile="line-2"))


def test_a_disabled_group_takes_no_new_devices(installation: Installation) -> None:
    installation.run("group", "set", "default", "status=disabled")

    ended = installation.call("device", "add", "pump-1")

    assert ended.returncode == 4
    assert "group 'default' is disabled" in ended.stderr


def test_a_group_may_be_shown_by_its_id(installation: Installation) -> None:
    identifier = installation.json("group", "show", "default")["id"]

    assert installation.json("group", "show", identifier)["name"] == "default"


def test_lifecycle_DC5_a_group_is_opened_to_newcomers_and_closed_again(
    installation: Installation,
) -> None:
    before = installation.json("group", "show", "default")
    opened = installation.json(
        "group", "set", "default", "registration_mode=just_in_time", "newcomers_per_day=25"
    )
    closed = installation.json("group", "set", "default", "registration_mode=pre_registered")

    assert before["registration_mode"] == "pre_registered"
    assert (opened["registration_mode"], opened["newcomers_per_day"]) == ("just_in_time", 25)
    assert closed["registration_mode"] == "pre_registered"
