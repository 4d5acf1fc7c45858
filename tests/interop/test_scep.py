"""SCEP with clients of others: Debian's scepclient, strongSwan's pki, and nothing but openssl."""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.support.csr import sequence, tlv
from tests.support.device import Device
from tests.support.openssl import make_key, make_request, openssl, program
from tests.support.waiting import within

pytestmark = pytest.mark.interop
CLIENT = Path(__file__).parent.parent / "support" / "scep_client.sh"
SELF_SIGNED = ("-x509", "-days", "1", "-subj", "/CN=SCEP SIGNER")


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [program(str(words[0])), *(str(each) for each in words[1:])],
        capture_output=True,
        check=False,
        cwd=cwd,
    )


def succeed(*words: str | Path, cwd: Path) -> bytes:
    """Run a client; the complaints of strongSwan's plugins on standard error are usual."""
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def url(device: Device) -> str:
    return f"http://{device.server.http}/scep"


def new_code(device: Device, name: str) -> str:
    code: str = device.installation.json("device", "add", name)["code"]
    return code


def is_served(device: Device, url: str, profile: str) -> bool:
    """Wait until a running server has seen a new profile, which may take a second."""
    caps = f"{url}/{profile}?operation=GetCACaps"
    return within(10, lambda: device.curl(caps).status == 200)


def state_of(device: Device, name: str) -> str:
    state: str = device.installation.json("device", "show", name)["state"]
    return state


def names_of(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


@pytest.fixture
def authorities(device: Device, url: str) -> tuple[Path, Path, Path]:
    """Fetch the certificates by strongSwan: root, issuing CA and RA."""
    succeed(
        *("pki", "--scepca", "--url", url, "--outform", "pem", "--force"),
        *("--caout", "ca.pem", "--raout", "ra.pem"),
        cwd=device.folder,
    )
    return device.folder / "ca.pem", device.folder / "ca-1.pem", device.folder / "ra.pem"


def swan(
    device: Device, url: str, authorities: tuple[Path, Path, Path], *words: str | Path
) -> subprocess.CompletedProcess[bytes]:
    root, issuing, ra = authorities
    return run(
        *("pki", "--scep", "--url", url, "--outform", "pem"),
        *("--cacert-enc", ra, "--cacert-sig", ra, "--cacert", root, "--cacert", issuing),
        *words,
        cwd=device.folder,
    )


def certificate_from(done: subprocess.CompletedProcess[bytes]) -> x509.Certificate:
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return x509.load_pem_x509_certificate(done.stdout)


def test_scep_34_debians_scepclient_enrolls_under_a_legacy_profile(
    device: Device, url: str
) -> None:
    installation = device.installation
    installation.run("profile", "add", "legacy", "--copy", "bootstrap", "--set", "scep.legacy=true")
    assert is_served(device, url, "legacy")
    code = new_code(device, "old-1")
    words = ("-cn", "old-1", "-private-key", "k.pem", "-certificate", "c.pem")

    succeed(
        *("scepclient", "-server-url", f"{url}/legacy", "-challenge", code, *words),
        cwd=device.folder,
    )

    found = x509.load_pem_x509_certificate((device.folder / "c.pem").read_bytes())
    assert names_of(found) == "CN=old-1"
    assert state_of(device, "old-1") == "registered"


def test_scep_24_debians_scepclient_is_told_no(device: Device, url: str) -> None:
    installation = device.installation
    installation.run("profile", "add", "older", "--copy", "bootstrap", "--set", "scep.legacy=true")
    assert is_served(device, url, "older")
    new_code(device, "old-2")

    done = run(
        *("scepclient", "-server-url", f"{url}/older", "-challenge", "wrong"),
        *("-cn", "old-2", "-private-key", "k.pem", "-certificate", "c.pem"),
        cwd=device.folder,
    )

    assert b"badRequest (2)" in done.stderr + done.stdout
    assert not (device.folder / "c.pem").exists()


def test_scep_34_debians_scepclient_is_refused_where_the_profile_is_not_legacy(
    device: Device, url: str
) -> None:
    code = new_code(device, "old-3")

    run(
        *("scepclient", "-server-url", url, "-challenge", code),
        *("-cn", "old-3", "-private-key", "k.pem", "-certificate", "c.pem"),
        cwd=device.folder,
    )

    assert not (device.folder / "c.pem").exists()
    assert state_of(device, "old-3") == "enrolled"


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--san", "swan.example"),
        ("--digest", "sha384"),
        ("--digest", "sha512"),
        ("--rsa-padding", "pss"),
        ("--profile", "anything"),
    ],
    ids=" ".join,
)
def test_scep_3_and_39_strongswan_enrolls_and_renews(
    device: Device, url: str, authorities: tuple[Path, Path, Path], options: tuple[str, ...]
) -> None:
    name = "swan" + "".join(options).replace("-", "").replace(".", "")
    first_key, second_key = (make_key(device.folder / f"{each}.key", "rsa-2048") for each in "ab")
    words = ("--dn", f"CN={name}", *options)

    first = certificate_from(
        swan(
            *(device, url, authorities, "--in", first_key),
            *("--password", new_code(device, name), *words),
        )
    )
    held = device.folder / "a.der"
    held.write_bytes(first.public_bytes(Encoding.DER))
    second = certificate_from(
        swan(
            *(device, url, authorities, "--in", second_key),
            *("--cert", held, "--key", first_key, "--dn", f"CN={name}"),
        )
    )

    assert names_of(first) == names_of(second) == f"CN={name}"
    assert first.serial_number != second.serial_number
    assert state_of(device, name) == "registered"


