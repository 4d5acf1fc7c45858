"""HTTP Digest as curl speaks it: a challenge first, then the request with the answer to it."""

import re
from pathlib import Path

import pytest

from tests.support.device import Device
from tests.support.est import digest_words
from tests.support.installation import Installation
from tests.support.waiting import within
from tests.support.wire import a_wire


@pytest.mark.parametrize("spelling", ["shown", "typed"])
def test_est_T9_curl_enrolls_by_digest(device: Device, spelling: str) -> None:
    name = f"digest-{spelling}"
    code = device.installation.json("device", "add", name)["code"]
    password = code if spelling == "shown" else code.replace("-", "").lower()

    answer = device.post(
        "simpleenroll",
        device.request(name, name),
        user=f"{name}:{password}",
        options=("--digest",),
    )

    assert answer.status == 200
    assert answer.certificate.subject.rfc4514_string() == f"CN={name}"
    (challenge,) = re.findall(r"(?i)www-authenticate: Digest (.*)", answer.headers)
    assert ("algorithm=SHA-256" in challenge, "stale" in challenge) == (True, False)
    attempts = device.installation.json("attempts", "--limit", "2")
    assert [each["finding"] for each in attempts] == [None, "no_credential"]


def test_est_T9_curl_picks_digest_of_what_is_offered(device: Device) -> None:
    code = device.installation.json("device", "add", "digest-any")["code"]
    body = device.request("digest-any", "digest-any")

    answer = device.post(
        "simpleenroll", body, user=f"digest-any:{code}", options=("--anyauth", "--verbose")
    )

    assert answer.status == 200


def test_est_T9_a_wrong_code_by_digest_is_refused_without_stale(device: Device) -> None:
    device.installation.run("device", "add", "digest-wrong")
    body = device.request("digest-wrong", "digest-wrong")

    answer = device.post(
        "simpleenroll",
        body,
        user="digest-wrong:AAAA-BBBB-CCCC-DDDD-EEEE",
        options=("--digest",),
    )

    assert (answer.status, answer.body) == (401, b"")
    assert "stale" not in answer.headers
    assert device.installation.json("attempts", "--limit", "1")[0]["finding"] == "code_wrong"


def test_est_T9_md5_is_for_profiles_that_list_it(device: Device) -> None:
    options = ("--set", "est.http_authentication=digest-md5")
    device.installation.run("profile", "add", "libest", "--copy", "bootstrap", *options)
    code = device.installation.json("device", "add", "digest-md5")["code"]
    body = device.request("digest-md5", "digest-md5")
    served = f"{device.server.est}/libest/csrattrs"
    assert within(5, lambda: device.curl(served).status != 404)

    answer = device.post(
        "libest/simpleenroll", body, user=f"digest-md5:{code}", options=("--digest",)
    )

    assert answer.status == 200
    assert "algorithm=MD5" in answer.headers
    assert "Basic" not in answer.headers


def test_est_T9_workers_take_each_other_s_nonces(tmp_path: Path) -> None:
    """One connection gets the challenge, another the answer: the kernel shares them out."""
    installation = Installation.initialize(tmp_path / "home")
    installation.run("device", "add", "pump-1", "--no-code")
    with installation.serve("--workers", "2") as server:
        device = Device(folder=tmp_path, installation=installation, server=server)
        body = device.request("pump-1", "pump-1")
        path = "/.well-known/est/simpleenroll"
        for _ in range(12):
            challenge = device.post("simpleenroll", body)
            (nonce,) = re.findall(r'nonce="([^"]*)"', challenge.headers)
            wire = a_wire("simpleenroll")
            assert wire.target == path
            words = digest_words("pump-1", "AAAA-BBBB-CCCC-DDDD-EEEE", wire, nonce=nonce)
            header = ("-H", f"Authorization: {words}", "-H", "Content-Type: application/pkcs10")

            first = device.post("simpleenroll", body, options=header)

            assert (first.status, "stale" in first.headers) == (401, False)
        findings = {each["finding"] for each in installation.json("attempts")}
    assert findings == {"no_credential", "code_wrong"}
