"""`enroll certificate`: serials as people have them, reasons as RFC 5280 names them."""

import re
from collections.abc import Callable

import pytest
from cryptography import x509

from enroll.result import Issued
from tests.support.desk import obtain, send
from tests.support.enrollment import Held, by_certificate, by_code, renewal
from tests.support.installation import Installation

REASONS = [
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "aACompromise",
]


def enrolled(installation: Installation, name: str = "pump-1") -> Held:
    code = installation.json("device", "add", name)["code"]
    return obtain(installation, by_code(name, code))


def in_pairs(digits: str) -> str:
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def test_a_subject_is_shown_in_names_that_people_know(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1", "--serial", "SN-1")["code"]
    serial = obtain(installation, by_code("pump-1", code)).certificate.serial_number

    shown = installation.json("certificate", "show", f"{serial:x}")

    assert shown["subject"] == "serialNumber=SN-1,CN=pump-1"


@pytest.mark.parametrize(
    "written",
    [
        str.upper,
        in_pairs,
        lambda digits: in_pairs(digits).upper(),
        lambda digits: "0000" + digits,
        lambda digits: "0x" + digits,
        lambda digits: "00:" + in_pairs(digits),
    ],
    ids=["upper", "colons", "openssl", "zeros", "0x", "leading-octet"],
)
def test_interface_a_serial_is_taken_as_people_have_it(
    installation: Installation, written: Callable[[str], str]
) -> None:
    held = enrolled(installation)
    serial = f"{held.certificate.serial_number:x}"

    shown = installation.json("certificate", "show", written(serial))

    assert shown["serial_number"] == serial
    assert x509.load_pem_x509_certificate(shown["pem"].encode()) == held.certificate


@pytest.mark.parametrize("reason", REASONS)
def test_interface_revoke_takes_the_reasons_of_rfc_5280(
    installation: Installation, reason: str
) -> None:
    held = enrolled(installation)
    serial = f"{held.certificate.serial_number:x}"

    revoked = installation.json("certificate", "revoke", serial, "--reason", reason, "--yes")

    assert (revoked["status"], revoked["reason"]) == ("revoked", reason)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", revoked["revoked_at"])
    assert installation.json("certificate", "show", serial)["revocation_reason"] == reason
    assert not isinstance(send(installation, renewal(held)), Issued)


def test_a_reason_may_be_written_in_any_case(installation: Installation) -> None:
    serial = f"{enrolled(installation).certificate.serial_number:x}"

    revoked = installation.json(
        "certificate", "revoke", serial, "--reason", "KEYCOMPROMISE", "--yes"
    )

    assert revoked["reason"] == "keyCompromise"


def test_what_is_revoked_cannot_be_revoked_again(installation: Installation) -> None:
    serial = f"{enrolled(installation).certificate.serial_number:x}"
    installation.run("certificate", "revoke", serial, "--reason", "superseded", "--yes")

    ended = installation.call("certificate", "revoke", serial, "--reason", "superseded", "--yes")

    assert ended.returncode == 4
    assert "revoked already" in ended.stderr


def test_interface_a_certificate_is_held_and_released(installation: Installation) -> None:
    held = enrolled(installation)
    serial = f"{held.certificate.serial_number:x}"

    on_hold = installation.json("certificate", "hold", serial)
    shown = installation.json("certificate", "show", serial)
    refused = send(installation, renewal(held))
    released = installation.json("certificate", "release", serial)

    assert (on_hold["status"], released["status"]) == ("on_hold", "active")
    assert (shown["held_by"], shown["revocation_reason"]) == (on_hold["held_by"], "certificateHold")
    assert on_hold["held_by"].startswith("cli:")
    assert not isinstance(refused, Issued)
    assert isinstance(send(installation, renewal(held)), Issued)


@pytest.mark.parametrize(
    ("verb", "why"), [("hold", "is on hold already"), ("release", "is not on hold")]
)
def test_what_is_done_already_ends_with_4(installation: Installation, verb: str, why: str) -> None:
    serial = f"{enrolled(installation).certificate.serial_number:x}"
    installation.run("certificate", "hold", serial)
    if verb == "release":
        installation.run("certificate", "release", serial)

    ended = installation.call("certificate", verb, serial)

    assert ended.returncode == 4
    assert why in ended.stderr


def test_a_list_is_narrowed_by_device_and_status(installation: Installation) -> None:
    first, second = enrolled(installation, "pump-1"), enrolled(installation, "pump-2")
    obtain(installation, by_certificate(second, subject=second.certificate.subject))
    serial = f"{first.certificate.serial_number:x}"
    installation.run("certificate", "revoke", serial, "--reason", "superseded", "--yes")

    every = installation.json("certificate", "list")
    active = installation.json("certificate", "list", "--status", "active")
    of_first = installation.json("certificate", "list", "--device", "pump-1")

    assert len(every) == 3
    assert {each["class"] for each in every} == {"bootstrap", "operational"}
    assert len(active) == 2
    assert [each["serial_number"] for each in of_first] == [serial]
    assert [each["status"] for each in of_first] == ["revoked"]
