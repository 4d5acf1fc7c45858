"""`enroll init`: all of an installation, or nothing."""

import re
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.policy.keys import algorithm_of
from tests.support.command import command
from tests.support.installation import Installation
from tests.support.openssl import program

KEYS = ("root.key", "issuing.key", "audit.key")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_interface_init_prints_json_with_every_key(tmp_path: Path) -> None:
    home = tmp_path / "site" / "home"

    made = Installation(home=home).json("init", "--name", "Plant 7", "--host", "plant.example")

    assert set(made) >= {"home", "root_certificate", "root_fingerprint", "urls", "admin_key"}
    assert made["home"] == str(home)
    assert Path(made["root_certificate"]).is_absolute()
    root = x509.load_pem_x509_certificate(Path(made["root_certificate"]).read_bytes())
    assert made["root_fingerprint"] == root.fingerprint(hashes.SHA256()).hex()
    assert "Plant 7" in root.subject.rfc4514_string()
    assert set(made["urls"]) >= {"est", "scep", "cmp", "api", "console"}
    assert made["urls"]["est"] == "https://plant.example:8443/.well-known/est"
    assert made["urls"]["scep"].startswith("http://plant.example:8080/")
    assert re.fullmatch(r"ak_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", made["admin_key"])
    assert made["admin_key"].encode() not in b"".join(
        each.read_bytes() for each in home.rglob("*") if each.is_file()
    )


def test_interface_a_relative_home_still_has_an_absolute_root_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    made = Installation(home=Path("here")).json("init")

    assert made["root_certificate"] == str(tmp_path / "here" / "ca" / "root.pem")


def test_interface_init_makes_tenant_group_and_profiles(pristine: Installation) -> None:
    bootstrap, operational = pristine.json("profile", "list")

    assert [each["name"] for each in pristine.json("group", "list")] == ["default"]
    assert bootstrap["name"] == "bootstrap"
    assert bootstrap["certificate_class"] == "bootstrap"
    assert set(bootstrap["protocols"]) == {"est", "scep", "cmp"}
    assert "one_time_code" in bootstrap["initial_credentials"]
    assert bootstrap["allow_replace"] is True
    assert operational["name"] == "operational"
    assert operational["certificate_class"] == "operational"
    assert "own_certificate" in operational["initial_credentials"]
    assert operational["own_certificates_of"] == ["bootstrap"]
    assert operational["allow_replace"] is True
    looks = {each["name"]: each for each in pristine.json("certificate-profile", "list")}
    assert looks["bootstrap"]["validity"] == "365d"
    assert looks["operational"]["validity"] == "90d"
    assert looks["operational"]["extended_key_usage"] == ["clientAuth"]


def test_only_the_owner_can_read_the_home(pristine: Installation) -> None:
    home = pristine.home

    assert {mode(each) for each in (home, *home.rglob("*")) if each.is_dir()} == {0o700}
    private = [*home.joinpath("keys").iterdir(), *home.glob("registry.db*"), home / "enroll.toml"]
    assert {mode(each) for each in private} == {0o600}


@pytest.mark.parametrize("name", KEYS)
def test_interface_openssl_opens_the_keys(pristine: Installation, name: str) -> None:
    key = pristine.home / "keys" / name
    passphrase = f"file:{pristine.home / 'keys' / 'passphrase'}"

    opened = subprocess.run(
        [program("openssl"), "pkey", "-in", key, "-passin", passphrase, "-noout", "-check"],
        capture_output=True,
        check=False,
    )
    parsed = subprocess.run(
        [program("openssl"), "asn1parse", "-in", key], capture_output=True, check=True
    )

    assert opened.returncode == 0, opened.stderr
    assert b":scrypt" in parsed.stdout


def test_a_passphrase_of_ones_own_opens_the_keys(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)

    made = Installation.initialize(tmp_path / "home", "--passphrase-file", str(passphrase))

    assert not (made.home / "keys" / "passphrase").exists()
    assert made.call("check").returncode == 0
    passphrase.write_text("something else\n")
    assert made.call("check").returncode == 1


@pytest.mark.parametrize("trouble", ["missing", "empty", "open"])
def test_a_passphrase_file_that_will_not_do(tmp_path: Path, trouble: str) -> None:
    passphrase = tmp_path / "passphrase"
    if trouble != "missing":
        passphrase.write_text("" if trouble == "empty" else "secret\n")
        passphrase.chmod(0o644 if trouble == "open" else 0o600)

    ended = command(
        *("--home", str(tmp_path / "home"), "init", "--passphrase-file", str(passphrase))
    )

    assert ended.returncode == 1
    assert str(passphrase) in ended.stderr
    assert "secret" not in ended.stderr
    assert [each.name for each in tmp_path.iterdir() if each != passphrase] == []


