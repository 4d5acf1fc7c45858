"""Linking identity and proof of possession, by real clients over a real server's TLS."""

import re
import socket
import ssl
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from OpenSSL import SSL

from tests.support.csr import Key, a_csr, a_name
from tests.support.device import Device
from tests.support.enrollment import a_new_key
from tests.support.installation import Installation, Running
from tests.support.openssl import program
from tests.support.tls_client import NO_EXTENDED_MASTER_SECRET, TLSClient, tls_client

EST = "/.well-known/est"
VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
by_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module", autouse=True)
def profiles(installation: Installation) -> None:
    def add(name: str, *settings: str) -> None:
        words = [word for each in settings for word in ("--set", each)]
        installation.run("profile", "add", name, "--copy", "bootstrap", *words)

    add("linked", "est.linking=required")
    add("loose", "est.linking=off")
    add("old", "est.linking_without_ems=true")
    add("coded", "est.challenge_password=code")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    node: str = request.node.name
    return node.translate(str.maketrans("[].", "---"))[-60:].strip("-")


def user_of(installation: Installation, name: str) -> str:
    return f"{name}:{installation.json('device', 'add', name)['code']}"


def own_binding(client: TLSClient, version: str) -> str:
    return client.tls_exporter if version == "1.3" else client.tls_unique


def csr(name: str, password: str | None, key: Key | None = None) -> bytes:
    return a_csr(key or a_new_key(), subject=a_name(name), challenge_password=password)


@by_version
def test_est_T11_a_client_links_its_request_to_its_connection(
    installation: Installation, server: Running, name: str, version: str
) -> None:
    user = user_of(installation, name)

    with tls_client(server.https, installation.root, version=VERSIONS[version]) as client:
        wanted = csr(name, own_binding(client, version))
        status, body = client.post(f"{EST}/linked/simpleenroll", wanted, user=user)

    assert status == 200, body
    (issued,) = pkcs7.load_der_pkcs7_certificates(b64decode(body))
    assert issued.subject.rfc4514_string().endswith(f"CN={name}")
    attempt = installation.json("attempts")[0]
    kind = "tls-exporter" if version == "1.3" else "tls-unique"
    assert {"check": "linking", "passed": True, "note": kind} in attempt["trace"]


@by_version
@pytest.mark.parametrize("profile", ["linked", "bootstrap"])
def test_est_T11_the_binding_of_another_connection_is_refused(
    installation: Installation, server: Running, name: str, version: str, profile: str
) -> None:
    user = user_of(installation, name)

    with (
        tls_client(server.https, installation.root, version=VERSIONS[version]) as one,
        tls_client(server.https, installation.root, version=VERSIONS[version]) as other,
    ):
        taken_over = csr(name, own_binding(one, version))
        status, body = other.post(f"{EST}/{profile}/simpleenroll", taken_over, user=user)

    assert status == 400
    assert body.startswith(b"POP linking failed")
    attempt = installation.json("attempts")[0]
    assert attempt["finding"] == "linking_failed"
    assert ("tls-exporter" if version == "1.3" else "tls-unique") in attempt["detail"]
    assert installation.json("device", "show", name)["state"] == "enrolled"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_est_T12_the_binding_of_the_other_version_is_a_mismatch(
    installation: Installation, server: Running, name: str, version: str
) -> None:
    user = user_of(installation, name)

    with tls_client(server.https, installation.root, version=VERSIONS[version]) as client:
        wrong = client.tls_unique if version == "1.3" else client.tls_exporter
        status, body = client.post(f"{EST}/linked/simpleenroll", csr(name, wrong), user=user)

    assert (status, body[:18]) == (400, b"POP linking failed")


def test_est_T22_the_servers_finished_is_no_binding_of_a_full_handshake(
    installation: Installation, server: Running, name: str
) -> None:
    user = user_of(installation, name)

    with tls_client(server.https, installation.root, version=SSL.TLS1_2_VERSION) as client:
        servers = b64encode(client.connection.get_peer_finished() or b"").decode()
        status, body = client.post(f"{EST}/simpleenroll", csr(name, servers), user=user)

    assert (status, body[:18]) == (400, b"POP linking failed")


