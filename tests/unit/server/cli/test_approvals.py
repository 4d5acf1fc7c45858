"""`enroll approval` and `enroll device approve|reject`, on a registry that nobody serves."""

from typing import Any

import pytest

from enroll.result import Issued, Pending, Rejected
from tests.support.desk import send
from tests.support.enrollment import Ask, by_code
from tests.support.installation import Installation

ORDER_KEYS = {
    "id",
    "kind",
    "state",
    "device",
    "group",
    "profile",
    "subject",
    "names",
    "spki_sha256",
    "credential",
    "requested_by",
    "requested_at",
    "expires_at",
    "decided_by",
    "decided_at",
    "reason",
}


def held(installation: Installation, name: str = "pump-1") -> tuple[Ask, dict[str, Any]]:
    """Have a device ask where people decide, and give what it asked and its order."""
    installation.run("group", "set", "default", "approval=manual")
    ask = by_code(name, installation.json("device", "add", name)["code"])
    result = send(installation, ask)
    assert isinstance(result, Pending)
    return ask, installation.json("approval", "show", result.order_id)


def test_interface_list_tells_who_asked_for_what_and_until_when(
    installation: Installation,
) -> None:
    ask, order = held(installation)

    (listed,) = installation.json("approval", "list")

    assert listed == order
    assert set(listed) >= ORDER_KEYS
    assert (listed["kind"], listed["state"]) == ("certificate", "pending")
    assert (listed["device"], listed["profile"]) == ("pump-1", "bootstrap")
    assert (listed["subject"], listed["credential"]) == ("CN=pump-1", "one_time_code")
    assert listed["requested_at"] < listed["expires_at"]
    assert (listed["decided_by"], listed["reason"]) == (None, None)
    text = installation.run("approval", "list")
    assert "pump-1" in text
    assert listed["id"] in text
    assert ask.code is not None
    assert ask.code not in installation.run("approval", "show", listed["id"])


def test_an_approved_request_gets_its_certificate_when_it_is_repeated(
    installation: Installation,
) -> None:
    ask, order = held(installation)

    approved = installation.json("approval", "approve", order["id"])
    result = send(installation, ask)

    assert (approved["state"], approved["decided_by"][:4]) == ("approved", "cli:")
    assert isinstance(result, Issued)
    after = installation.json("approval", "show", order["id"])
    assert (after["state"], after["fingerprint"]) == ("issued", result.record.fingerprint)
    assert installation.json("approval", "list") == []
    assert [each["id"] for each in installation.json("approval", "list", "--all")] == [order["id"]]


def test_a_rejected_request_is_refused_and_says_why_here(installation: Installation) -> None:
    ask, order = held(installation)

    rejected = installation.json("approval", "reject", order["id"], "--reason", "no such pump")
    result = send(installation, ask)

    assert (rejected["state"], rejected["reason"]) == ("rejected", "no such pump")
    assert isinstance(result, Rejected)
    attempt = installation.json("attempts", "--limit", "1")[0]
    assert attempt["finding"] == "approval_rejected"
    assert "no such pump" in attempt["detail"]


def test_what_was_decided_is_refused_a_second_time(installation: Installation) -> None:
    _, order = held(installation)
    installation.run("approval", "reject", order["id"], "--reason", "no")

    again = installation.call("approval", "approve", order["id"])

    assert again.returncode == 4
    assert "rejected already" in again.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("show", "nothing"),
        ("approve", "nothing"),
        ("reject", "nothing", "--reason", "no"),
    ],
)
def test_an_order_that_is_not_there_is_not_found(
    installation: Installation, words: tuple[str, ...]
) -> None:
    ended = installation.call("approval", *words)

    assert ended.returncode == 3
    assert "approval list" in ended.stderr


def test_a_rejection_needs_a_reason(installation: Installation) -> None:
    _, order = held(installation)

    without = installation.call("approval", "reject", order["id"])
    empty = installation.call("approval", "reject", order["id"], "--reason", " ")

    assert (without.returncode, empty.returncode) == (2, 4)


def test_lifecycle_T02_a_device_waits_where_its_group_says_so(installation: Installation) -> None:
    installation.run("group", "set", "default", "device_approval=manual")

    added = installation.json("device", "add", "pump-1")

    (order,) = installation.json("approval", "list")
    assert added["state"] == "pending_approval"
    assert added["code"]
    assert (order["kind"], order["device"], order["profile"]) == ("device", "pump-1", None)
    assert order["requested_by"].startswith("cli:")


def test_lifecycle_T03_who_added_a_device_does_not_approve_it(installation: Installation) -> None:
    installation.run("group", "set", "default", "device_approval=manual")
    installation.run("device", "add", "pump-1")

    ended = installation.call("device", "approve", "pump-1")

    assert ended.returncode == 4
    assert "separation_of_duty" in ended.stderr
    assert installation.json("device", "show", "pump-1")["state"] == "pending_approval"


def test_lifecycle_T03_a_device_is_approved_by_its_name(installation: Installation) -> None:
    settings = ("device_approval=manual", "separation_of_duty=false")
    installation.run("group", "set", "default", *settings)
    installation.run("device", "add", "pump-1")

    approved = installation.json("device", "approve", "pump-1")
    again = installation.call("device", "approve", "pump-1")

    assert approved["state"] == "enrolled"
    assert again.returncode == 4


def test_lifecycle_T03_a_rejected_device_is_shown_as_deleted(installation: Installation) -> None:
    installation.run("group", "set", "default", "device_approval=manual")
    installation.run("device", "add", "pump-1")

    rejected = installation.json("device", "reject", "pump-1", "--reason", "not ours")

    (order,) = installation.json("approval", "list", "--all")
    assert rejected["state"] == "deleted"
    assert (order["state"], order["reason"]) == ("rejected", "not ours")


@pytest.mark.parametrize(
    "setting",
    [
        "approval=perhaps",
        "device_approval=wish",
        "approval_timeout=1s",
        "approval_timeout=400d",
        "approval_retry_after=0s",
        "approval_retry_after=2d",
    ],
)
def test_a_group_is_not_told_what_cannot_be(installation: Installation, setting: str) -> None:
    ended = installation.call("group", "set", "default", setting)

    assert ended.returncode == 2
    assert setting.partition("=")[0] in ended.stderr


def test_a_group_shows_how_its_requests_are_decided(installation: Installation) -> None:
    shown = installation.json("group", "set", "default", "approval=manual", "approval_timeout=3d")

    assert (shown["approval"], shown["renewal_approval"]) == ("manual", "auto")
    assert (shown["device_approval"], shown["separation_of_duty"]) == ([], True)
    assert (shown["approval_timeout"], shown["approval_retry_after"]) == ("3d", "1m")
