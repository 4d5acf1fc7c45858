"""Answers of the CMP codec, taken by `openssl cmp`, which judges nonces and protection."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protocols import pkcs10
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.encode import (
    ACCEPTED,
    MEDIA_TYPE,
    CertResponse,
    answer_header,
    directory_name,
    encode_cert_responses,
    encode_certificates,
    encode_error,
    encode_general_response,
    encode_message,
    encode_pki_confirm,
    encode_poll_response,
    encode_revocation_response,
)
from protocols.cmp.messages import (
    CA_CERTS,
    BodyType,
    CertConfirmContent,
    CertificationRequest,
    CertReqMessages,
    FailInfo,
    InfoTypeAndValue,
    PKIMessage,
    PKIStatus,
    PKIStatusInfo,
    RevReqContent,
)
from protocols.cmp.protection import (
    Protection,
    Signer,
    derive_mac_key,
    is_mac,
    mac_holds,
    verify_signature,
)
from protocols.crmf.request import to_certificate_request
from tests.support.cmp import SECRET, check_form
from tests.support.csr import a_name
from tests.support.openssl import program

pytestmark = pytest.mark.interop
SECONDS = 30
WAITING = PKIStatusInfo(status=PKIStatus.WAITING, texts=("a person decides",))
BY_MAC = ("-ref", "pump-1", "-secret", f"pass:{SECRET.decode()}")


@dataclass
class Authority:
    """A certification authority of one key, which answers what it is told to by body type."""

    directory: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    device_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    seen: list[PKIMessage] = field(default_factory=list)
    issued: bytes = b""
    waits: int = 0
    refuses: PKIStatusInfo | None = None

    def __post_init__(self) -> None:
        self.root = self.certificate("root", self.key.public_key(), ca=True)
        self.signer = Signer.holding(self.root, self.key)
        device = self.certificate("pump-1", self.device_key.public_key())
        pem = serialization.Encoding.PEM
        (self.directory / "root.pem").write_bytes(self.root.public_bytes(pem))
        (self.directory / "device.pem").write_bytes(device.public_bytes(pem))
        private = self.device_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.directory / "device.key").write_bytes(private)
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(a_name())
            .sign(self.device_key, hashes.SHA256())
        )
        (self.directory / "device.csr").write_bytes(request.public_bytes(pem))

    def certificate(
        self, name: str, key: ec.EllipticCurvePublicKey, *, ca: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(a_name(name)).issuer_name(a_name("root"))
        builder = builder.serial_number(x509.random_serial_number()).public_key(key)
        builder = builder.not_valid_before(now - timedelta(hours=1))
        builder = builder.not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        )
        return builder.sign(self.key, hashes.SHA256())

    def answer(self, octets: bytes) -> bytes:
        message = decode(octets)
        self.seen.append(message)
        implicit = message.header.implicit_confirm
        header = answer_header(
            message.header,
            sender=directory_name(self.root.subject.public_bytes()),
            sender_kid=message.header.sender_kid if is_mac(message) else self.signer.key_identifier,
            now=datetime.now(UTC),
            implicit_confirm=implicit,
        )
        protection, certificates = self.protection(message)
        made = encode_message(
            header,
            encode_error(self.refuses) if self.refuses else self.body(message),
            protection,
            certificates,
        )
        check_form(made)
        return made

    def protection(self, message: PKIMessage) -> tuple[Protection, tuple[bytes, ...]]:
        if is_mac(message):
            key = derive_mac_key(message, SECRET)
            assert mac_holds(message, key)
            return key, ()
        verify_signature(message, x509.load_der_x509_certificate(message.extra_certs[0]))
        return self.signer, self.signer.extra_certs

    def body(self, message: PKIMessage) -> bytes:
        match message.body_type:
            case BodyType.CERT_CONF:
                return encode_pki_confirm()
            case BodyType.POLL_REQ:
                self.waits -= 1
                first = self.seen[0]
                return encode_poll_response([0], 1) if self.waits else self.certificates(first)
            case BodyType.RR:
                return encode_revocation_response([ACCEPTED])
            case BodyType.GENM:
                root = self.root.public_bytes(serialization.Encoding.DER)
                info = InfoTypeAndValue(info_type=CA_CERTS, info_value=encode_certificates([root]))
                return encode_general_response([info])
            case _:
                return self.certificates(message)

    def certificates(self, message: PKIMessage) -> bytes:
        answers = {BodyType.IR: BodyType.IP, BodyType.KUR: BodyType.KUP}
        body_type = answers.get(message.body_type, BodyType.CP)
        body = decode_body(message)
        number = 0
        if isinstance(body, CertificationRequest):
            request, number = pkcs10.decode(body.der), -1
        else:
            assert isinstance(body, CertReqMessages)
            request = to_certificate_request(body.messages[0])
        if self.waits and message is self.seen[-1]:
            return encode_cert_responses(
                body_type, [CertResponse(cert_req_id=number, status=WAITING)]
            )
        assert isinstance(request.public_key, ec.EllipticCurvePublicKey)
        self.issued = self.certificate("pump-1", request.public_key).public_bytes(
            serialization.Encoding.DER
        )
        response = CertResponse(cert_req_id=number, status=ACCEPTED, certificate=self.issued)
        pubs = [self.root.public_bytes(serialization.Encoding.DER)]
        return encode_cert_responses(
            body_type, [response], pubs if body_type is BodyType.IP else ()
        )

    def certificate_was_confirmed(self) -> bool:
        """Tell whether the client's certConf is for the certificate that was issued."""
        confirmation = decode_body(self.seen[-1])
        assert isinstance(confirmation, CertConfirmContent)
        (status,) = confirmation.statuses
        return status.cert_hash == sha256(self.issued).digest()