def test_est_T11_pythons_own_tls_unique_is_taken(
    installation: Installation, server: Running, name: str
) -> None:
    user = user_of(installation, name)
    context = ssl.create_default_context(cafile=str(installation.root))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    host, _, port = server.https.rpartition(":")

    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        binding = tls.get_channel_binding("tls-unique")
        assert binding is not None
        body = b64encode(csr(name, b64encode(binding).decode()))
        basic = b64encode(user.encode()).decode()
        tls.sendall(
            f"POST {EST}/linked/simpleenroll HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Basic {basic}\r\nContent-Type: application/pkcs10\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        answer = tls.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize(("profile", "status"), [("bootstrap", 400), ("old", 200), ("loose", 200)])
def test_est_T13_without_extended_master_secret_the_profile_decides(
    installation: Installation, server: Running, name: str, profile: str, status: int
) -> None:
    user = user_of(installation, name)

    with tls_client(
        server.https,
        installation.root,
        version=SSL.TLS1_2_VERSION,
        options=NO_EXTENDED_MASTER_SECRET,
    ) as client:
        wanted = csr(name, client.tls_unique)
        answered, _ = client.post(f"{EST}/{profile}/simpleenroll", wanted, user=user)

    assert answered == status


@by_version
def test_est_T24_a_renewal_is_linked_to_its_connection(
    installation: Installation,
    server: Running,
    name: str,
    version: str,
    tmp_path: Path,
) -> None:
    user, key = user_of(installation, name), a_new_key()
    with tls_client(server.https, installation.root, version=VERSIONS[version]) as client:
        wanted = csr(name, own_binding(client, version), key)
        _, body = client.post(f"{EST}/linked/simpleenroll", wanted, user=user)
        stale = own_binding(client, version)
    shown = _keep(tmp_path, body, key)

    with tls_client(
        server.https, installation.root, version=VERSIONS[version], shown=shown
    ) as client:
        path = f"{EST}/simplereenroll"
        absent, _ = client.post(path, csr(name, None))
        refused, _ = client.post(path, csr(name, stale))
        taken, _ = client.post(path, csr(name, own_binding(client, version)))

    assert (absent, refused, taken) == (400, 400, 200)


def test_est_T11_through_a_plaintext_socket_nothing_can_be_linked(
    installation: Installation, tmp_path: Path, name: str
) -> None:
    user = user_of(installation, name)
    (tmp_path / "with.b64").write_bytes(b64encode(csr(name, "QUJD")))
    (tmp_path / "without.b64").write_bytes(b64encode(csr(name, None)))
    unix = tmp_path / "est.socket"

    with installation.serve("--unix", str(unix)) as server:
        device = Device(folder=tmp_path, installation=installation, server=server)

        def post(profile: str, body: str) -> tuple[int, str]:
            sent = device.curl(
                f"http://localhost{EST}/{profile}/simpleenroll",
                *("--unix-socket", str(unix), "-u", user),
                *("-H", "Content-Type: application/pkcs10"),
                *("--data-binary", f"@{tmp_path / body}.b64"),
            )
            return sent.status, installation.json("attempts")[0]["finding"]

        assert post("linked", "without") == (400, "linking_required")
        assert post("linked", "with") == (400, "linking_unavailable")
        assert post("bootstrap", "with") == (400, "linking_unavailable")
        assert post("loose", "with")[0] == 200


def test_est_T14_openssl_sends_a_code_as_challenge_password(
    installation: Installation, device: Device, name: str
) -> None:
    code = installation.json("device", "add", name)["code"]
    body = _request_by_openssl(device.folder, name, code)
    wrong = _request_by_openssl(device.folder, name, "AAAA-BBBB-CCCC-DDDD-EEEE")

    refused = device.post("coded/simpleenroll", wrong)
    taken = device.post("coded/simpleenroll", body)
    again = device.post("coded/simpleenroll", _request_by_openssl(device.folder, name, code))

    assert (refused.status, refused.body) == (401, b"")
    assert taken.status == 200
    assert (again.status, again.body) == (401, b"")
    assert _unchanging(refused.headers) == _unchanging(again.headers)


def _unchanging(headers: str) -> list[str]:
    """Leave out what differs from answer to answer: time, correlation id, and a nonce."""
    lines = re.sub(r'nonce="[^"]*"', "", headers).splitlines()
    return [each for each in lines if not each.startswith(("Date:", "X-Request-ID:"))]


def _request_by_openssl(folder: Path, name: str, password: str) -> Path:
    """Let openssl make a new key and a request, in base64."""
    (folder / "req.cnf").write_text(
        "[req]\nprompt = no\ndistinguished_name = dn\nattributes = attributes\n"
        f"[dn]\nCN = {name}\n[attributes]\nchallengePassword = {password}\n"
    )
    made = subprocess.run(
        [
            *(program("openssl"), "req", "-new", "-config", "req.cnf", "-outform", "DER"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", "req.key"),
        ],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    path = folder / f"{password}-{len(list(folder.iterdir()))}.b64"
    path.write_bytes(b64encode(made.stdout))
    return path


def _keep(folder: Path, body: bytes, key: Key) -> tuple[Path, Path]:
    (certificate,) = pkcs7.load_der_pkcs7_certificates(b64decode(body))
    kept = folder / "device.pem", folder / "device.key"
    kept[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kept[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return kept
