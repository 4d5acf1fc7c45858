"""`enroll device`: the words of interface.md, on a registry that nobody serves."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enroll.result import Issued
from tests.support.desk import obtain, send
from tests.support.enrollment import by_certificate, by_code, renewal
from tests.support.installation import Installation

ADD_KEYS = {"id", "name", "group", "state", "status", "code", "code_expires_at"}
SHOW_KEYS = {
    "id",
    "name",
    "tenant",
    "group",
    "state",
    "status",
    "assurance",
    "connection",
    "identities",
    "attributes",
    "certificates",
}
CERTIFICATE_KEYS = {
    "serial_number",
    "fingerprint",
    "profile",
    "class",
    "status",
    "not_before",
    "not_after",
    "issuer",
}
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_interface_add_prints_the_device_and_its_code_once(installation: Installation) -> None:
    ended = installation.call("device", "add", "pump-1")

    assert ended.returncode == 0
    code = re.findall(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){4}", ended.stdout)
    assert len(code) == 1
    assert "this once" in ended.stderr
    assert code[0] not in installation.run("device", "show", "pump-1")
    assert code[0].encode() not in (installation.home / "registry.db").read_bytes()


def test_interface_add_prints_json_with_every_key(installation: Installation) -> None:
    before = datetime.now(UTC)

    added = installation.json("device", "add", "pump-1")

    assert set(added) >= ADD_KEYS
    assert (added["name"], added["group"]) == ("pump-1", "default")
    assert (added["state"], added["status"]) == ("enrolled", "enabled")
    assert re.fullmatch(RFC3339, added["code_expires_at"])
    expires = datetime.fromisoformat(added["code_expires_at"])
    assert timedelta(days=7) <= expires - before + timedelta(seconds=1) < timedelta(days=7, hours=1)


def test_a_device_may_be_added_without_a_code(installation: Installation) -> None:
    added = installation.json("device", "add", "pump-1", "--no-code")

    assert set(added) >= ADD_KEYS
    assert (added["code"], added["code_expires_at"]) == (None, None)


def test_interface_show_tells_all_that_was_said_of_the_device(installation: Installation) -> None:
    installation.run("group", "add", "line-2")
    installation.run(
        *("device", "add", "pump-1", "--group", "line-2", "--serial", "SN-1"),
        *("--identity", "mac=AA:BB:CC:00:11:22", "--identity", "san_dns=Pump-1.Example"),
        *("--attribute", "floor=2", "--attribute", "url=https://x/?a=b"),
        *("--description", "the one by the door"),
    )

    shown = installation.json("device", "show", "pump-1")

    assert set(shown) >= SHOW_KEYS
    assert shown["tenant"] == "default"
    assert shown["group"] == "line-2"
    assert (shown["assurance"], shown["connection"]) == ("low", "unknown")
    assert shown["identities"] == [
        {"kind": "serial_number", "value": "SN-1"},
        {"kind": "mac", "value": "aabbcc001122"},
        {"kind": "san_dns", "value": "pump-1.example"},
    ]
    assert shown["attributes"] == {"floor": "2", "url": "https://x/?a=b"}
    assert shown["description"] == "the one by the door"
    assert shown["certificates"] == []


def test_interface_a_device_is_found_by_name_then_serial_then_id(
    installation: Installation,
) -> None:
    first = installation.json("device", "add", "pump-1", "--serial", "SN-1")["id"]
    second = installation.json("device", "add", "SN-1", "--serial", "SN-2")["id"]

    found = {
        reference: installation.json("device", "show", reference)["id"]
        for reference in ("pump-1", "SN-1", "SN-2", first, second)
    }

    assert found == {
        "pump-1": first,
        "SN-1": second,
        "SN-2": second,
        first: first,
        second: second,
    }


@pytest.mark.parametrize("name", ["p", "x" * 64, "Pümpe 1/2", "🏭-1", "a=b,c+d", "<img onerror>"])
def test_interface_a_name_may_be_what_people_write(installation: Installation, name: str) -> None:
    added = installation.json("device", "add", name)

    assert installation.json("device", "show", name)["id"] == added["id"]
    assert name in {each["name"] for each in installation.json("device", "list")}


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " pump", "pump ", "x" * 65, "a:b", "a\nb", "a\tb", "a\x1b[2Jb", "a\x7fb"),
        *("a\x85b", "a\u202eb", "a\u2028b", "a\u200bb", "u\u0308", "\udcff"),
    ],
    ids=ascii,
)
def test_interface_a_name_that_cannot_be(installation: Installation, name: str) -> None:
    ended = installation.call("device", "add", name)

    assert ended.returncode == 2
    assert "a device name" in ended.stderr
    assert installation.json("device", "list") == []


def test_a_list_has_of_each_device_what_show_has(installation: Installation) -> None:
    added = installation.json("device", "add", "pump-1")
    installation.run("device", "add", "pump-2", "--no-code")
    obtain(installation, by_code("pump-1", added["code"]))

    listed = installation.json("device", "list")

    assert [each["name"] for each in listed] == ["pump-1", "pump-2"]
    assert listed == [installation.json("device", "show", each["name"]) for each in listed]
    assert len(listed[0]["certificates"]) == 1


def test_a_list_is_narrowed_by_state_status_and_group(installation: Installation) -> None:
    installation.run("group", "add", "line-2")
    code = installation.json("device", "add", "pump-1")["code"]
    obtain(installation, by_code("pump-1", code))
    installation.run("device", "add", "pump-2", "--no-code", "--group", "line-2")
    installation.run("device", "disable", "pump-2", "--reason", "stock")

    def names(*words: str) -> list[str]:
        return [each["name"] for each in installation.json("device", "list", *words)]

    assert names("--state", "registered") == ["pump-1"]
    assert names("--state", "enrolled") == ["pump-2"]
    assert names("--status", "disabled") == ["pump-2"]
    assert names("--group", "line-2", "--status", "enabled") == []


def test_interface_a_certificate_is_shown_with_every_key(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1")["code"]
    held = obtain(installation, by_code("pump-1", code))
    obtain(installation, by_certificate(held, subject=held.certificate.subject))

    shown = installation.json("device", "show", "pump-1")

    assert shown["state"] == "provisioned"
    operational, bootstrap = shown["certificates"]
    assert set(bootstrap) >= CERTIFICATE_KEYS
    assert (bootstrap["class"], operational["class"]) == ("bootstrap", "operational")
    assert bootstrap["serial_number"] == f"{held.certificate.serial_number:x}"
    assert bootstrap["status"] == "active"
    assert bootstrap["issuer"] == "issuing"
    assert re.fullmatch(r"[0-9a-f]{64}", bootstrap["fingerprint"])
    assert re.fullmatch(RFC3339, bootstrap["not_before"])
    assert re.fullmatch(RFC3339, bootstrap["not_after"])


def test_another_code_is_good_beside_the_first(installation: Installation) -> None:
    installation.run("device", "add", "pump-1")

    made = installation.json("device", "code", "pump-1", "--ttl", "90m", "--uses", "2")

    assert set(made) >= ADD_KEYS
    left = datetime.fromisoformat(made["code_expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)
    obtain(installation, by_code("pump-1", made["code"]))


def test_a_code_for_two_certificates_is_good_for_no_third(installation: Installation) -> None:
    installation.run("profile", "set", "bootstrap", "re_enrollment=allow")
    code = installation.json("device", "add", "pump-1", "--uses", "2")["code"]

    results = [send(installation, by_code("pump-1", code)) for _ in range(3)]

    assert [isinstance(each, Issued) for each in results] == [True, True, False]


def test_interface_a_code_made_for_a_disabled_device_works_once_it_is_enabled(
    installation: Installation,
) -> None:
    installation.run("device", "add", "pump-1", "--no-code")
    installation.run("device", "disable", "pump-1", "--reason", "in stock")

    made = installation.json("device", "code", "pump-1")

    assert made["status"] == "disabled"
    assert not isinstance(send(installation, by_code("pump-1", made["code"])), Issued)
    installation.run("device", "enable", "pump-1", "--reason", "installed")
    obtain(installation, by_code("pump-1", made["code"]))


def test_disable_and_enable_print_the_device_as_it_is_now(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1")["code"]
    obtain(installation, by_code("pump-1", code))

    disabled = installation.json("device", "disable", "pump-1", "--reason", "stolen")
    enabled = installation.json("device", "enable", "pump-1", "--reason", "found")

    assert set(disabled) >= SHOW_KEYS
    assert (disabled["status"], disabled["status_reason"]) == ("disabled", "stolen")
    assert [each["status"] for each in disabled["certificates"]] == ["on_hold"]
    assert (enabled["status"], enabled["status_reason"]) == ("enabled", None)
    assert [each["status"] for each in enabled["certificates"]] == ["active"]
    assert enabled == installation.json("device", "show", "pump-1")


def test_reset_prints_the_device_and_its_new_code(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1")["code"]
    held = obtain(installation, by_code("pump-1", code))

    again = installation.json("device", "reset", "pump-1", "--reason", "repair", "--yes")

    assert set(again) >= SHOW_KEYS | ADD_KEYS
    assert again["state"] == "enrolled"
    assert [each["status"] for each in again["certificates"]] == ["revoked"]
    assert not isinstance(send(installation, renewal(held)), Issued)
    obtain(installation, by_code("pump-1", again["code"]))


@pytest.mark.parametrize("verb", ["disable", "enable", "reset"])
def test_a_reason_of_spaces_is_none(installation: Installation, verb: str) -> None:
    installation.run("device", "add", "pump-1")
    if verb == "enable":
        installation.run("device", "disable", "pump-1", "--reason", "x")
    words = ("--yes",) if verb == "reset" else ()

    ended = installation.call("device", verb, "pump-1", "--reason", "  ", *words)

    assert ended.returncode == 4
    assert "reason" in ended.stderr


def test_text_for_people_has_a_table_of_certificates(installation: Installation) -> None:
    added: dict[str, Any] = installation.json("device", "add", "pump-1")
    held = obtain(installation, by_code("pump-1", added["code"]))

    lines = installation.run("device", "show", "pump-1").splitlines()

    assert any(line.split() == ["name", "pump-1"] for line in lines)
    assert any(f"{held.certificate.serial_number:x}" in line for line in lines)


def test_interface_a_disabled_device_is_deleted_by_its_name(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1", "--serial", "SN-1")["code"]
    obtain(installation, by_code("pump-1", code))

    enabled = installation.call("device", "delete", "SN-1", "--confirm", "pump-1")
    installation.run("device", "disable", "pump-1", "--reason", "scrapped")
    mistaken = installation.call("device", "delete", "SN-1", "--confirm", "SN-1")
    deleted = installation.json("device", "delete", "SN-1", "--confirm", "pump-1")

    assert (enabled.returncode, mistaken.returncode) == (4, 2)
    assert "'pump-1'" in mistaken.stderr
    assert (deleted["state"], deleted["status"]) == ("deleted", "disabled")
    assert [each["status"] for each in deleted["certificates"]] == ["revoked"]
    assert installation.json("device", "show", "pump-1")["state"] == "deleted"
