"""/csrattrs of a real server, asked by curl and read by openssl."""

import base64
import subprocess
from pathlib import Path

import pytest

from tests.support.csr_attributes import read
from tests.support.device import Answer, Device
from tests.support.installation import Installation
from tests.support.openssl import program


@pytest.fixture(scope="module", autouse=True)
def profiles(installation: Installation) -> None:
    def add(kind: str, name: str, *settings: str) -> None:
        words = [word for each in settings for word in ("--set", each)]
        installation.run(kind, "add", name, "--copy", "bootstrap", *words)

    add("certificate-profile", "strict", "key_algorithms=p-384,p-521")
    add("profile", "strict", "certificate_profile=strict", "est.enforce_attributes=true")
    add("profile", "linked", "est.linking=required")
    add("profile", "silent", "est.csr_attributes=none")


def parsed(answer: Answer) -> str:
    """Let openssl take the answer apart."""
    assert answer.status == 200
    done = subprocess.run(
        [*(program("openssl"), "asn1parse", "-inform", "DER", "-i")],
        input=base64.b64decode(answer.body),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def ask(device: Device, profile: str = "bootstrap", *words: str) -> Answer:
    return device.curl(f"{device.server.est}/{profile}/csrattrs", *words)


def test_est_A1_anybody_may_ask(device: Device) -> None:
    answer = ask(device)

    assert "application/csrattrs" in answer.headers
    told = parsed(answer)
    assert "X509v3 Extended Key Usage" in told
    assert "commonName" in told
    assert "1.2.840.113549.1.9.16.2.61" in told
    assert ask(device, "silent").status == 204


def test_est_A2_a_profile_that_requires_linking_says_so(device: Device) -> None:
    assert "challengePassword" in parsed(ask(device, "linked"))
    assert "challengePassword" not in parsed(ask(device))


def test_est_A6_a_profile_with_a_key_policy_says_so(device: Device) -> None:
    told = parsed(ask(device, "strict"))

    assert "secp384r1" in told
    assert "ecdsa-with-SHA384" in told


def test_est_A5_a_device_that_obeys_is_served_and_one_that_does_not_is_told_why(
    device: Device, installation: Installation
) -> None:
    name = f"obedient-{installation.home.parent.name}"
    code = installation.json("device", "add", name, "--serial", "SN-77")["code"]
    identity = installation.json("device", "show", name)["id"]
    user = ("-u", f"{name}:{code}")

    _, stranger = read(base64.b64decode(ask(device, "strict").body))
    _, template = read(base64.b64decode(ask(device, "strict", *user).body))
    careless = device.post("strict/simpleenroll", _request(device.folder, name), user=user[1])
    obedient = device.post(
        "strict/simpleenroll",
        _request(
            device.folder,
            name,
            "/serialNumber=SN-77",
            f"subjectAltName=URI:urn:uuid:{identity}",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=clientAuth",
        ),
        user=user[1],
    )

    assert stranger is not None
    assert stranger.subject == [("2.5.4.3", None), ("2.5.4.5", None)]
    assert template is not None
    assert [value for _, value in template.subject or ()] == [
        bytes([0x0C, len(name)]) + name.encode(),
        b"\x13\x05SN-77",
    ]
    assert careless.status == 400
    assert b"serialNumber, subjectAltName, keyUsage, extendedKeyUsage" in careless.body
    assert obedient.status == 200
    assert installation.json("device", "show", name)["state"] == "registered"


def _request(folder: Path, name: str, more: str = "", *extensions: str) -> Path:
    """Let openssl make a P-384 key and a request with these extensions, in base64."""
    made = subprocess.run(
        [
            *(program("openssl"), "req", "-new", "-newkey", "ec", "-nodes", "-outform", "DER"),
            *("-pkeyopt", "ec_paramgen_curve:P-384", "-keyout", "device.key"),
            *("-subj", f"/CN={name}{more}"),
            *[word for each in extensions for word in ("-addext", each)],
        ],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    path = folder / f"{len(extensions)}.b64"
    path.write_bytes(base64.b64encode(made.stdout))
    return path
