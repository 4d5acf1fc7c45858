"""Through nginx and haproxy as the documentation configures them: what works, what is refused."""

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.device import Answer, Device
from tests.support.installation import Installation, Running
from tests.support.listening import SECONDS, received
from tests.support.reverse_proxies import PROXIES, Proxy

pytestmark = pytest.mark.interop

FIXTURES = Path(__file__).parents[2] / "openssl-fixtures"
MAKER = FIXTURES / "devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server with a proxy before it, over TLS and over the unix socket."""

    kind: str
    installation: Installation
    server: Running
    over_tls: Proxy
    over_unix: Proxy
    root: Path

    def device(self, folder: Path, proxy: Proxy | None = None) -> Device:
        seen = (proxy or self.over_tls).in_front_of(self.server)
        return Device(folder=folder, installation=self.installation, server=seen)

    @property
    def trusting(self) -> tuple[str, ...]:
        return ("--cacert", str(self.root), "-H", "Content-Type: application/pkcs10")

    def last_attempt(self) -> dict[str, Any]:
        return dict(self.installation.json("attempts", "--limit", "1")[0])

    def raw(self, request: bytes, *, certificate: Path | None = None) -> bytes:
        """Send what need not be a request to the proxy, and take all that comes."""
        context = ssl.create_default_context(cafile=str(self.root))
        if certificate is not None:
            context.load_cert_chain(certificate)
        host, _, port = self.over_tls.address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as stream,
        ):
            stream.sendall(request)
            return received(stream)


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    installation = Installation.initialize(folder / "home")
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    ca.cert_pem.write_to_path(folder / "proxy-root.pem")
    client = ca.issue_cert("proxy.example", key_type=trustme.KeyType.ECDSA)
    leaf = x509.load_pem_x509_certificate(client.cert_chain_pems[0].bytes())
    environment = {
        "ENROLL_PROXY__CLIENT_CERTIFICATE": kind,
        "ENROLL_PROXY__PINNED": sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        "ENROLL_PROXY__CLIENT_ADDRESS": "x-forwarded-for",
    }
    unix = folder / "socket"
    with ExitStack() as stack:
        server = stack.enter_context(installation.serve("--unix", str(unix), env=environment))
        running = []
        for name, through in (("tls", None), ("unix", unix)):
            files = folder / name
            files.mkdir()
            own = ca.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
            own.private_key_and_cert_chain_pem.write_to_path(files / "tls.pem")
            client.private_key_and_cert_chain_pem.write_to_path(files / "client.pem")
            (files / "roots.pem").write_bytes(installation.root.read_bytes())
            running.append(stack.enter_context(PROXIES[kind](files, server.https, through)))
        yield Place(
            kind=kind,
            installation=installation,
            server=server,
            over_tls=running[0],
            over_unix=running[1],
            root=folder / "proxy-root.pem",
        )


def enroll(place: Place, device: Device, name: str, *options: str) -> Answer:
    code = place.installation.json("device", "add", name)["code"]
    return device.post(
        "simpleenroll",
        device.request("boot", name),
        user=f"{name}:{code}",
        options=(*place.trusting, *options),
    )


@pytest.mark.parametrize("way", ["over_tls", "over_unix"])
def test_security_T4_a_device_enrolls_and_renews_through_a_proxy(
    place: Place, tmp_path: Path, way: str
) -> None:
    device = place.device(tmp_path, getattr(place, way))

    first = enroll(place, device, f"pump-{way}")
    assert first.status == 200, first.body
    device.keep("boot", first.certificate)
    renewed = device.post(
        "simplereenroll",
        device.renewal_request("next", first.certificate),
        certificate="boot",
        options=place.trusting,
    )

    assert renewed.status == 200, renewed.body
    assert renewed.certificate.subject == first.certificate.subject
    attempt = place.last_attempt()
    shown = sha256(first.certificate.public_bytes(Encoding.DER)).hexdigest()
    assert (attempt["outcome"], attempt["client_certificate_sha256"]) == ("issued", shown)
    assert attempt["peer_address"] == "127.0.0.1"


def test_est_T9_digest_works_through_a_proxy(place: Place, tmp_path: Path) -> None:
    answer = enroll(place, place.device(tmp_path), "pump-digest", "--digest")

    assert answer.status == 200, answer.body


def test_what_a_client_says_of_its_address_is_not_believed(place: Place, tmp_path: Path) -> None:
    device = place.device(tmp_path)

    answer = enroll(place, device, "pump-address", "-H", "X-Forwarded-For: 203.0.113.9")

    assert answer.status == 200
    assert place.last_attempt()["peer_address"] == "127.0.0.1"


