"""The checked-in fixtures are what their manifest says, and can be made again."""

import base64
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest
from asn1crypto import csr, keys, pem, x509

from tests.architecture.source import ROOT
from tests.support.openssl import openssl, program, verify_chain

HERE = ROOT / "openssl-fixtures"
GENERATOR = HERE / "generate.py"
WRITTEN_BY_HAND = {"MANIFEST.toml", "README.md", "generate.py", "requests.cnf", "devices.cnf"}
SIZE_LIMIT = 1_500_000

# They are made from keys, and so are different each time.
KEY_IDENTIFIERS = {"key_identifier", "authority_key_identifier"}


@lru_cache
def manifest() -> dict[str, str]:
    """Read which file is for what."""
    entries = tomllib.loads((HERE / "MANIFEST.toml").read_text())["file"]
    return {entry["name"]: entry["purpose"] for entry in entries}


def der_of(path: Path) -> bytes:
    text = path.read_bytes()
    if path.suffix == ".b64":
        return base64.b64decode(text)
    if path.suffix == ".pem":
        return bytes(pem.unarmor(text)[2])
    return text


def comparable(path: Path) -> list[bytes]:
    """Give those parts of a fixture that do not depend on a key, a signature or a serial number."""
    der = der_of(path)
    match path.parent.name:
        case "keys":
            key = keys.PrivateKeyInfo.load(der)
            return [key["private_key_algorithm"].dump(), *rsa_parameters(key)]
        case "devices":
            body = x509.Certificate.load(der)["tbs_certificate"]
            extensions = [
                each.dump()
                for each in body["extensions"]
                if each["extn_id"].native not in KEY_IDENTIFIERS
            ]
            names = [body["issuer"].dump(), body["subject"].dump(), body["validity"].dump()]
            return [*names, body["subject_public_key_info"]["algorithm"].dump(), *extensions]
        case _ if path.stem.startswith("ber-"):
            options = ["-noout", "-text", "-reqopt", "no_pubkey,no_sigdump"]
            return [der[:2], openssl("req", "-inform", "DER", *options, given=der)]
        case _:
            request = csr.CertificationRequest.load(der)
            body = request["certification_request_info"]
            return [
                body["subject"].dump(),
                body["subject_pk_info"]["algorithm"].dump(),
                body["attributes"].dump(),
                request["signature_algorithm"].dump(),
                der[-1:] if path.stem == "trailing-octet" else b"",
            ]


def rsa_parameters(key: keys.PrivateKeyInfo) -> list[bytes]:
    """Give what an RSA key was asked to have; other keys say it in their algorithm."""
    if key.algorithm != "rsa":
        return []
    parts = key["private_key"].parsed
    size = parts["modulus"].native.bit_length()
    return [str(size).encode(), parts["public_exponent"].dump()]


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("openssl")
    out = tmp_path_factory.mktemp("fixtures")
    subprocess.run([sys.executable, GENERATOR, "--out", out], check=True, capture_output=True)
    return out


def test_every_file_is_in_the_manifest_and_every_entry_is_a_file() -> None:
    found = {
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert found - WRITTEN_BY_HAND == set(manifest())
    assert all(manifest().values())


def test_the_fixtures_stay_small() -> None:
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < SIZE_LIMIT


def test_the_fixtures_can_be_made_again(made_again: Path) -> None:
    different = [
        name for name in manifest() if comparable(HERE / name) != comparable(made_again / name)
    ]

    assert not different


def test_the_generator_makes_new_keys_each_time(made_again: Path) -> None:
    same = [
        name
        for name in manifest()
        if name.startswith("keys/")
        and (HERE / name).read_bytes() == (made_again / name).read_bytes()
    ]

    assert not same


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("p256", True),
        ("rsa2048", True),
        ("rsa-pss", True),
        ("ed25519", True),
        ("many-names", True),
        ("long-subject", True),
        ("ber-outside", True),
        ("broken-signature", False),
        ("broken-signature-rsa", False),
        ("swapped-key", False),
        ("swapped-kind", False),
    ],
)
def test_signatures_are_good_or_bad_as_the_manifest_says(name: str, *, good: bool) -> None:
    path = HERE / f"requests/{name}.der"

    done = subprocess.run(
        [program("openssl"), "req", "-verify", "-noout", "-inform", "DER", "-in", path],
        capture_output=True,
        check=False,
    )

    assert (b"verify OK" in done.stdout + done.stderr) is good


@pytest.mark.parametrize(
    ("leaf", "finding"),
    [
        ("idevid", "OK"),
        ("idevid-no-serial", "OK"),
        ("idevid-by-root", "OK"),
        ("idevid-expired", "certificate has expired"),
        ("idevid-future", "certificate is not yet valid"),
        ("idevid-server", "unsuitable certificate purpose"),
        ("stranger-idevid", "certificate"),
    ],
)
def test_device_chains_are_good_or_bad_as_the_manifest_says(leaf: str, finding: str) -> None:
    devices = HERE / "devices"

    found = verify_chain(
        devices / f"{leaf}.pem",
        devices / "maker-root.pem",
        between=[devices / "maker-intermediate.pem"],
        purpose="sslclient",
    )

    assert found.ok is (finding == "OK")
    assert finding in found.words
