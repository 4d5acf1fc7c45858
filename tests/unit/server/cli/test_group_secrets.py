"""`enroll group secret`: made once, listed without the secret, removed."""

from tests.support.installation import Installation

REFUSED = 4


def test_lifecycle_2_2_a_group_secret_is_shown_once(installation: Installation) -> None:
    made = installation.json("group", "secret", "add", "default", "--ttl", "90d")

    kept = b"".join(each.read_bytes() for each in installation.home.glob("registry.db*"))
    assert made["secret"].encode() not in kept
    assert made["secret"] not in installation.run("group", "show", "default", "-o", "json")
    assert made["secret"] not in installation.run("audit", "export")
    (listed,) = installation.json("group", "secret", "list", "default")
    assert listed["id"] == made["id"]
    (shown,) = installation.json("group", "show", "default")["secrets"]
    assert {**shown, "uses": None} == listed


def test_a_third_secret_is_refused_until_one_is_removed(installation: Installation) -> None:
    first = installation.json("group", "secret", "add", "default")
    installation.json("group", "secret", "add", "default")

    third = installation.call("group", "secret", "add", "default")
    installation.run("group", "secret", "remove", "default", first["id"])

    assert third.returncode == REFUSED
    assert "remove one first" in third.stderr
    installation.json("group", "secret", "add", "default")


def test_the_secrets_of_a_group_are_not_set_as_settings(installation: Installation) -> None:
    installation.json("group", "secret", "add", "default")

    ended = installation.call("group", "set", "default", "secrets=none")
    installation.run("group", "set", "default", "group_secret_approval=auto")

    assert ended.returncode == 2
    assert len(installation.json("group", "secret", "list", "default")) == 1


def test_lifecycle_DC16_a_passcode_has_a_reference_dates_and_uses(
    installation: Installation,
) -> None:
    terms = ("--not-before", "2030-01-31", "--not-after", "2031-01-31T08:00:00+01:00")
    made = installation.json(
        "group", "secret", "add", "default", "--reference", "bench", "--uses", "50", *terms
    )

    (listed,) = installation.json("group", "secret", "list", "default")

    assert (made["reference"], made["max_uses"]) == ("bench", 50)
    assert made["not_before"] == "2030-01-31T00:00:00Z"
    assert made["expires_at"] == "2031-01-31T07:00:00Z"
    assert listed["uses"] == 0


def test_a_reference_of_any_octets_is_given_and_shown_in_hex(installation: Installation) -> None:
    made = installation.json("group", "secret", "add", "default", "--reference", "hex:00ff")

    assert made["reference"] == "hex:00ff"


def test_terms_that_cannot_be_are_refused(installation: Installation) -> None:
    for wrong in (
        ("--reference", "hex:zz"),
        ("--not-before", "tomorrow"),
        ("--not-after", "2001-01-01"),
        ("--uses", "0"),
    ):
        ended = installation.call("group", "secret", "add", "default", *wrong)

        assert ended.returncode == 2, wrong


def test_a_group_made_like_another_does_not_share_its_secrets(installation: Installation) -> None:
    installation.json("group", "secret", "add", "default", "--reference", "bench")

    installation.run("group", "add", "others", "--copy", "default")

    assert installation.json("group", "secret", "list", "others") == []