def test_a_factory_certificate_proves_its_device_through_a_proxy(
    place: Place, tmp_path: Path
) -> None:
    """With its chain where the proxy can hand that on; else the server completes it."""
    root = str(MAKER / "maker-root.pem")
    place.installation.run("trust", "add", root, "--purpose", "idevid", "--name", "maker")
    between = str(MAKER / "maker-intermediate.pem")
    if place.kind == "nginx":
        place.installation.run("trust", "set", "maker", "--intermediates", between)
    place.installation.run("device", "add", "made", "--serial", "SN-00817", "--no-code")
    device = place.device(tmp_path)
    (tmp_path / "idevid.pem").write_bytes(
        (MAKER / "idevid.pem").read_bytes() + (MAKER / "maker-intermediate.pem").read_bytes()
    )
    (tmp_path / "idevid.key").write_bytes((FIXTURES / "keys" / "idevid.pem").read_bytes())

    answer = device.post(
        "simpleenroll",
        device.request("made", "Pump"),
        certificate="idevid",
        options=place.trusting,
    )

    assert answer.status == 200, place.last_attempt()

    (tmp_path / "idevid.pem").write_bytes(
        (MAKER / "idevid-expired.pem").read_bytes()
        + (MAKER / "maker-intermediate.pem").read_bytes()
    )
    expired = device.post(
        "simpleenroll", device.request("late", "Pump"), certificate="idevid", options=place.trusting
    )
    # nginx judges the time by itself, and gives no reason that a device could act upon.
    assert expired.status == (400 if place.kind == "nginx" else 403)
    assert (b"The client certificate has expired." in expired.body) is (place.kind == "haproxy")


def test_security_T4_nobody_borrows_a_certificate_through_a_proxy(
    place: Place, tmp_path: Path
) -> None:
    """The victim's certificate is public; only its key is not."""
    device = place.device(tmp_path)
    victim = enroll(place, device, "victim").certificate
    thief = enroll(place, place.device(_folder(tmp_path, "thief")), "thief").certificate
    place.device(tmp_path / "thief").keep("boot", thief)
    der = b64encode(victim.public_bytes(Encoding.DER)).decode()
    pem = quote(victim.public_bytes(Encoding.PEM).decode())
    body = device.renewal_request("stolen", victim)
    before = len(_certificates(place, "victim"))
    attempts = [
        (f"Client-Cert: :{der}:",),
        (f"Client-Cert: :{der}:", f"Client-Cert-Chain: :{der}:"),
        (f"X-SSL-Client-Cert: {pem}",),
        (f"X-SSL-Client-DER: {der}",),
        (f"X-SSL-Client-DER: {der}", f"X-SSL-Client-Chain-DER: {der}"),
        (f"X-SSL-Client-DER: {der}", f"X-SSL-Client-DER: {der}"),
        (f"X_SSL_Client_Cert: {pem}",),
        (f"X_SSL_Client_DER: {der}",),
        (f"X-SSL-Client_DER: {der}",),
        (f"client_cert: :{der}:",),
        (f"x-ssl-client-cert:{pem}", f"x_ssl_client_cert:{pem}"),
    ]
    own = {"": (), "thief": ("--cert", str(tmp_path / "thief" / "boot.pem"))}
    own["thief"] += ("--key", str(tmp_path / "thief" / "boot.key"))

    for lines in attempts:
        for who, certificate in own.items():
            words = [word for line in lines for word in ("-H", line)]
            answer = device.post(
                "simplereenroll", body, options=(*place.trusting, *words, *certificate)
            )
            assert answer.status in {400, 401, 403}, (lines, who)
    for proxied in (True, False):
        direct = replace(device, server=place.server) if not proxied else device
        trusting = place.trusting if proxied else place.trusting[2:]
        answer = direct.post(
            "simplereenroll", body, options=(*trusting, "-H", f"X-SSL-Client-DER: {der}")
        )
        assert answer.status in {400, 401, 403}
    assert len(_certificates(place, "victim")) == before


HEAD = b"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
HIDDEN = b"GET /.well-known/est/hidden-canary HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "both lengths": HEAD
    + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(HIDDEN))
    + HIDDEN,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with a plus": HEAD + b"Content-Length: +%d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a space before the colon": HEAD + b"Content-Length : %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "almost chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked in a list": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "an underscore": HEAD
    + b"Content_Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN)
    + HIDDEN,
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare carriage return": HEAD + b"X: 1\rContent-Length: 0\r\n\r\n" + HIDDEN,
    "a zero": HEAD + b"X: \0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a chunk with an extension": HEAD + b'Transfer-Encoding: chunked\r\n\r\n0;a="\r\n\r\n' + HIDDEN,
    "a trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n" + HIDDEN,
    "a head within a line": b"POST / HTTP/1.1\r\nHost: a\r\nX: 1\n\n" + HIDDEN,
    "a body of GET": b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
}


@pytest.mark.parametrize("what", SMUGGLING)
def test_security_T5_no_request_hides_in_another_through_a_proxy(
    place: Place, tmp_path: Path, what: str
) -> None:
    """Whatever the proxy makes of it, what it took for a body is none of our requests."""
    before = place.server.log.read_bytes().count(b"hidden-canary")
    request = SMUGGLING[what].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    answer = place.raw(request)
    address = f"https://{place.over_tls.address}/roots.pem"
    after = place.device(tmp_path).curl(address, *place.trusting)

    assert after.status == 200
    assert place.server.log.read_bytes().count(b"hidden-canary") == before
    assert answer.count(b"HTTP/1.1 ") <= 1


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def _certificates(place: Place, name: str) -> list[Any]:
    return list(place.installation.json("device", "show", name)["certificates"])
