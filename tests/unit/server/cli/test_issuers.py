"""`enroll issuer`: which CAs there are, and the steps of a rollover in their order."""

import fcntl
import json
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.desk import obtain
from tests.support.enrollment import by_code
from tests.support.installation import Installation

STEPS = ("prepare", "publish", "activate", "retire")


def step(installation: Installation, name: str, *options: str) -> tuple[int, str]:
    words = ("--yes",) if name == "retire" else ()
    ended = installation.call("issuer", "rollover", name, *words, *options)
    return ended.returncode, ended.stderr


def certificate(installation: Installation, name: str) -> x509.Certificate:
    pem = (installation.home / "ca" / f"{name}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem)


def taken(installation: Installation, count: int) -> None:
    """Take the first steps."""
    for name in STEPS[:count]:
        code, words = step(installation, name)
        assert code == 0, words


@pytest.mark.parametrize(
    ("before", "asked", "hint"),
    [
        (0, "publish", "enroll issuer rollover prepare"),
        (0, "activate", "enroll issuer rollover prepare"),
        (0, "retire", "enroll issuer rollover prepare"),
        (1, "activate", "enroll issuer rollover publish"),
        (1, "retire", "enroll issuer rollover publish"),
        (2, "prepare", "enroll issuer rollover activate"),
        (2, "retire", "enroll issuer rollover activate"),
        (3, "prepare", "enroll issuer rollover retire"),
    ],
)
def test_est_C2_a_step_whose_time_has_not_come_is_refused_and_says_what_to_do(
    installation: Installation, before: int, asked: str, hint: str
) -> None:
    taken(installation, before)
    files = sorted((installation.home / "ca").glob("*.pem"))

    code, words = step(installation, asked)

    assert code == 4
    assert hint in words
    assert sorted((installation.home / "ca").glob("*.pem")) == files


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_est_C2_a_step_that_is_done_can_be_given_again(
    installation: Installation, count: int
) -> None:
    taken(installation, count)
    before = installation.json("issuer", "list")
    exported = len(installation.run("audit", "export").splitlines())

    code, words = step(installation, STEPS[count - 1])

    assert code == 0, words
    assert installation.json("issuer", "list") == before
    assert len(installation.run("audit", "export").splitlines()) == exported


@pytest.mark.parametrize(
    ("count", "phase"), [(1, "prepared"), (2, "published"), (3, "activated"), (4, None)]
)
def test_check_tells_how_far_a_rollover_is_and_what_comes_next(
    installation: Installation, count: int, phase: str | None
) -> None:
    taken(installation, count)

    found = {each["check"]: each for each in installation.json("check")}

    assert all(each["result"] != "wrong" for each in found.values())
    if phase is None:
        assert "rollover" not in found
    else:
        assert found["rollover"]["result"] == "warning"
        assert found["rollover"]["detail"].startswith(f"{phase}; next, ")
        assert "enroll issuer rollover" in found["rollover"]["detail"]


def test_a_root_whose_key_is_elsewhere_cannot_be_followed(installation: Installation) -> None:
    key = installation.home / "keys" / "root.key"
    key.rename(installation.home / "away")

    code, words = step(installation, "prepare")

    assert code == 4
    assert str(key) in words
    assert installation.json("issuer", "rollover", "status")["phase"] == "settled"
    (installation.home / "away").rename(key)
    assert step(installation, "prepare")[0] == 0


@pytest.mark.parametrize("algorithm", ["rsa-2048", "dsa"])
def test_a_key_that_no_ca_may_have_is_wrong_usage(
    installation: Installation, algorithm: str
) -> None:
    code, words = step(installation, "prepare", "--key-algorithm", algorithm)

    assert code == 2
    assert "--key-algorithm" in words
    assert installation.json("issuer", "rollover", "status")["phase"] == "settled"


def test_a_new_ca_may_have_a_key_of_another_kind(installation: Installation) -> None:
    assert step(installation, "prepare", "--key-algorithm", "ml-dsa-65")[0] == 0

    kinds = {each["name"]: each["key_algorithm"] for each in installation.json("issuer", "list")}

    assert kinds == {
        "root": "p-384",
        "issuing": "p-256",
        "root-2": "ml-dsa-65",
        "issuing-2": "ml-dsa-65",
    }
    taken(installation, 4)
    assert installation.call("check").returncode == 0


def test_one_ca_is_shown_with_its_files_and_addresses(installation: Installation) -> None:
    taken(installation, 3)

    new = installation.json("issuer", "show", "issuing-2")
    old = installation.json("issuer", "show", "root")
    unknown = installation.call("issuer", "show", "issuing-3")

    assert new["above"] == "root-2"
    assert new["follows"] == "issuing"
    assert new["state"] == "active"
    assert new["key_is_here"] is True
    assert new["crl_url"].endswith("/crl/issuing-2.crl")
    assert new["certificate_url"].endswith("/ca/issuing-2.crt")
    assert new["subject"] == "CN=Test Issuing CA 2"
    assert old["state"] == "succeeded"
    assert old["followed_by"] == "root-2"
    assert [Path(each).name for each in old["cross_certificates"]] == ["root-by-root-2.pem"]
    assert unknown.returncode == 3


def test_two_steps_are_not_taken_at_once(installation: Installation) -> None:
    lock = installation.home / "ca" / "issuers.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        code, words = step(installation, "prepare")

    assert code == 4
    assert "at this moment" in words


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b'{"issuers": []}',
        b'{"issuers": [{"name": "root", "kind": "root", "state": "lost"}]}',
        b'{"issuers": [{"name": "root", "kind": "root", "state": "active", "more": 1}]}',
    ],
)
def test_a_damaged_record_of_cas_is_named(installation: Installation, record: bytes) -> None:
    (installation.home / "ca" / "issuers.json").write_bytes(record)

    ended = installation.call("issuer", "list")
    checked = installation.call("check")

    assert ended.returncode == 1
    assert "issuers.json: cannot be used" in ended.stderr
    assert checked.returncode == 1


