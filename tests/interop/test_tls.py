"""TLS as it is offered: versions, suites, client certificates, resumption, renegotiation."""

import re
import ssl
import subprocess
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from protocols.wire import WireRequest, WireResponse
from tests.support.hello import (
    SSL_3_0,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    answer_to,
    client_hello,
)
from tests.support.listening import Listening, TestPKI, answer_from, echo, listening
from tests.support.openssl import program

GOOD = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
ECDHE_ECDSA_AES128_GCM = 0xC02B

# Suites that must never be agreed on (est-T3, RFC 7030 §3.2.3, §3.3.3, §6), by their IANA numbers.
FORBIDDEN = {
    "RSA_WITH_NULL_MD5": 0x0001,
    "RSA_WITH_NULL_SHA256": 0x003B,
    "ECDHE_ECDSA_WITH_NULL_SHA": 0xC006,
    "ECDHE_RSA_WITH_NULL_SHA": 0xC010,
    "DH_anon_WITH_AES_128_GCM_SHA256": 0x00A6,
    "DH_anon_EXPORT_WITH_RC4_40_MD5": 0x0017,
    "ECDH_anon_WITH_AES_128_CBC_SHA": 0xC018,
    "ECDH_anon_WITH_NULL_SHA": 0xC015,
    "RSA_EXPORT_WITH_RC4_40_MD5": 0x0003,
    "RSA_EXPORT_WITH_DES40_CBC_SHA": 0x0008,
    "RSA_WITH_DES_CBC_SHA": 0x0009,
    "DHE_RSA_WITH_DES_CBC_SHA": 0x0015,
    "RSA_WITH_3DES_EDE_CBC_SHA": 0x000A,
    "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA": 0xC008,
    "ECDHE_ECDSA_WITH_RC4_128_SHA": 0xC007,
    "PSK_WITH_AES_128_GCM_SHA256": 0x00A8,
    "PSK_WITH_AES_128_CBC_SHA": 0x008C,
    "DHE_PSK_WITH_AES_128_GCM_SHA256": 0x00AA,
    "ECDHE_PSK_WITH_AES_128_CBC_SHA256": 0xC037,
    "RSA_WITH_AES_128_CBC_SHA": 0x002F,
    "RSA_WITH_AES_128_GCM_SHA256": 0x009C,
    "ECDHE_ECDSA_WITH_AES_128_CBC_SHA": 0xC009,
    "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384": 0xC024,
    "DHE_RSA_WITH_AES_128_GCM_SHA256": 0x009E,
    "SRP_SHA_WITH_AES_128_CBC_SHA": 0xC01D,
    "KRB5_WITH_DES_CBC_SHA": 0x001E,
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def served(pki: TestPKI) -> Iterator[Listening]:
    with listening(pki=pki) as running:
        yield running


def s_client(served: Listening, pki: TestPKI, *options: str, say: bytes = b"") -> str:
    """Let openssl connect, say something, and tell what it saw."""
    done = subprocess.run(
        [
            *(program("openssl"), "s_client", "-connect", f"127.0.0.1:{served.port}"),
            *("-servername", "localhost", "-CAfile", str(pki.folder / "root.pem"), *options),
        ],
        input=say,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("version", [SSL_3_0, TLS_1_0, TLS_1_1])
def test_est_T1_a_version_before_1_2_gets_an_alert(served: Listening, version: int) -> None:
    with served.connect() as connection:
        answer = answer_to(connection, client_hello([ECDHE_ECDSA_AES128_GCM], version=version))

    assert answer == "protocol_version"


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_est_T1_openssl_cannot_speak_an_old_version(
    served: Listening, pki: TestPKI, version: str
) -> None:
    said = s_client(served, pki, version, "-cipher", "ALL:@SECLEVEL=0", say=GOOD)

    assert "alert protocol version" in said
    assert "HTTP/1.1" not in said


def test_est_T1_an_old_version_among_others_is_not_chosen(served: Listening) -> None:
    hello = client_hello([ECDHE_ECDSA_AES128_GCM], version=TLS_1_2, versions=[TLS_1_1, TLS_1_0])

    with served.connect() as connection:
        assert answer_to(connection, hello) == "protocol_version"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_est_T2_both_present_versions_are_spoken(
    served: Listening, pki: TestPKI, version: str
) -> None:
    said = s_client(served, pki, version, "-ign_eof", say=GOOD.replace(b"1.1", b"1.0"))

    assert "Verification: OK" in said
    assert "HTTP/1.1 200 OK" in said


@pytest.mark.parametrize("name", FORBIDDEN)
def test_est_T3_a_forbidden_suite_gets_an_alert(served: Listening, name: str) -> None:
    with served.connect() as connection:
        assert answer_to(connection, client_hello([FORBIDDEN[name]])) == "handshake_failure"


def test_est_T3_forbidden_suites_are_not_chosen_though_they_come_first(served: Listening) -> None:
    suites = [*FORBIDDEN.values(), ECDHE_ECDSA_AES128_GCM]

    with served.connect() as connection:
        assert answer_to(connection, client_hello(suites)) == "server hello"


def test_est_T3_every_suite_that_openssl_can_agree_on_is_ephemeral_and_authenticated(
    served: Listening, pki: TestPKI
) -> None:
    listed = subprocess.run(
        [program("openssl"), "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    agreed = set()
    for suite in listed.split(":"):
        said = s_client(served, pki, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
        if found := re.search(r"Cipher is (\S+)", said):
            agreed.add(found[1])

    assert agreed - {"(NONE)"} == {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    }


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "sent"), [(None, 0), ("client", 2), ("expired", 2), ("stranger", 1)]
)
def test_est_T5_T6_every_certificate_and_none_reaches_http(
    served: Listening, pki: TestPKI, version: ssl.TLSVersion, certificate: str | None, sent: int
) -> None:
    context = pki.client(certificate)
    context.maximum_version = version

    with served.secure(context) as connection:
        connection.sendall(GOOD)
        answer = answer_from(connection)

    assert answer.endswith(b"GET  0 %d None\n" % sent)


def test_the_chain_that_a_client_sends_is_seen_as_sent(pki: TestPKI) -> None:
    chains = []

    async def note(wire: WireRequest) -> WireResponse:
        chains.append(wire.peer_chain)
        return await echo(wire)

    with listening(note, pki=pki) as running, running.secure(pki.client("client")) as connection:
        for _ in range(2):
            connection.sendall(GOOD)
            answer_from(connection)

    pem = (pki.folder / "client.pem").read_text()
    certificates = re.findall(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL
    )
    assert chains == [tuple(ssl.PEM_cert_to_DER_cert(each) for each in certificates)] * 2


def test_est_T18_the_server_shows_its_certificate_with_the_issuing_CA(
    served: Listening, pki: TestPKI
) -> None:
    said = s_client(served, pki, "-showcerts")

    assert said.count("-----BEGIN CERTIFICATE-----") >= 2
    assert "Verification: OK" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("tickets", [(), ("-no_ticket",)], ids=["ticket", "session id"])
def test_est_T20_sessions_are_not_resumed(
    served: Listening, pki: TestPKI, version: str, tickets: tuple[str, ...]
) -> None:
    said = s_client(served, pki, version, "-reconnect", *tickets)

    handshakes = re.findall(r"^(New|Reused), ", said, re.MULTILINE)
    assert len(handshakes) >= 6
    assert set(handshakes) == {"New"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_est_T20_a_client_that_offers_its_session_is_asked_for_everything_again(
    served: Listening, pki: TestPKI, version: ssl.TLSVersion
) -> None:
    context = pki.client("client")
    context.maximum_version = version
    with served.secure(context) as connection:
        connection.sendall(GOOD)
        answer_from(connection)
        session = connection.session

    again = context.wrap_socket(served.connect(), server_hostname="localhost", session=session)
    with again:
        again.sendall(GOOD)
        assert answer_from(again).endswith(b"GET  0 2 None\n")
        assert not again.session_reused


def test_est_T21_renegotiation_is_refused(served: Listening) -> None:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    with served.connect() as plain:
        client = SSL.Connection(context, plain)
        client.set_tlsext_host_name(b"localhost")
        client.set_connect_state()
        plain.settimeout(None)
        client.do_handshake()
        client.send(GOOD)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")

        assert client.renegotiate()
        with pytest.raises(SSL.Error, match="no renegotiation"):
            client.do_handshake()


def test_est_T21_openssl_cannot_renegotiate(served: Listening, pki: TestPKI) -> None:
    said = s_client(served, pki, "-tls1_2", say=b"R\n" + GOOD)

    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
    assert "HTTP/1.1" not in said


def test_http_on_the_tls_port_is_no_request(pki: TestPKI) -> None:
    with listening(pki=pki) as running:
        answer = running.exchange(GOOD)

    assert b"HTTP/1.1" not in answer
    assert running.failed_handshakes == ["http request"]


def test_a_failed_handshake_is_told_once_with_its_reason(pki: TestPKI) -> None:
    with listening(pki=pki) as running, running.connect() as connection:
        answer_to(connection, client_hello([FORBIDDEN["RSA_WITH_NULL_MD5"]]))
        assert connection.recv(1) == b""

    assert running.failed_handshakes == ["no shared cipher"]


def test_no_compression_and_secure_renegotiation_are_announced(
    served: Listening, pki: TestPKI
) -> None:
    said = s_client(served, pki, "-tls1_2")

    assert "Compression: NONE" in said
    assert "Secure Renegotiation IS supported" in said
    assert "Extended master secret: yes" in said


def test_a_change_of_keys_is_followed(served: Listening, pki: TestPKI) -> None:
    with subprocess.Popen(
        [
            *(program("openssl"), "s_client", "-tls1_3", "-connect", f"127.0.0.1:{served.port}"),
            *("-servername", "localhost", "-CAfile", str(pki.folder / "root.pem")),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        for _ in range(3):
            # openssl takes a letter for a command if it comes by itself: so each is waited for.
            client.stdin.write(b"K\n")
            client.stdin.flush()
            while client.stderr.readline() not in {b"KEYUPDATE\n", b""}:
                pass
        client.stdin.write(GOOD.replace(b"1.1", b"1.0"))
        client.stdin.flush()
        seen = client.stdout.read()

    assert b"HTTP/1.1 200 OK" in seen
