"""`enroll attempts` and `enroll audit`: what was asked, and what happened."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.desk import obtain, send
from tests.support.enrollment import by_code
from tests.support.installation import Installation


def test_attempts_are_a_json_array_newest_first(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1")["code"]
    send(installation, by_code("pump-1", "AAAA-AAAA-AAAA-AAAA-AAAA"))
    held = obtain(installation, by_code("pump-1", code))

    attempts = installation.json("attempts")

    assert [each["outcome"] for each in attempts] == ["issued", "denied"]
    assert attempts[0]["serial_number"] == f"{held.certificate.serial_number:x}"
    assert attempts[0]["device"] == "pump-1"
    assert attempts[1]["finding"] == "code_wrong"
    assert [each["passed"] for each in attempts[1]["trace"]][-1] is False
    assert installation.json("attempts", "--denied") == attempts[1:]
    assert installation.json("attempts", "--limit", "1") == attempts[:1]
    assert installation.json("attempts", "--since", "1h") == attempts
    assert installation.json("attempts", "--since", "0s") == []


def test_a_strangers_words_cannot_steer_the_operators_terminal(installation: Installation) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    send(installation, by_code(evil, "AAAA-AAAA-AAAA-AAAA-AAAA", profile=evil))

    printed = installation.run("attempts")

    assert "denied" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


def test_a_sound_audit_log_verifies(installation: Installation) -> None:
    installation.run("device", "add", "pump-1")

    verified = installation.json("audit", "verify")

    assert verified["ok"] is True
    assert verified["faults"] == []
    assert verified["events"] >= 4


def test_the_audit_log_is_exported_line_by_line_or_as_one_document(
    installation: Installation, tmp_path: Path
) -> None:
    installation.run("device", "add", "pump-1")
    file = tmp_path / "audit.ndjson"

    lines = [json.loads(line) for line in installation.run("audit", "export").splitlines()]
    installation.run("audit", "export", "--file", str(file))
    document = installation.json("audit", "export")

    assert "device.registered" in {each["name"] for each in lines}
    assert document == lines
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines


def test_who_gave_the_command_is_in_the_audit_log(installation: Installation) -> None:
    installation.run("device", "add", "pump-1")

    registered = [
        each for each in installation.json("audit", "export") if each["name"] == "device.registered"
    ]

    assert [each["actor"].partition(":")[0] for each in registered] == ["cli"]


@pytest.mark.parametrize("trouble", ["no passphrase", "no place"])
def test_what_was_done_is_shown_though_no_checkpoint_of_it_could_be_signed(
    installation: Installation, trouble: str
) -> None:
    if trouble == "no passphrase":
        (installation.home / "keys" / "passphrase").unlink()
    else:
        shutil.rmtree(installation.home / "audit")
        (installation.home / "audit").write_text("in the way")

    ended = installation.call("device", "add", "pump-1", "-o", "json")

    assert ended.returncode == 0
    assert json.loads(ended.stdout)["code"]
    assert "no checkpoint of the audit log was signed" in ended.stderr
    assert len(installation.json("device", "list")) == 1