def test_scep_24_strongswan_is_told_no(
    device: Device, url: str, authorities: tuple[Path, Path, Path]
) -> None:
    new_code(device, "swan-no")
    key = make_key(device.folder / "a.key", "rsa-2048")

    done = swan(
        *(device, url, authorities, "--in", key, "--dn", "CN=swan-no", "--password", "wrong")
    )

    assert done.returncode != 0
    assert done.stdout == b""


def test_scep_35_strongswan_with_3des_and_sha1_needs_a_legacy_profile(
    device: Device, url: str, authorities: tuple[Path, Path, Path]
) -> None:
    device.installation.run(
        *("profile", "add", "swan-legacy", "--copy", "bootstrap", "--set", "scep.legacy=true")
    )
    key = make_key(device.folder / "a.key", "rsa-2048")
    code = new_code(device, "swan-old")
    words = ("--in", key, "--dn", "CN=swan-old", "--password", code)
    old = ("--cipher", "des3", "--digest", "sha1")
    assert is_served(device, url, "swan-legacy")

    refused = swan(device, url, authorities, *words, *old)
    taken = swan(device, f"{url}/swan-legacy", authorities, *words, *old)

    assert refused.returncode != 0
    assert names_of(certificate_from(taken)) == "CN=swan-old"


def by_openssl(
    device: Device, url: str, kind: int, content: Path, signer: Path, key: Path
) -> tuple[str, str]:
    """Send a message put together by bash; give status and failInfo."""
    printed = succeed(
        *("bash", CLIENT, url, str(kind), content, signer, key, "openssl-1", device.folder),
        cwd=device.folder,
    )
    status, _, fail_info = printed.decode().strip("\n").partition(" ")
    return status, fail_info


def answered(device: Device) -> x509.Certificate:
    (found,) = pkcs7.load_der_pkcs7_certificates((device.folder / "answer.p7").read_bytes())
    return found


def test_scep_20_and_22_nothing_but_openssl_enrolls_renews_and_is_refused(
    device: Device, url: str
) -> None:
    first, second = (make_key(device.folder / f"{each}.key", "rsa-2048") for each in "ab")
    signer = device.folder / "self.pem"
    openssl("req", "-new", "-key", first, *SELF_SIGNED, "-out", signer)
    names = ("CN=shell-1",)
    code = new_code(device, "shell-1")
    wrong = make_request(device.folder / "wrong.csr", first, subject=names, challenge_password="x1")
    right = make_request(device.folder / "right.csr", first, subject=names, challenge_password=code)
    renewal = make_request(device.folder / "renewal.csr", second, subject=names)
    held = device.folder / "held.pem"

    assert by_openssl(device, url, 19, wrong, signer, first) == ("2", "2")
    assert by_openssl(device, url, 19, right, signer, first) == ("0", "")
    enrolled = answered(device)
    held.write_bytes(enrolled.public_bytes(Encoding.PEM))
    assert by_openssl(device, url, 17, renewal, held, first) == ("0", "")
    renewed = answered(device)

    assert names_of(enrolled) == names_of(renewed) == "CN=shell-1"
    assert enrolled.serial_number != renewed.serial_number


@pytest.mark.parametrize(
    "path",
    [
        "/scep/pkiclient.exe",
        "/SCEP/bootstrap/PKIClient.exe",
        "/cgi-bin/pkiclient.exe",
        "/CGI-BIN/PKIClient.exe",
        "/certsrv/mscep/mscep.dll",
        "/CertSrv/MSCEP/mscep.dll/pkiclient.exe",
        "//scep//bootstrap",
    ],
)
def test_scep_10_every_path_of_old_clients_is_served(device: Device, path: str) -> None:
    for scheme, address in (("http", device.server.http), ("https", device.server.https)):
        answer = device.curl(f"{scheme}://{address}{path}?operation=GetCACaps")

        assert answer.status == 200
        assert b"POSTPKIOperation\n" in answer.body


def test_scep_1_an_unknown_label_is_404(device: Device, url: str) -> None:
    assert device.curl(f"{url}/nowhere?operation=GetCACaps").status == 404


