"""`enroll device decryption-key`: kept wrapped, named, never shown, forgotten."""

from pathlib import Path

import pytest

from tests.support.installation import Installation

KEY = "00112233445566778899aabbccddeeff" * 2


def a_key_file(folder: Path, text: str = KEY + "\n", mode: int = 0o600) -> str:
    file = folder / "device.key"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_est_K8_a_key_of_a_devices_is_kept_and_never_shown(
    installation: Installation, tmp_path: Path
) -> None:
    installation.run("device", "add", "pump-1", "--no-code")
    words = ("device", "decryption-key", "add", "pump-1", "0A:0B", "--key-file")

    added = installation.json(*words, a_key_file(tmp_path))

    (shown,) = added["decryption_keys"]
    assert (shown["key_identifier"], shown["octets"]) == ("0a0b", 32)
    assert installation.json("device", "decryption-key", "list", "pump-1") == [shown]
    kept = b"".join(each.read_bytes() for each in installation.home.glob("registry.db*"))
    assert bytes.fromhex(KEY) not in kept
    assert KEY.encode() not in kept
    exported = installation.run("audit", "export")
    assert "device.decryption_key_added" in exported
    assert KEY not in exported


def test_a_key_can_be_taken_away(installation: Installation, tmp_path: Path) -> None:
    installation.run("device", "add", "pump-1", "--no-code")
    words = ("device", "decryption-key")
    installation.run(*words, "add", "pump-1", "0a", "--key-file", a_key_file(tmp_path))

    installation.run(*words, "remove", "pump-1", "0a", "--yes")

    assert installation.json(*words, "list", "pump-1") == []
    assert installation.call(*words, "remove", "pump-1", "0a", "--yes").returncode == 3
    assert "device.decryption_key_removed" in installation.run("audit", "export")


def test_one_name_is_one_key(installation: Installation, tmp_path: Path) -> None:
    installation.run("device", "add", "pump-1", "--no-code")
    words = ("device", "decryption-key", "add", "pump-1", "0a", "--key-file", a_key_file(tmp_path))
    installation.run(*words)

    ended = installation.call(*words)

    assert ended.returncode == 4
    assert "already taken" in ended.stderr


@pytest.mark.parametrize(
    ("identifier", "text", "mode", "code", "words"),
    [
        ("zz", KEY, 0o600, 2, "1 to 32 octets in hex"),
        ("0a" * 33, KEY, 0o600, 2, "1 to 32 octets in hex"),
        ("0a", "0011", 0o600, 2, "16, 24 or 32 octets"),
        ("0a", "not hex", 0o600, 2, "openssl rand -hex 32"),
        ("0a", KEY, 0o644, 1, "chmod 600"),
    ],
)
def test_what_is_no_key_is_refused_with_what_was_expected(
    installation: Installation,
    tmp_path: Path,
    identifier: str,
    text: str,
    mode: int,
    code: int,
    words: str,
) -> None:
    installation.run("device", "add", "pump-1", "--no-code")
    file = a_key_file(tmp_path, text, mode)

    ended = installation.call(
        *("device", "decryption-key", "add", "pump-1", identifier, "--key-file", file)
    )

    assert ended.returncode == code
    assert words in ended.stderr
    assert installation.json("device", "decryption-key", "list", "pump-1") == []


def test_nobody_elses_device_gets_a_key(installation: Installation, tmp_path: Path) -> None:
    ended = installation.call(
        *("device", "decryption-key", "add", "pump-7", "0a"),
        *("--key-file", a_key_file(tmp_path)),
    )

    assert ended.returncode == 3
