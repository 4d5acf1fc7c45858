"""Decision webhooks against a real receiver: signed questions, answers taken and not taken."""

import asyncio
import gzip
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import pkcs7

from enroll.failures import AuthorityUnavailable
from enroll.ruling import Ruling
from server.clock import SystemClock
from server.config.model import WebhookSection
from server.home import Home
from server.webhooks import MAXIMUM_ANSWER, WAITING, Webhooks, open_webhooks
from tests.support.device import Device
from tests.support.installation import Installation, Running
from tests.support.openssl import make_key, make_request, openssl
from tests.support.questions import QUESTION
from tests.support.webhooks import ALLOW, SECRET, Receiver, a_receiver

pytestmark = pytest.mark.interop
CLIENT = Path(__file__).parent.parent / "support" / "scep_client.sh"
PATIENCE = 0.3
COMPOSURE = 1.5
AMPLE = 5.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiving:
        yield receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A receiver over TLS, the name in its certificate, the files of its CA and of another."""

    receiver: Receiver
    name: str
    ca: Path
    other_ca: Path


@pytest.fixture(scope="module", params=["127.0.0.1", "receiver.example"])
def over_tls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Party]:
    """Receive over TLS, by a certificate for this address or for another name."""
    folder = tmp_path_factory.mktemp("tls")
    ca, other = trustme.CA(), trustme.CA()
    issued = ca.issue_cert(request.param)
    for name, authority in (("ca.pem", ca), ("other.pem", other)):
        authority.cert_pem.write_to_path(str(folder / name))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "receiver.pem"))
    with a_receiver(folder / "receiver.pem") as receiving:
        yield Party(
            receiver=receiving,
            name=request.param,
            ca=folder / "ca.pem",
            other_ca=folder / "other.pem",
        )


def webhooks_to(url: str, folder: Path, **changes: object) -> Webhooks:
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    settings = {"url": url, "secret_file": str(secret), "attributes": ["site"], **changes}
    section = WebhookSection.model_validate(settings)
    return open_webhooks(Home(folder), {"inventory": section}, SystemClock())


async def ruled(webhooks: Webhooks, times: int = 1) -> Ruling:
    """Ask that often, one after the other, and give the last answer."""
    try:
        rulings = [await webhooks.rule(QUESTION) for _ in range(times)]
        return rulings[-1]
    finally:
        await webhooks.close()


async def undecided(webhooks: Webhooks) -> str:
    """Ask, get no decision, and give the reason."""
    with pytest.raises(AuthorityUnavailable) as fault:
        await ruled(webhooks)
    assert fault.value.finding == "webhook_unavailable"
    return fault.value.detail


async def test_lifecycle_SM12_a_receiver_verifies_and_decides(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.says(decision="enrich", attributes={"site": "plant-7"}, reason="a\nb" + "c" * 400)

    ruling = await ruled(webhooks_to(receiver.url, tmp_path))

    assert (ruling.allowed, ruling.attributes) == (True, {"site": "plant-7"})
    assert (len(ruling.reason), ruling.reason[:3]) == (300, "a b")
    assert (len(receiver.asked), receiver.forged) == (1, 0)
    assert receiver.asked[0]["correlation_id"] == QUESTION.correlation_id
    assert receiver.heads[0]["content-type"] == "application/json"


async def test_a_receiver_sees_what_was_changed_on_the_way(
    receiver: Receiver, tmp_path: Path
) -> None:
    secret = tmp_path / "other"
    secret.touch(0o600)
    secret.write_text(SECRET.replace("AAEC", "BBEC"))

    await ruled(webhooks_to(receiver.url, tmp_path, secret_file=str(secret)))

    assert receiver.forged == 1


async def test_questions_share_a_connection_and_no_id(receiver: Receiver, tmp_path: Path) -> None:
    receiver.headers = (("set-cookie", "session=1"),)

    await ruled(webhooks_to(receiver.url, tmp_path), times=5)

    assert (len(receiver.asked), receiver.connections) == (5, 1)
    assert len({each["webhook-id"] for each in receiver.heads}) == 5
    assert not any("cookie" in each for each in receiver.heads)


@pytest.mark.parametrize("status", [201, 202, 204, 400, 401, 404, 429, 500, 503])
async def test_lifecycle_SM12_another_status_is_no_decision(
    receiver: Receiver, tmp_path: Path, status: int
) -> None:
    receiver.status = status
    receiver.body = b"" if status == 204 else ALLOW

    reason = await undecided(webhooks_to(receiver.url, tmp_path))

    assert f"expected status 200, got {status}" in reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_security_W3_no_redirect_is_followed(
    receiver: Receiver, tmp_path: Path, status: int
) -> None:
    with a_receiver() as other:
        receiver.status, receiver.headers = status, (("location", other.url),)

        reason = await undecided(webhooks_to(receiver.url, tmp_path))

    assert f"got {status}" in reason
    assert other.asked == []


async def test_security_W3_an_answer_is_read_to_its_limit_and_no_further(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.body = ALLOW + b" " * (MAXIMUM_ANSWER - len(ALLOW))
    ruling = await ruled(webhooks_to(receiver.url, tmp_path))
    receiver.body += b" "

    reason = await undecided(webhooks_to(receiver.url, tmp_path))

    assert ruling.allowed
    assert f"expected at most {MAXIMUM_ANSWER} octets" in reason


async def test_security_W3_a_compressed_answer_is_not_unpacked(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.body, receiver.headers = gzip.compress(ALLOW), (("content-encoding", "gzip"),)

    reason = await undecided(webhooks_to(receiver.url, tmp_path))

    assert "not one JSON document" in reason
    assert receiver.heads[0]["accept-encoding"] == "identity"


async def test_lifecycle_SM12_a_receiver_that_is_silent_is_not_waited_for(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.silent = True
    begin = time.monotonic()

    reason = await undecided(webhooks_to(receiver.url, tmp_path, timeout_seconds=PATIENCE))

    assert "none came within 0.3 seconds" in reason
    assert PATIENCE <= time.monotonic() - begin < AMPLE
    assert len(receiver.asked) == 1


async def test_waiting_for_a_free_connection_is_part_of_the_time(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.silent = True
    webhooks = webhooks_to(receiver.url, tmp_path, timeout_seconds=PATIENCE, concurrent=1)
    begin = time.monotonic()

    results = await asyncio.gather(
        *(webhooks.rule(QUESTION) for _ in range(WAITING)), return_exceptions=True
    )
    elapsed = time.monotonic() - begin
    await webhooks.close()

    assert all(isinstance(each, AuthorityUnavailable) for each in results)
    assert elapsed < AMPLE


async def test_no_more_connections_are_open_than_are_configured(
    receiver: Receiver, tmp_path: Path
) -> None:
    webhooks = webhooks_to(receiver.url, tmp_path, concurrent=2)

    rulings = await asyncio.gather(*(webhooks.rule(QUESTION) for _ in range(16)))
    await webhooks.close()

    assert all(each.allowed for each in rulings)
    assert (len(receiver.asked), receiver.connections) == (16, 2)


async def test_what_finds_too_many_waiting_is_refused_at_once(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.silent = True
    webhooks = webhooks_to(receiver.url, tmp_path, concurrent=1)
    waiting = [asyncio.create_task(webhooks.rule(QUESTION)) for _ in range(WAITING)]
    await asyncio.sleep(0)  # Each has begun.
    begin = time.monotonic()

    with pytest.raises(AuthorityUnavailable, match="too many questions"):
        await webhooks.rule(QUESTION)
    elapsed = time.monotonic() - begin
    receiver.silent = False
    receiver.ended.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    ruling = await ruled(webhooks)

    assert elapsed < 1
    assert ruling.allowed


async def test_lifecycle_SM12_a_receiver_that_is_not_there_decides_nothing(
    tmp_path: Path,
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"

        reason = await undecided(webhooks_to(url, tmp_path))

    assert "gave no decision" in reason


async def test_lifecycle_SM12_after_an_outage_it_is_asked_again(
    receiver: Receiver, tmp_path: Path
) -> None:
    webhooks = webhooks_to(receiver.url, tmp_path)
    told = []

    def observe(name: str, outcome: str, seconds: float) -> None:
        assert seconds > 0
        told.append((name, outcome))

    webhooks.observe = observe
    receiver.status = 500
    with pytest.raises(AuthorityUnavailable):
        await webhooks.rule(QUESTION)
    receiver.status = 200

    ruling = await ruled(webhooks)

    assert ruling.allowed
    assert told == [("inventory", "failed"), ("inventory", "allow")]


async def test_security_W3_a_receiver_shows_a_certificate_for_its_own_name(
    over_tls: Party, tmp_path: Path
) -> None:
    webhooks = webhooks_to(over_tls.receiver.url, tmp_path, ca_file=str(over_tls.ca))
    if over_tls.name == "127.0.0.1":
        ruling = await ruled(webhooks)

        assert ruling.allowed
        assert (len(over_tls.receiver.asked), over_tls.receiver.forged) == (1, 0)
    else:
        reason = await undecided(webhooks)

        assert "IP address mismatch" in reason
        assert over_tls.receiver.asked == []


async def test_security_W3_a_receiver_shows_a_certificate_of_a_ca_that_is_trusted(
    over_tls: Party, tmp_path: Path
) -> None:
    before = len(over_tls.receiver.asked)

    stranger = await undecided(
        webhooks_to(over_tls.receiver.url, tmp_path, ca_file=str(over_tls.other_ca))
    )
    unknown = await undecided(webhooks_to(over_tls.receiver.url, tmp_path))

    assert "certificate verify failed" in stranger
    assert "certificate verify failed" in unknown
    assert len(over_tls.receiver.asked) == before


# A server that asks.


@pytest.fixture(scope="module")
def asked() -> Iterator[Receiver]:
    with a_receiver() as receiving:
        yield receiving


@pytest.fixture(scope="module")
def server(installation: Installation, asked: Receiver) -> Iterator[Running]:
    secret = installation.home / "keys" / "inventory"
    secret.touch(0o600)
    secret.write_text(SECRET)
    with (installation.home / "enroll.toml").open("a") as file:
        file.write(
            f"\n[webhooks.inventory]\nurl = '{asked.url}'\nsecret_file = 'keys/inventory'\n"
            f"timeout_seconds = {COMPOSURE}\nattributes = ['site']\n"
        )
    installation.run("profile", "set", "bootstrap", "decision_webhook=inventory")
    names = "subject=CN={name},OU={attribute.site}"
    installation.run("certificate-profile", "set", "bootstrap", names)
    with installation.serve() as running:
        yield running


@pytest.fixture
def told(asked: Receiver) -> Receiver:
    """Let the receiver forget what it was asked, and allow."""
    asked.asked.clear()
    asked.silent, asked.status, asked.body = False, 200, ALLOW
    return asked


def added(device: Device, name: str) -> str:
    return str(device.installation.json("device", "add", name)["code"])


def attempt(device: Device) -> tuple[str, str | None]:
    newest = device.installation.json("attempts")[0]
    return newest["outcome"], newest["finding"]


def test_lifecycle_SM12_a_device_is_let_in_over_est_and_not_asked_about_twice(
    device: Device, told: Receiver
) -> None:
    told.says(decision="enrich", attributes={"site": "plant-7"})
    user = f"pump-1:{added(device, 'pump-1')}"
    request = device.request("boot", "pump-1")

    first = device.post("simpleenroll", request, user=user)
    again = device.post("simpleenroll", request, user=user)

    assert (first.status, again.status) == (200, 200)
    assert first.certificate == again.certificate
    assert first.certificate.subject.rfc4514_string() == "OU=plant-7,CN=pump-1"
    (question,) = told.asked
    assert (question["protocol"], question["device"]["name"]) == ("est", "pump-1")
    assert user.partition(":")[2] not in json.dumps(question)
    assert told.forged == 0
    shown = device.installation.json("device", "show", "pump-1")
    assert shown["attributes"] == {"site": "plant-7"}


def test_lifecycle_SM12_a_device_is_denied_over_est(device: Device, told: Receiver) -> None:
    told.says(decision="deny", reason="reported stolen")
    user = f"pump-2:{added(device, 'pump-2')}"

    refused = device.post("simpleenroll", device.request("boot", "pump-2"), user=user)

    assert refused.status == 403
    assert b"stolen" not in refused.body
    assert attempt(device) == ("denied", "webhook_denied")


def test_lifecycle_SM12_a_silent_receiver_is_503_over_est_and_the_server_serves_on(
    device: Device, told: Receiver
) -> None:
    told.silent = True
    user = f"pump-3:{added(device, 'pump-3')}"
    request = device.request("boot", "pump-3")

    refused = device.post("simpleenroll", request, user=user)
    told.silent = False
    later = device.post("simpleenroll", request, user=user)

    assert refused.status == 503
    assert "retry-after: 10" in refused.headers.lower()
    assert later.status == 200
    metrics = device.curl(f"https://{device.server.management}/metrics").body.decode()
    assert 'enroll_webhook_seconds_count{outcome="failed",webhook="inventory"}' in metrics


def test_lifecycle_SM12_scep_asks_as_est_does(device: Device, told: Receiver) -> None:
    key = make_key(device.folder / "a.key", "rsa-2048")
    signer = device.folder / "self.pem"
    openssl(
        *("req", "-new", "-x509", "-days", "1", "-subj", "/CN=SCEP SIGNER"),
        *("-key", key, "-out", signer),
    )
    request = make_request(
        device.folder / "a.csr",
        key,
        subject=("CN=shell-1",),
        challenge_password=added(device, "shell-1"),
    )

    def send(transaction: str) -> str:
        url = f"http://{device.server.http}/scep"
        done = subprocess.run(
            ["bash", CLIENT, url, "19", request, signer, key, transaction, device.folder],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    told.says(decision="deny")
    denied = send("first")
    finding = attempt(device)
    told.says(decision="allow")
    allowed = send("second")

    (found,) = pkcs7.load_der_pkcs7_certificates((device.folder / "answer.p7").read_bytes())
    assert (denied, finding) == ("2 2", ("denied", "webhook_denied"))
    assert allowed == "0"
    assert found.subject.rfc4514_string() == "CN=shell-1"
    assert [each["protocol"] for each in told.asked] == ["scep", "scep"]
