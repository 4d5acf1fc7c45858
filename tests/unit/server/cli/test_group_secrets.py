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
    assert installation.json("group", "show", "default")["secrets"] == [listed]


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
