"""Headers that speak for a client: believed of proxies that are configured, and of no others."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp.http_parser import HttpRequestParserC, HttpRequestParserPy
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocols.wire import WireRequest, WireResponse
from server.http import connection
from server.http.proxies import NOBODY, ProxyTrust
from tests.support.listening import SECONDS, Listening, TestPKI, answer_from, listening, received
from tests.support.wire import a_certificate

LEAF, ABOVE = a_certificate("pump-1"), a_certificate("issuing")
OWN = f":{b64encode(LEAF).decode()}:"
CHAIN = f":{b64encode(ABOVE).decode()}:"
RFC = {"form": "rfc9440", "address_from": "x-forwarded-for"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=[HttpRequestParserC, HttpRequestParserPy], ids=["C", "Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(connection, "HttpRequestParser", request.param)
    return request.param


@dataclass(frozen=True)
class Asking:
    """A way to ask a listener, and what it made of who asked."""

    running: Listening
    pki: TestPKI
    certificate: str | None
    unix: Path | None

    def __call__(self, *lines: str) -> tuple[int, str]:
        head = ["GET /echo HTTP/1.1", "Host: localhost", *lines, "Connection: close", "", ""]
        with self._connected() as stream:
            stream.sendall("\r\n".join(head).encode())
            answer = received(stream)
        return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2].decode().strip()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        if self.unix is not None:
            with socket.socket(socket.AF_UNIX) as plain:
                plain.settimeout(SECONDS)
                plain.connect(str(self.unix))
                yield plain
        else:
            with self.running.secure(self.pki.client(self.certificate)) as secure:
                yield secure


async def tell(wire: WireRequest) -> WireResponse:
    """Tell who asks."""
    names = [
        x509.load_der_x509_certificate(each).subject.rfc4514_string().partition("=")[2]
        for each in wire.peer_chain
    ]
    channel = "direct" if wire.channel is not None else "no channel"
    words = f"{'+'.join(names) or 'nobody'} from {wire.peer_address}, {channel}"
    return WireResponse(status=200, media_type="text/plain", body=words.encode())


def pin(pki: TestPKI, name: str, *, key: bool = False) -> str:
    certificate = x509.load_pem_x509_certificate((pki.folder / f"{name}.pem").read_bytes())
    octets = (
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key
        else certificate.public_bytes(Encoding.DER)
    )
    return sha256(octets).hexdigest()


@contextmanager
def asking(
    pki: TestPKI,
    trust: ProxyTrust = NOBODY,
    *,
    certificate: str | None = None,
    unix: Path | None = None,
) -> Iterator[Asking]:
    with listening(tell, pki=None if unix else pki, trust=trust, unix=unix) as running:
        yield Asking(running, pki, certificate, unix)


BELIEVED = [
    ((), "nobody from 127.0.0.1, no channel"),
    (("Client-Cert:",), "nobody from 127.0.0.1, no channel"),
    ((f"Client-Cert: {OWN}",), "pump-1 from 127.0.0.1, no channel"),
    ((f"client-cert:   {OWN}\t",), "pump-1 from 127.0.0.1, no channel"),
    (
        (f"Client-Cert: {OWN}", f"Client-Cert-Chain: {CHAIN}, {OWN}"),
        "pump-1+issuing from 127.0.0.1, no channel",
    ),
    (("X-Forwarded-For: 203.0.113.9, 192.0.2.7",), "nobody from 192.0.2.7, no channel"),
    (
        ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.7"),
        "nobody from 192.0.2.7, no channel",
    ),
    (("X-Forwarded-For: unknown",), "nobody from 127.0.0.1, no channel"),
    (("Forwarded: for=203.0.113.9",), "nobody from 127.0.0.1, no channel"),
]
REFUSED_OF_ALL = {
    "underscore": (f"Client_Cert: {OWN}",),
    "underscores in the chain": (f"Client_Cert_Chain: {CHAIN}",),
    "half an underscore": (f"Client-Cert_Chain: {CHAIN}",),
    "another form's underscore": ("X_SSL_Client_Cert: x",),
    "an address with an underscore": ("X_Forwarded_For: 203.0.113.9",),
    "a space before the colon": (f"Client-Cert : {OWN}",),
    "folded": ("Client-Cert:", f" {OWN}"),
    "another form": ("X-SSL-Client-Cert: x",),
    "one more form": ("X-SSL-Client-DER: x",),
    "twice": (f"Client-Cert: {OWN}", f"Client-Cert: {OWN}"),
    "twice in other case": (f"Client-Cert: {OWN}", f"CLIENT-CERT: {CHAIN}"),
    "twice, once empty": ("Client-Cert:", f"Client-Cert: {OWN}"),
    "two chains": (
        f"Client-Cert: {OWN}",
        f"Client-Cert-Chain: {CHAIN}",
        f"Client-Cert-Chain: {CHAIN}",
    ),
    "a chain alone": (f"Client-Cert-Chain: {CHAIN}",),
    "a list": (f"Client-Cert: {OWN}, {OWN}",),
    "no byte sequence": ("Client-Cert: MIIB",),
    "broken base64": (f"Client-Cert: {OWN[:9]}!{OWN[9:]}",),
    "not a certificate": (f"Client-Cert: :{b64encode(b'certificate').decode()}:",),
    "a broken chain": (f"Client-Cert: {OWN}", "Client-Cert-Chain: x"),
}


@pytest.mark.parametrize("by_key", [False, True], ids=["certificate", "key"])
@pytest.mark.usefixtures("parser")
def test_security_T4_a_pinned_proxy_is_believed(pki: TestPKI, by_key: bool) -> None:  # noqa: FBT001 - a column
    pinned = frozenset({"00" * 32, pin(pki, "client", key=by_key)})

    with asking(pki, ProxyTrust(pinned=pinned, **RFC), certificate="client") as ask:  # type: ignore[arg-type]  # words
        for lines, told in BELIEVED:
            assert ask(*lines) == (200, told)


def test_security_T4_the_unix_socket_is_a_proxy_s(pki: TestPKI, tmp_path: Path) -> None:
    trust = ProxyTrust(over_unix=True, **RFC)  # type: ignore[arg-type]  # words

    with asking(pki, trust, unix=tmp_path / "socket") as ask:
        for lines, told in BELIEVED:
            assert ask(*lines) == (200, told.replace("127.0.0.1", "unix"))


@pytest.mark.usefixtures("parser")
def test_security_T4_a_proxy_that_does_not_speak_plainly_is_refused(pki: TestPKI) -> None:
    trust = ProxyTrust(pinned=frozenset({pin(pki, "client")}), **RFC)  # type: ignore[arg-type]  # words

    with asking(pki, trust, certificate="client") as ask:
        for what, lines in REFUSED_OF_ALL.items():
            status, words = ask(*lines)
            assert (status, "pump-1" in words) == (400, False), what


@pytest.mark.usefixtures("parser")
def test_security_T4_who_shows_a_certificate_and_sends_another_is_refused(pki: TestPKI) -> None:
    trust = ProxyTrust(pinned=frozenset({pin(pki, "stranger")}), **RFC)  # type: ignore[arg-type]  # words

    with asking(pki, trust, certificate="client") as ask:
        for what, lines in REFUSED_OF_ALL.items():
            assert ask(*lines)[0] == 400, what
        assert ask(f"Client-Cert: {OWN}")[0] == 400
        assert ask("Client-Cert:")[0] == 400
        assert ask("X-Forwarded-For: 203.0.113.9")[1].endswith("from 127.0.0.1, direct")


@pytest.mark.parametrize(
    "trust",
    [NOBODY, ProxyTrust(**RFC), ProxyTrust(pinned=frozenset({"00" * 32}), **RFC)],  # type: ignore[arg-type]  # words
    ids=["nobody", "nobody pinned", "another pinned"],
)
@pytest.mark.usefixtures("parser")
def test_security_T4_what_a_stranger_says_of_a_client_is_not_heard(
    pki: TestPKI, trust: ProxyTrust
) -> None:
    with asking(pki, trust) as ask:
        for lines, _ in BELIEVED:
            assert ask(*lines) == (200, "nobody from 127.0.0.1, direct")
        assert ask(f"Client_Cert: {OWN}")[0] == 400
        assert ask("X-SSL-Client-Cert: x", f"Client-Cert: {OWN}")[0] == 200


def test_security_T4_without_a_form_not_even_the_unix_socket_is_believed(
    pki: TestPKI, tmp_path: Path
) -> None:
    with asking(pki, ProxyTrust(over_unix=True), unix=tmp_path / "socket") as ask:
        assert ask(f"Client-Cert: {OWN}") == (200, "nobody from unix, no channel")


def test_one_connection_of_a_proxy_carries_many_clients(pki: TestPKI) -> None:
    trust = ProxyTrust(pinned=frozenset({pin(pki, "client")}), **RFC)  # type: ignore[arg-type]  # words
    others = f":{b64encode(ABOVE).decode()}:"

    with (
        listening(tell, pki=pki, trust=trust) as running,
        running.secure(pki.client("client")) as stream,
    ):
        told = []
        for line in (f"Client-Cert: {OWN}\r\n", "", f"Client-Cert: {others}\r\n"):
            stream.sendall(f"GET /echo HTTP/1.1\r\nHost: localhost\r\n{line}\r\n".encode())
            told.append(answer_from(stream).partition(b"\r\n\r\n")[2].split(b" ")[0])

    assert told == [b"pump-1", b"nobody", b"issuing"]
