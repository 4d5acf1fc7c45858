"""What a running server shows to the outside, as interface.md fixes it."""

import http.client
import ipaddress
import json
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID

from server.home import Home
from tests.support.device import Device
from tests.support.installation import ENROLL, Installation, Running
from tests.support.lint import check_home
from tests.support.openssl import program
from tests.support.waiting import within

A_SECOND = 1.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite: where the registry is does not matter here."""
    made = Installation.initialize(tmp_path_factory.mktemp("site") / "home")
    yield made
    check_home(Home(made.home))


def registered(device: Device, name: str) -> x509.Certificate:
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("boot", name), user=f"{name}:{code}")
    return device.keep("boot", answer.certificate)


def shown_chain(address: str) -> list[x509.Certificate]:
    """Give what a TLS listener sends, as openssl sees it."""
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", address, "-showcerts"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return x509.load_pem_x509_certificates(done.stdout)


def test_the_ready_file_comes_whole_and_when_all_listeners_accept(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    ready = installation.home / "ready.json"
    ready.write_text("from the last time")
    old = ready.open()

    with installation.serve() as running:
        addresses = json.loads(ready.read_text())
        for listener in ("https", "http", "management"):
            host, port = addresses[listener].rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=5).close()

    assert set(addresses) >= {"https", "http", "management", "pid"}
    assert addresses["pid"] == running.process.pid
    assert old.read() == "from the last time", "it was written over, not renamed into place"
    old.close()


def test_a_server_that_is_interrupted_ends_with_0(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")

    with installation.serve() as running:
        running.process.send_signal(signal.SIGINT)
        code = running.process.wait(20)

    assert code == 0
    assert '"event": "ended"' in running.log.read_text()


def test_an_address_in_use_is_named_with_what_to_do(
    server: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Installation.initialize(tmp_path_factory.mktemp("other") / "home")

    done = subprocess.run(
        [*ENROLL, "--home", other.home, "serve", "--https", server.https],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 1
    assert f"cannot listen on {server.https}: Address already in use" in done.stderr
    assert "--https" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_throw_away_home_is_gone_at_the_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    free = ("--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0")

    with subprocess.Popen(
        [*ENROLL, "serve", "--dev", *free, "--ready-file", ready],
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    ) as process:
        assert within(30, ready.exists)
        homes = [each for each in tmp_path.iterdir() if each.is_dir()]
        process.terminate()
        code = process.wait(20)

    assert code == 0
    assert len(homes) == 1
    assert list(tmp_path.iterdir()) == [ready]


def test_relying_parties_get_ca_certificates_lists_and_roots(device: Device) -> None:
    root = x509.load_pem_x509_certificate(device.installation.root.read_bytes())

    for base in (f"http://{device.server.http}", f"https://{device.server.https}"):
        issuing = x509.load_der_x509_certificate(device.curl(f"{base}/ca/issuing.crt").body)
        assert x509.load_der_x509_certificate(device.curl(f"{base}/ca/root.crt").body) == root
        chain = pkcs7.load_der_pkcs7_certificates(device.curl(f"{base}/ca/issuing.p7c").body)
        assert set(chain) == {issuing, root}
        alone = pkcs7.load_der_pkcs7_certificates(device.curl(f"{base}/ca/root.p7c").body)
        assert alone == [root]
        for name, issuer in (("issuing", issuing), ("root", root)):
            crl = x509.load_der_x509_crl(device.curl(f"{base}/crl/{name}.crl").body)
            assert crl.issuer == issuer.subject
            assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # a CA's
        roots = device.curl(f"{base}/roots.pem").body
        assert x509.load_pem_x509_certificates(roots) == [root]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ca/nobody.crt", 404),
        ("/ca/issuing", 404),
        ("/ca", 404),
        ("/ca/../roots.pem", 404),
        ("/crl/nobody.crl", 404),
        ("/crl/issuing", 404),
        ("/roots.pem/x", 404),
        ("/.well-known/est/cacerts", 404),
        ("/livez", 404),
        ("/", 404),
    ],
)
def test_the_http_listener_has_nothing_else(device: Device, path: str, status: int) -> None:
    answer = device.curl(f"http://{device.server.http}{path}", "--path-as-is")

    assert answer.status == status
    assert "content-type: text/plain" in answer.headers.lower()


def test_what_is_published_cannot_be_written_to(device: Device) -> None:
    answer = device.curl(f"http://{device.server.http}/crl/issuing.crl", "--data", "x")

    assert answer.status == 405
    assert "allow: get, head" in answer.headers.lower()


def test_addresses_in_certificates_lead_to_what_they_promise(device: Device) -> None:
    configured = "http://127.0.0.1:8080"
    certificate = registered(device, "pump-aia")

    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    urls = {
        each.access_method: each.access_location.value
        for each in access
        if isinstance(each.access_location, x509.UniformResourceIdentifier)
    }
    (name,) = list(points[0].full_name or [])

    issuer_url = urls[AuthorityInformationAccessOID.CA_ISSUERS]
    assert issuer_url.startswith(f"{configured}/")
    assert str(name.value).startswith(f"{configured}/")
    base = f"http://{device.server.http}"
    issuer = x509.load_der_x509_certificate(device.curl(issuer_url.replace(configured, base)).body)
    certificate.verify_directly_issued_by(issuer)
    crl = x509.load_der_x509_crl(device.curl(str(name.value).replace(configured, base)).body)
    assert crl.issuer == certificate.issuer


def test_est_T4_every_listeners_certificate_chains_to_the_root_and_names_its_hosts(
    tmp_path: Path,
) -> None:
    installation = Installation.initialize(tmp_path / "home", "--host", "plant.example")
    root = x509.load_pem_x509_certificate(installation.root.read_bytes())

    with installation.serve() as running:
        shown = [shown_chain(running.https), shown_chain(running.management)]

    for own, issuing in shown:
        own.verify_directly_issued_by(issuing)
        issuing.verify_directly_issued_by(root)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "plant.example"}
        assert set(names.get_values_for_type(x509.IPAddress)) == {
            ipaddress.ip_address("127.0.0.1"),
            ipaddress.ip_address("::1"),
        }


def test_the_operators_own_certificate_is_shown_instead(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    with installation.serve() as running:
        pass
    for name, source in (("own.pem", "ca/tls.pem"), ("own.key", "keys/tls.key")):
        (tmp_path / name).write_bytes((installation.home / source).read_bytes())
    key = subprocess.run(
        [
            *(program("openssl"), "pkey", "-in", tmp_path / "own.key"),
            *("-passin", f"file:{installation.home / 'keys' / 'passphrase'}"),
        ],
        capture_output=True,
        check=True,
    )
    (tmp_path / "own.key").write_bytes(key.stdout)
    (tmp_path / "own.key").chmod(0o600)
    (installation.home / "ca" / "tls.pem").unlink()
    (installation.home / "keys" / "tls.key").unlink()
    settings = {
        "ENROLL_TLS__CERTIFICATE_FILE": str(tmp_path / "own.pem"),
        "ENROLL_TLS__PRIVATE_KEY_FILE": str(tmp_path / "own.key"),
    }

    with installation.serve(env=settings) as running:
        shown = shown_chain(running.https)

    assert shown == x509.load_pem_x509_certificates((tmp_path / "own.pem").read_bytes())
    assert not (installation.home / "ca" / "tls.pem").exists()


def test_the_unix_socket_is_the_owners_and_has_every_device_path(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    path = tmp_path / "enroll.sock"
    code = installation.json("device", "add", "pump-1")["code"]

    with installation.serve("--unix", str(path)) as running:
        mode = stat.S_IMODE(path.stat().st_mode)
        local = Device(folder=tmp_path, installation=installation, server=running)
        through = ("--unix-socket", str(path))
        statuses = {
            name: local.curl(f"http://proxy/{name}", *through).status
            for name in ("crl/issuing.crl", "ca/issuing.crt", "roots.pem", "livez")
        }
        cacerts = local.curl("http://proxy/.well-known/est/cacerts", *through)
        enrolled = local.curl(
            "http://proxy/.well-known/est/simpleenroll",
            *(*through, "-u", f"pump-1:{code}", "-H", "Content-Type: application/pkcs10"),
            *("--data-binary", f"@{local.request('boot', 'pump-1')}"),
        )

    assert mode == 0o600
    assert statuses == {
        "crl/issuing.crl": 200,
        "ca/issuing.crt": 200,
        "roots.pem": 200,
        "livez": 404,
    }
    assert (cacerts.status, enrolled.status) == (200, 200)
    with installation.serve("--unix", str(path)):
        pass  # What the last server left there is no hindrance.


def test_the_management_listener_tells_how_the_server_is(device: Device) -> None:
    base = f"https://{device.server.management}"

    answers = {
        name: device.curl(f"{base}/{name}") for name in ("livez", "readyz", "version", "metrics")
    }

    assert {answer.status for answer in answers.values()} == {200}
    assert json.loads(answers["readyz"].body) == {"status": "ok"}
    version = json.loads(answers["version"].body)
    assert f"enroll {version['version']}\n" == device.installation.run("--version")
    assert b"enroll_exchanges_total{" in answers["metrics"].body
    assert device.curl(f"{base}/.well-known/est/cacerts").status == 404


def test_a_running_server_refuses_a_disabled_device_at_its_next_request(device: Device) -> None:
    certificate = registered(device, "pump-next")
    body = device.renewal_request("n", certificate)

    device.installation.run("device", "disable", "pump-next", "--reason", "x")

    assert device.post("simplereenroll", body, certificate="boot").status == 403


def test_a_running_server_sees_a_new_profile_within_a_second(device: Device) -> None:
    url = f"{device.server.est}/line-9/cacerts"
    assert device.curl(url).status == 404

    device.installation.run("profile", "add", "line-9", "--copy", "bootstrap")

    assert within(A_SECOND, lambda: device.curl(url).status == 200)


def test_a_running_server_lists_a_revocation_within_a_second(device: Device) -> None:
    certificate = registered(device, "pump-crl")
    url = f"http://{device.server.http}/crl/issuing.crl"

    def entry() -> x509.RevokedCertificate | None:
        crl = x509.load_der_x509_crl(device.curl(url).body)
        return crl.get_revoked_certificate_by_serial_number(certificate.serial_number)

    assert entry() is None

    device.installation.run(
        *("certificate", "revoke", f"{certificate.serial_number:x}"),
        *("--reason", "keyCompromise", "--yes"),
    )

    assert within(A_SECOND, lambda: entry() is not None)
    revoked = entry()
    assert revoked is not None
    reason = revoked.extensions.get_extension_for_class(x509.CRLReason).value
    assert reason.reason is x509.ReasonFlags.key_compromise


def test_the_roots_list_is_served_after_its_key_was_moved_away(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    with installation.serve() as running:
        device = Device(folder=tmp_path, installation=installation, server=running)
        before = device.curl(f"http://{running.http}/crl/root.crl").body
    (installation.home / "keys" / "root.key").rename(tmp_path / "root.key")

    with installation.serve() as running:
        device = Device(folder=tmp_path, installation=installation, server=running)
        after = device.curl(f"http://{running.http}/crl/root.crl").body
        root = device.curl(f"http://{running.http}/ca/root.crt").status

    assert after == before
    assert root == 200
    assert "put keys/root.key back" not in installation.run("check")


def test_idle_connections_do_not_keep_a_server_from_ending(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    context = ssl.create_default_context(cafile=str(installation.root))

    with installation.serve() as running:
        host, port = running.https.rsplit(":", 1)
        opened = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
        opened.request("GET", "/roots.pem")
        opened.getresponse().read()
        running.process.terminate()
        code = running.process.wait(20)
        opened.close()

    assert code == 0


def test_sighup_names_what_it_cannot_take_over(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")

    with installation.serve() as running:
        with (installation.home / "enroll.toml").open("a") as file:
            file.write("\n[limits]\nbody_bytes = 70000\n")
        running.process.send_signal(signal.SIGHUP)
        said = within(10, lambda: "configuration reloaded" in running.log.read_text())
        log = running.log.read_text()

    assert said
    assert '"needs_restart": ["limits.body_bytes"]' in log