@contextmanager
def listening(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """Serve CMP over HTTP; give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            made = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(made)))
            self.end_headers()
            self.wfile.write(made)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def cmp(authority: Authority, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `openssl cmp` against the authority."""
    with listening(authority.answer) as address:
        return subprocess.run(
            [
                *(program("openssl"), "cmp", "-server", address, "-path", ".well-known/cmp"),
                *("-recipient", "/CN=root", "-total_timeout", str(SECONDS), *words),
            ],
            cwd=authority.directory,
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )


BY_SIGNATURE = ("-cert", "device.pem", "-key", "device.key", "-trusted", "root.pem")
NEW_KEY = ("-newkey", "device.key", "-subject", "/CN=pump-1", "-certout", "new.pem")


def got(authority: Authority) -> bytes:
    """Give the certificate that the client wrote."""
    pem = (authority.directory / "new.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("protection", [BY_MAC, BY_SIGNATURE], ids=["mac", "signature"])
def test_cmp_E1_an_error_is_understood_with_its_reason(
    authority: Authority, protection: tuple[str, ...]
) -> None:
    authority.refuses = PKIStatusInfo(
        status=PKIStatus.REJECTION,
        texts=("the reason of it",),
        fail_info=frozenset({FailInfo.TRANSACTION_ID_IN_USE}),
    )

    done = cmp(authority, "-cmd", "cr", *protection, *NEW_KEY)

    assert done.returncode != 0
    assert "transactionIdInUse" in done.stdout
    assert "the reason of it" in done.stdout


def test_an_initial_request_by_mac_is_answered_and_confirmed(authority: Authority) -> None:
    done = cmp(
        authority,
        "-cmd",
        "ir",
        *BY_MAC,
        *NEW_KEY,
        "-cacertsout",
        "pubs.pem",
        "-trusted",
        "root.pem",
    )

    assert done.returncode == 0, done.stderr
    assert got(authority) == authority.issued
    assert (authority.directory / "pubs.pem").read_bytes()
    assert [each.body_type for each in authority.seen] == [BodyType.IR, BodyType.CERT_CONF]
    assert authority.certificate_was_confirmed()


@pytest.mark.parametrize(
    "how", [("-mac", "hmacWithSHA256"), ("-digest", "sha512", "-mac", "hmacWithSHA512")]
)
def test_cmp_P2_other_functions_of_pbm_serve_both_ways(
    authority: Authority, how: tuple[str, ...]
) -> None:
    done = cmp(authority, "-cmd", "ir", *BY_MAC, *how, *NEW_KEY, "-implicit_confirm")

    assert done.returncode == 0, done.stderr
    assert len(authority.seen) == 1
    assert got(authority) == authority.issued


@pytest.mark.parametrize("command", ["cr", "kur"])
def test_a_request_by_signature_is_answered(authority: Authority, command: str) -> None:
    done = cmp(authority, "-cmd", command, *BY_SIGNATURE, *NEW_KEY)

    assert done.returncode == 0, done.stderr
    assert got(authority) == authority.issued
    assert authority.certificate_was_confirmed()


def test_a_pkcs10_request_is_answered_under_the_number_minus_one(authority: Authority) -> None:
    done = cmp(authority, "-cmd", "p10cr", *BY_MAC, "-csr", "device.csr", "-certout", "new.pem")

    assert done.returncode == 0, done.stderr
    confirmation = decode_body(authority.seen[-1])
    assert isinstance(confirmation, CertConfirmContent)
    assert confirmation.statuses[0].cert_req_id == -1


def test_a_client_that_has_to_wait_polls(authority: Authority) -> None:
    authority.waits = 2

    done = cmp(authority, "-cmd", "ir", *BY_MAC, *NEW_KEY)

    assert done.returncode == 0, done.stderr
    assert [each.body_type.name for each in authority.seen] == [
        *("IR", "POLL_REQ", "POLL_REQ", "CERT_CONF")
    ]


def test_a_revocation_is_answered(authority: Authority) -> None:
    done = cmp(authority, "-cmd", "rr", *BY_SIGNATURE, "-oldcert", "device.pem", "-revreason", "4")

    assert done.returncode == 0, done.stderr
    body = decode_body(authority.seen[0])
    assert isinstance(body, RevReqContent)
    assert body.details[0].reasons == (b"\x0a\x01\x04",)


def test_a_general_message_is_answered(authority: Authority) -> None:
    done = cmp(authority, "-cmd", "genm", *BY_MAC, "-infotype", "caCerts")

    assert done.returncode == 0, done.stderr
    assert "caCerts" in done.stdout