def test_a_profile_may_name_a_ca_that_was_succeeded_and_none_that_does_not_sign(
    installation: Installation,
) -> None:
    taken(installation, 2)
    soon = installation.call("profile", "set", "operational", "issuer=issuing-2")
    assert step(installation, "activate")[0] == 0

    old = installation.call("profile", "set", "operational", "issuer=issuing")
    new = installation.call("profile", "set", "operational", "issuer=issuing-2")
    root = installation.call("profile", "set", "operational", "issuer=root-2")

    assert [each.returncode for each in (soon, old, new, root)] == [2, 0, 0, 2]


def test_records_name_the_ca_that_signed_and_old_certificates_still_count(
    installation: Installation,
) -> None:
    first = installation.json("device", "add", "pump-1")
    obtain(installation, by_code("pump-1", first["code"]))
    taken(installation, 3)
    second = installation.json("device", "add", "pump-2")
    obtain(installation, by_code("pump-2", second["code"]))

    issuers = {
        name: installation.json("device", "show", name)["certificates"][0]["issuer"]
        for name in ("pump-1", "pump-2")
    }

    assert issuers == {"pump-1": "issuing", "pump-2": "issuing-2"}
    status = installation.json("issuer", "rollover", "status")
    assert status["certificates_of_the_old"] == 1
    code, words = step(installation, "retire")
    assert code == 4
    assert words.startswith("enroll: 1 certificates of the old CA are in use")
    assert step(installation, "retire", "--abandon")[0] == 0


def test_a_lost_record_of_cas_lets_no_retired_ca_sign_again(installation: Installation) -> None:
    taken(installation, 4)
    (installation.home / "ca" / "issuers.json").unlink()

    checked = {
        each["check"]: each for each in json.loads(installation.call("check", "-o", "json").stdout)
    }
    served = installation.call("serve", "--https", "127.0.0.1:0", "--http", "", "--management", "")

    assert checked["keys"]["result"] == "wrong"
    assert "restore it from a backup" in checked["keys"]["detail"]
    assert served.returncode == 1
    assert "restore it from a backup" in served.stderr