@pytest.mark.parametrize("content", ["enroll.toml", "notes.txt"])
def test_interface_init_refuses_what_is_there(tmp_path: Path, content: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / content).write_text("mine")

    ended = command("--home", str(home), "init")

    assert ended.returncode == 4
    assert ended.stdout == ""
    assert str(home) in ended.stderr
    assert [each.name for each in home.iterdir()] == [content]
    assert (home / content).read_text() == "mine"


def test_init_fills_a_folder_that_is_there_and_empty(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = home.stat().st_ino

    made = Installation.initialize(home)

    assert home.stat().st_ino == before, "it may be where something is mounted"
    assert made.call("check").returncode == 0
    assert not [each for each in home.iterdir() if each.name.startswith(".")]


def test_init_refuses_a_database_that_holds_something(
    pristine: Installation, tmp_path: Path
) -> None:
    database = tmp_path / "registry.db"
    database.write_bytes((pristine.home / "registry.db").read_bytes())
    before = database.read_bytes()

    ended = command("--home", str(tmp_path / "home"), "init", "--database", f"sqlite:///{database}")

    assert ended.returncode == 4
    assert "--database" in ended.stderr
    assert database.read_bytes() == before
    assert not (tmp_path / "home").exists()


def test_the_database_may_be_elsewhere(tmp_path: Path) -> None:
    database = tmp_path / "data" / "registry.db"

    made = Installation.initialize(tmp_path / "home", "--database", f"sqlite:///{database}")
    made.run("device", "add", "pump-1")

    assert mode(database) == 0o600
    assert not (made.home / "registry.db").exists()
    assert len(made.json("device", "list")) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--name", ""), "--name"),
        (("--name", "x" * 49), "48 characters"),
        (("--name", "a\nb"), "--name"),
        (("--host", "two words"), "'two words' is neither a host name nor an IP address"),
        (("--host", "-x.example"), "--host"),
        (("--public-http-url", "https://x.example"), "--public-http-url: expected an http://"),
        (("--database", "oracle://x"), "--database: expected a sqlite or postgresql"),
        (("--database", "sqlite://"), "--database: expected a file"),
        (("--key-algorithm", "rsa-2048"), "--key-algorithm: rsa-2048 is too weak"),
        (("--key-algorithm", "rsa-512"), "--key-algorithm"),
    ],
    ids=lambda each: " ".join(each)[:20] if isinstance(each, tuple) else "",
)
def test_a_wish_that_cannot_be_met_leaves_nothing(
    tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    ended = command("--home", str(tmp_path / "home"), "init", *words)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert expected in ended.stderr
    assert list(tmp_path.iterdir()) == []


def crl_addresses(home: Path) -> list[str]:
    issuing = x509.load_pem_x509_certificate((home / "ca" / "issuing.pem").read_bytes())
    points = issuing.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [name.value for point in points for name in point.full_name or ()]


def test_crl_addresses_begin_as_told_from_the_first_certificate_on(tmp_path: Path) -> None:
    made = Installation.initialize(
        tmp_path / "home", "--host", "a.example", "--public-http-url", "http://pki.example/x/"
    )

    assert crl_addresses(made.home) == ["http://pki.example/x/crl/root.crl"]
    assert made.call("check").returncode == 0


def test_run_makes_no_home_for_an_address_that_is_none(tmp_path: Path) -> None:
    ended = command("--home", str(tmp_path / "home"), "run", "--http", "nowhere")

    assert ended.returncode == 2
    assert "--http" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_a_database_url_is_not_repeated(tmp_path: Path) -> None:
    url = "postgresql://enroll:hunter2@127.0.0.1:1/enroll"

    ended = command("--home", str(tmp_path / "home"), "init", "--database", url)

    assert ended.returncode == 5
    assert "hunter2" not in ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("algorithm", "root"),
    [
        ("p-256", "p-384"),
        ("p-384", "p-384"),
        ("ed25519", "ed25519"),
        ("ml-dsa-44", "ml-dsa-44"),
        ("ml-dsa-87", "ml-dsa-87"),
    ],
)
def test_the_ca_s_keys_are_of_the_kind_that_was_asked_for(
    tmp_path: Path, algorithm: str, root: str
) -> None:
    made = Installation.initialize(tmp_path / "home", "--key-algorithm", algorithm)

    assert made.call("check").returncode == 0
    kinds = {
        name: algorithm_of(
            x509.load_pem_x509_certificate(
                (made.home / "ca" / f"{name}.pem").read_bytes()
            ).public_key()
        )
        for name in ("root", "issuing")
    }
    assert kinds == {"root": root, "issuing": algorithm}
