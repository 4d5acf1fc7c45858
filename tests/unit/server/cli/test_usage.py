"""How commands end, and what they say on the way: the exit codes, usage, and help."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from server.cli.main import app
from tests.support.command import command
from tests.support.installation import ENROLL, Installation


def verbs() -> dict[tuple[str, ...], Any]:
    """Give every command there is, groups of commands among them."""
    found = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        words, verb = waiting.pop()
        found[words] = verb
        waiting += [((*words, name), each) for name, each in getattr(verb, "commands", {}).items()]
    return found


VERBS = verbs()

WRONG_USAGE = {
    "device add": "NAME",
    "device add a:b": "colon",
    "device add pump-1 --ttl 7x": "90s, 30m, 12h, 7d",
    "device add pump-1 --ttl 0d": "more than nothing",
    "device add pump-1 --ttl 999999w": "hundred years",
    "device add pump-1 --uses 0": "1 to 1000 uses",
    "device add pump-1 --uses 1001": "1 to 1000 uses",
    "device add pump-1 --uses many": "--uses",
    "device add pump-1 --identity shoe=42": "serial_number, common_name",
    "device add pump-1 --identity mac": "KIND=VALUE",
    "device add pump-1 --identity mac=zz": "12 hexadecimal digits",
    "device add pump-1 --serial unknown": "give the device's real one",
    "device add pump-1 --attribute floor": "KEY=VALUE",
    "device add pump-1 --attribute floor=1 --attribute floor=2": "given twice",
    "device add pump-1 --attribute fl{oor=1": "letters, digits",
    "device list --state broken": "'enrolled', 'registered', 'provisioned'",
    "device list -o yaml": "'text', 'json'",
    "device disable pump-1": "--reason",
    "device explode pump-1": "explode",
    "certificate revoke 12": "--reason",
    "certificate revoke 12 --reason bored --yes": "keyCompromise",
    "certificate revoke 12 --reason certificateHold --yes": "certificate hold",
    "certificate revoke xyz --reason superseded --yes": "in hex",
    "certificate show not:hex": "in hex",
    "group set default": "KEY=VALUE",
    "group set default colour=red": "on_disable, registration_mode, renewal_approval",
    "group set default required_profiles=none-such": "required_profiles",
    "group set default newcomers_per_day=many": "a whole number",
    "group set default newcomers_per_day=0": "newcomers_per_day",
    "group set default registration_mode=open": "just_in_time, pre_registered",
    "profile add line-2": "--copy",
    "profile add cacerts --copy bootstrap": "protocol operation",
    "profile add Line_2! --copy bootstrap": "slug: expected 1 to 64",
    "profile set bootstrap protocols=pigeon": "expected one of cmp, est, scep",
    "profile set bootstrap allow_replace=perhaps": "expected true or false",
    "profile set bootstrap renewal_window=seven": "expected a number",
    "profile set bootstrap renewal_window=7": "part of the lifetime",
    "profile set bootstrap renewal_window=nan": "part of the lifetime",
    "profile set bootstrap issuer=nobody": "there is no issuer 'nobody'",
    "profile set bootstrap slug=other": "there is no such key",
    "certificate-profile set operational validity=1y": "is not a duration",
    "certificate-profile set operational validity=0s": "one minute to thirty years",
    "certificate-profile set operational subject=pump": "expected pairs such as CN={name}",
    "certificate-profile set operational subject=XX={name}": "'XX' is none of CN",
    "certificate-profile set operational subject=CN={nam}": "'{nam}' is none of {name}",
    "attempts --since yesterday": "is not a duration",
    "attempts --limit 0": "--limit",
    "serve --https 8443": "--https: expected host:port",
    "serve --http localhost:99999": "up to 65535",
    "frobnicate": "frobnicate",
}


@pytest.mark.parametrize(("line", "expected"), WRONG_USAGE.items(), ids=WRONG_USAGE)
def test_wrong_usage_ends_with_2_and_says_what_was_expected(
    pristine: Installation, line: str, expected: str
) -> None:
    ended = pristine.call(*line.split())

    assert ended.returncode == 2
    assert expected in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "line",
    [
        "device show nobody",
        "device code nobody",
        "device disable nobody --reason x",
        "device enable nobody --reason x",
        "device reset nobody --reason x --yes",
        "device add pump-1 --group nobody",
        "certificate show 00",
        "certificate revoke abcdef --reason superseded --yes",
        "certificate hold abcdef",
        "certificate release abcdef",
        "certificate list --device nobody",
        "group show nobody",
        "group add line-2 --copy nobody",
        "profile show nobody",
        "profile set nobody allow_replace=true",
        "certificate-profile show nobody",
    ],
)
def test_what_is_not_there_ends_with_3_and_says_where_to_look(
    pristine: Installation, line: str
) -> None:
    ended = pristine.call(*line.split())

    assert ended.returncode == 3
    assert re.search(r"there is no .*; see 'enroll [a-z-]+ list'", ended.stderr)
    assert ended.stdout == ""


def test_what_is_taken_or_against_the_state_ends_with_4(installation: Installation) -> None:
    installation.run("device", "add", "pump-1", "--serial", "SN-1")
    lines = {
        "device add pump-1": "pump-1",
        "device add pump-2 --serial SN-1": "serial_number=SN-1",
        "device enable pump-1 --reason x": "enabled already",
        "profile add operational --copy bootstrap": "operational",
        "group add default": "default",
        "certificate-profile add bootstrap --copy operational": "bootstrap",
        "init": "there already",
    }

    endings = {line: installation.call(*line.split()) for line in lines}

    for line, ended in endings.items():
        assert (ended.returncode, ended.stdout) == (4, ""), line
        assert lines[line] in ended.stderr, line


def test_a_lost_database_ends_with_5(installation: Installation) -> None:
    (installation.home / "registry.db").unlink()

    ended = installation.call("device", "list")

    assert ended.returncode == 5
    assert "registry.db" in ended.stderr
    assert not (installation.home / "registry.db").exists()


def test_a_missing_home_says_how_to_make_one() -> None:
    ended = command("--home", "/nowhere/at/all", "device", "list")

    assert ended.returncode == 1
    assert "/nowhere/at/all" in ended.stderr
    assert "'enroll init'" in ended.stderr


def test_the_home_is_the_environments_unless_it_is_said(
    pristine: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENROLL_HOME", str(pristine.home))

    assert command("group", "list").returncode == 0
    assert command("--home", "/nowhere/at/all", "group", "list").returncode == 1


def test_the_home_is_in_the_working_directory_unless_it_is_said(
    pristine: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enroll-home").symlink_to(pristine.home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENROLL_HOME", raising=False)

    assert command("group", "list").returncode == 0


@pytest.mark.parametrize(
    "line", ["device reset pump-1 --reason x", "certificate revoke 12 --reason superseded"]
)
def test_what_cannot_be_undone_needs_a_yes_where_nobody_can_be_asked(
    pristine: Installation, line: str
) -> None:
    ended = pristine.call(*line.split())

    assert ended.returncode == 2
    assert "--yes" in ended.stderr


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_explains_itself_and_each_of_its_words(words: tuple[str, ...]) -> None:
    ended = command(*words, "--help")

    assert ended.returncode == 0
    assert ended.stdout.startswith(f"Usage: {' '.join(('enroll', *words))} ")
    assert VERBS[words].help
    assert not [each.name for each in VERBS[words].params if not each.help]


def test_no_verb_takes_a_secret_as_an_argument() -> None:
    words = " ".join(command(*verb, "--help").stdout for verb in VERBS)
    options = set(re.findall(r"--[a-z-]+", words))

    secret = {each for each in options if re.search("pass|secret|key|pin|token", each)}
    # files, and a kind
    assert secret == {"--passphrase-file", "--key-file", "--key-algorithm"}


def test_the_help_names_the_exit_codes() -> None:
    words = " ".join(command("--help").stdout.split())

    assert (
        "0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy or state, 5 unreachable"
        in words
    )


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"enroll \d+\.\d+\.\d+\n", command("--version").stdout)


def test_a_process_ends_with_the_commands_code(pristine: Installation) -> None:
    done = subprocess.run(
        [*ENROLL, "--home", pristine.home, "device", "show", "nobody", "-o", "json"],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"enroll: there is no device 'nobody'")


def test_a_reader_that_goes_away_is_no_fault(installation: Installation) -> None:
    for number in range(40):
        installation.run("device", "add", f"pump-{number}", "--no-code")
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*ENROLL, "--home", installation.home, "device", "list", "-o", "json"],
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        os.close(reading)
        _, stderr = process.communicate()

    assert b"Traceback" not in stderr


def test_a_terminal_without_the_letters_of_a_name_still_gets_a_list(
    installation: Installation,
) -> None:
    installation.run("device", "add", "Pümpe-1", "--no-code")

    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "utf8=0",
            *ENROLL[1:],
            "--home",
            installation.home,
            "device",
            "list",
        ],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"P\\xfcmpe-1" in done.stdout
