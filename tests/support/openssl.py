"""The programs of others that tests run: where they are, and openssl's words as functions."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

# The Debian package that brings each program.
PACKAGES = {
    "curl": "curl",
    "openssl": "openssl",
    "pki": "strongswan-pki",
    "scepclient": "scep",
    "scepserver": "scep",
}

_KEYS = {
    "p-256": ("EC", "ec_paramgen_curve:P-256"),
    "p-384": ("EC", "ec_paramgen_curve:P-384"),
    "p-521": ("EC", "ec_paramgen_curve:P-521"),
    "rsa-2048": ("RSA", "rsa_keygen_bits:2048"),
    "rsa-3072": ("RSA", "rsa_keygen_bits:3072"),
    "ed25519": ("ED25519", None),
    "ed448": ("ED448", None),
}


class OpenSSLError(Exception):
    """A command of openssl failed; the message is the command and what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `openssl verify` found."""

    ok: bool
    words: str


def program(name: str) -> str:
    """Find a program of others; the test that asks for one that is not here is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {PACKAGES.get(name, name)})")
    return path


def openssl(*words: str | Path, given: bytes = b"") -> bytes:
    """Run openssl, which has to succeed, and give its standard output."""
    done = _run(words, given)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise OpenSSLError(f"openssl {' '.join(map(str, words))}\n{said}")
    return done.stdout


def make_key(path: Path, kind: str = "p-256") -> Path:
    """Make a private key, PEM."""
    algorithm, option = _KEYS[kind]
    options = () if option is None else ("-pkeyopt", option)
    openssl("genpkey", "-algorithm", algorithm, *options, "-out", path)
    return path


def make_request(
    path: Path,
    key: Path,
    *,
    subject: Sequence[str] = ("CN=pump-1",),
    extensions: Sequence[str] = (),
    challenge_password: str | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Make a certification request, DER.

    The subject is its attributes in order (`serialNumber=SN-1`; a `+` before one joins it to the
    one before). Extensions are written as `-addext` takes them. Further options of `openssl req`
    are passed on.
    """
    configuration = path.with_suffix(".cnf")
    configuration.write_text(_configuration(subject, challenge_password))
    words: list[str | Path] = ["-new", "-utf8", "-config", configuration, "-key", key, *options]
    if not subject:
        words += ["-subj", "/"]
    for each in extensions:
        words += ["-addext", each]
    openssl("req", *words, "-outform", "DER", "-out", path)
    return path


def to_base64(der: bytes) -> bytes:
    """Write octets as EST carries them: base64 in lines, RFC 7030 §4."""
    return openssl("base64", given=der)


def certificate_text(certificate: bytes) -> str:
    """Describe a certificate, DER or PEM, as openssl sees it."""
    return openssl("x509", "-noout", "-text", given=certificate).decode(errors="replace")


def pkcs7_certificates(der: bytes) -> bytes:
    """Take the certificates out of a certs-only message: PEM, each under its names."""
    return openssl("pkcs7", "-inform", "DER", "-print_certs", given=der)


def verify_chain(
    certificate: Path,
    root: Path,
    *,
    between: Sequence[Path] = (),
    purpose: str | None = None,
    at: datetime | None = None,
    options: Sequence[str] = (),
) -> Verification:
    """Let openssl judge the chain from a certificate to a root, under its strict rules."""
    words: list[str | Path] = ["verify", "-x509_strict", *options, "-CAfile", root]
    for each in between:
        words += ["-untrusted", each]
    if purpose is not None:
        words += ["-purpose", purpose]
    if at is not None:
        words += ["-attime", str(int(at.timestamp()))]
    done = _run([*words, certificate], b"")
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    return Verification(ok=done.returncode == 0, words=said)


def asn1_outline(der: bytes) -> str:
    """List the elements of a DER message, one in a line."""
    return openssl("asn1parse", "-inform", "DER", given=der).decode(errors="replace")


def _run(words: Sequence[str | Path], given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [program("openssl"), *map(str, words)], input=given, capture_output=True, check=False
    )


def _configuration(subject: Sequence[str], challenge_password: str | None) -> str:
    # A configuration of our own, so that the machine's adds nothing. The subject is in it because
    # openssl forgets the attributes of a request whose subject comes by -subj.
    lines = ["[req]", "prompt = no", "distinguished_name = name"]
    if challenge_password is not None:
        lines.append("attributes = attributes")
    lines.append("[name]")
    for number, each in enumerate(subject):
        kind, _, value = each.partition("=")
        joined = "+" if kind.startswith("+") else ""
        lines.append(f"{joined}{number}.{kind.removeprefix('+')} = {_escaped(value)}")
    if challenge_password is not None:
        lines += ["[attributes]", f"challengePassword = {_escaped(challenge_password)}"]
    return "\n".join([*lines, ""])


def _escaped(value: str) -> str:
    return "".join(f"\\{each}" if each in "\\$#'\"" else each for each in value)
