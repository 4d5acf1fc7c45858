"""`enroll key`: made once, listed without secrets, revoked."""

from tests.support.installation import Installation

USAGE = 2
NOT_FOUND = 3


def test_lifecycle_IZ2_a_key_is_shown_when_it_is_made_and_never_again(
    installation: Installation,
) -> None:
    made = installation.json("key", "add", "jamf", "--role", "integration", "--ttl", "365d")

    listed = installation.run("key", "list", "-o", "json")
    assert made["key"].startswith(f"ak_{made['id']}_")
    assert made["key"].rpartition("_")[2] not in listed
    kept = b"".join(each.read_bytes() for each in installation.home.glob("registry.db*"))
    assert made["key"].encode().rpartition(b"_")[2] not in kept
    assert installation.json("key", "list")[-1]["status"] == "active"


def test_a_revoked_key_is_listed_as_revoked(installation: Installation) -> None:
    made = installation.json("key", "add", "jamf", "--role", "integration")

    ended = installation.json("key", "revoke", made["id"])

    assert ended["status"] == "revoked"
    assert installation.json("key", "revoke", made["id"]) == ended
    assert "key.revoked" in installation.run("audit", "export")


def test_a_key_that_is_not_there_cannot_be_revoked(installation: Installation) -> None:
    ended = installation.call("key", "revoke", "000000000000")

    assert ended.returncode == NOT_FOUND
    assert "enroll key list" in ended.stderr


def test_a_key_needs_a_role_that_there_is(installation: Installation) -> None:
    ended = installation.call("key", "add", "jamf", "--role", "emperor")

    assert ended.returncode == USAGE
    assert "integration" in ended.stderr