def test_scep_14_an_address_may_be_64_kib_long_and_no_longer(device: Device, url: str) -> None:
    fits, too_long = ("x" * octets for octets in (60_000, 66_000))

    assert device.curl(f"{url}?operation=GetCACaps&message={fits}").status == 200
    assert device.curl(f"{url}?operation=GetCACaps&message={too_long}").status == 414


def get_ca_cert(device: Device, url: str) -> list[x509.Certificate]:
    body = device.curl(f"{url}?operation=GetCACert").body
    return pkcs7.load_der_pkcs7_certificates(body)


def test_scep_41_and_61_the_ra_is_rsa_for_both_uses_under_an_issuing_ca_on_a_curve(
    device: Device, url: str
) -> None:
    found = {names_of(each): each for each in get_ca_cert(device, url)}
    ra, issuing = found["CN=SCEP RA"], found["CN=Test Issuing CA"]

    usage = ra.extensions.get_extension_for_class(x509.KeyUsage).value
    key = ra.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert isinstance(issuing.public_key(), ec.EllipticCurvePublicKey)
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not usage.key_cert_sign
    ra.verify_directly_issued_by(issuing)


def test_scep_15_http_1_0_is_spoken_and_http_1_1_without_a_host_is_not(device: Device) -> None:
    host, _, port = device.server.http.rpartition(":")
    answers = []
    for version in ("1.0", "1.1"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"GET /scep?operation=GetCACaps HTTP/{version}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            answers.append(b"".join(iter(lambda: connection.recv(65_536), b"")))

    old, nameless = answers
    assert b" 200 OK\r\n" in old
    assert b"POSTPKIOperation\n" in old
    assert b" 400 " in nameless


def waiting_group(device: Device, name: str) -> str:
    installation = device.installation
    installation.run("group", "add", name, "--copy", "default", "--set", "approval=manual")
    code: str = installation.json("device", "add", name, "--group", name)["code"]
    return code


def approve_the_one_of(device: Device, name: str) -> None:
    (order,) = [
        each for each in device.installation.json("approval", "list") if each["device"] == name
    ]
    device.installation.run("approval", "approve", order["id"])


def test_scep_25_and_26_strongswan_polls_until_a_person_approves(
    device: Device, url: str, authorities: tuple[Path, Path, Path]
) -> None:
    code = waiting_group(device, "swan-waits")
    key = make_key(device.folder / "a.key", "rsa-2048")
    words = ("--dn", "CN=swan-waits", "--password", code, "--interval", "1", "--maxpolltime", "60")

    with ThreadPoolExecutor() as pool:
        polling = pool.submit(swan, device, url, authorities, "--in", key, *words)
        assert within(30, lambda: bool(device.installation.json("approval", "list")))
        approve_the_one_of(device, "swan-waits")
        found = certificate_from(polling.result())

    assert names_of(found) == "CN=swan-waits"
    assert state_of(device, "swan-waits") == "registered"


def test_scep_26_and_28_and_29_nothing_but_openssl_polls_and_fetches(
    device: Device, url: str
) -> None:
    code = waiting_group(device, "shell-waits")
    key = make_key(device.folder / "a.key", "rsa-2048")
    signer, held = device.folder / "self.pem", device.folder / "held.pem"
    openssl("req", "-new", "-key", key, *SELF_SIGNED, "-out", signer)
    names = ("CN=shell-waits",)
    csr = make_request(device.folder / "a.csr", key, subject=names, challenge_password=code)
    subjects, named = device.folder / "subjects", device.folder / "named"
    issuing = next(each for each in get_ca_cert(device, url) if "Issuing" in names_of(each))
    subjects.write_bytes(sequence(issuing.subject.public_bytes(), issuing.subject.public_bytes()))

    assert by_openssl(device, url, 19, csr, signer, key) == ("3", "")
    assert by_openssl(device, url, 20, subjects, signer, key) == ("3", "")
    approve_the_one_of(device, "shell-waits")
    assert by_openssl(device, url, 20, subjects, signer, key) == ("0", "")
    issued = answered(device)
    held.write_bytes(issued.public_bytes(Encoding.PEM))
    serial = issued.serial_number.to_bytes(21)
    named.write_bytes(sequence(issuing.subject.public_bytes(), tlv(0x02, serial.lstrip(b"\0"))))
    assert by_openssl(device, url, 21, named, held, key) == ("0", "")
    assert answered(device) == issued
    assert by_openssl(device, url, 22, named, held, key) == ("0", "")
    listed = openssl("pkcs7", "-inform", "DER", "-in", device.folder / "answer.p7", "-print_certs")
    published = device.curl(f"http://{device.server.http}/crl/issuing.crl").body
    assert b"BEGIN X509 CRL" in listed
    assert x509.load_pem_x509_crl(listed[listed.index(b"-----BEGIN X509") :]) == (
        x509.load_der_x509_crl(published)
    )
