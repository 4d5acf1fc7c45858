from base64 import b64encode, encodebytes
from hashlib import sha256

import pytest

from enroll.failures import EnrollmentError, FailureReason
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.limits import DERLimits
from protocols.wire import ProtocolViolation
from tests.support.csr import a_csr, a_key, a_name, attribute, raw_csr, tlv
from tests.support.wire import FixedLabels, a_certificate, a_wire

# Of a length that makes two characters of padding, which the broken bodies below rely on.
DER = next(
    der
    for der in (a_csr(a_key("ed25519"), subject=a_name("x" * length)) for length in range(1, 9))
    if len(der) % 3 == 1
)
BASE64 = b64encode(DER)
LINES = encodebytes(DER)


def received(body: bytes, headers: dict[str, str] | None = None) -> str:
    wire = a_wire(body=body, headers=headers or {"Content-Type": "application/pkcs10"})
    exchange = ESTHandler(FixedLabels()).receive(wire)
    assert isinstance(exchange, ESTExchange)
    return exchange.request.certificate_request.der_sha256


def pem(label: str, content: bytes = LINES) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        content,
        label.encode(),
    )


@pytest.mark.parametrize(
    "body",
    [
        BASE64,
        BASE64 + b"\n",
        LINES,
        LINES.replace(b"\n", b"\r\n"),
        b"  \t" + LINES.replace(b"\n", b" \t\r\n") + b"\r\n\r\n",
        b" ".join(bytes([octet]) for octet in BASE64),
    ],
)
def test_est_H5_base64_is_read_with_white_space_anywhere(body: bytes) -> None:
    assert received(body) == sha256(DER).hexdigest()


@pytest.mark.parametrize("encoding", ["base64", "binary", "8bit", "nonsense"])
def test_est_H5_the_transfer_encoding_is_ignored(encoding: str) -> None:
    headers = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": encoding}

    assert received(BASE64, headers) == received(DER, headers)


@pytest.mark.parametrize(
    "body",
    [
        DER,
        pem("CERTIFICATE REQUEST"),
        pem("NEW CERTIFICATE REQUEST"),
        pem("CERTIFICATE REQUEST").replace(b"\n", b"\r\n"),
        pem("CERTIFICATE REQUEST", BASE64),
        b"Certificate Request:\n    Data:\n" + pem("CERTIFICATE REQUEST"),
    ],
)
def test_est_H6_der_and_pem_are_read_too(body: bytes) -> None:
    assert received(body) == sha256(DER).hexdigest()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"hello",
        BASE64[:-1],
        BASE64.rstrip(b"=") + b"=",
        BASE64 + b"=",
        BASE64 + b"AAAA",
        b"=" + BASE64,
        BASE64.replace(b"M", b"*", 1),
        BASE64.replace(b"M", b"\0M", 1),
        BASE64 + BASE64,
        b"\xff" + DER,
        DER + b"\n",
        b64encode(BASE64),
        b"csr=" + BASE64,
        pem("CERTIFICATE"),
        pem("CERTIFICATE", encodebytes(a_certificate())),
        pem("PRIVATE KEY"),
        pem("CERTIFICATE REQUEST", b""),
        pem("CERTIFICATE REQUEST") * 2,
        pem("CERTIFICATE REQUEST").partition(b"-----END")[0],
        b"-----BEGIN CERTIFICATE REQUEST",
        b"-----BEGIN -----",
        b64encode(a_certificate()),
    ],
)
def test_est_H5_H6_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(EnrollmentError) as caught:
        received(body)

    assert caught.value.reason is FailureReason.MALFORMED_REQUEST


def test_est_H15_ber_inside_base64_is_malformed() -> None:
    with pytest.raises(EnrollmentError) as caught:
        received(b64encode(b"\x30\x80" + raw_csr()[3:] + b"\0\0"))

    assert caught.value.finding == "not_der"


@pytest.mark.parametrize(
    "media_type",
    ["application/pkcs10", "Application/PKCS10", "application/pkcs10 ; charset=utf-8; a=b"],
)
def test_est_H7_case_and_parameters_of_the_media_type_do_not_matter(media_type: str) -> None:
    assert received(BASE64, {"Content-Type": media_type})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/pkcs10x"},
        {"Content-Type": "application/pkcs7-mime"},
    ],
)
def test_est_H7_other_media_types_are_not_supported(headers: dict[str, str]) -> None:
    wire = a_wire(headers=headers)

    with pytest.raises(ProtocolViolation) as caught:
        ESTHandler(FixedLabels()).receive(wire)

    assert caught.value.finding == "unsupported_media_type"
    assert caught.value.response.status == 415


def test_est_H10_a_larger_request_needs_wider_limits() -> None:
    large = raw_csr(attribute("2a0304", tlv(0x04, bytes(70_000))))
    wire = a_wire(body=b64encode(large))

    with pytest.raises(EnrollmentError):
        ESTHandler(FixedLabels()).receive(wire)
    wide = ESTHandler(FixedLabels(), limits=DERLimits(octets=100_000))
    assert isinstance(wide.receive(wire), ESTExchange)
