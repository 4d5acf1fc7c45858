from base64 import b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization

from enroll.credentials import Credential, HTTPBasic, TLSClientCertificate
from enroll.failures import EnrollmentError, FailureReason
from enroll.profiles import ProtocolName
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.wire import WireRequest
from tests.support.fakes import START
from tests.support.wire import PKCS10_HEADERS, FixedLabels, a_certificate, a_wire, basic

LEAF = a_certificate("pump-1")
ABOVE = a_certificate("issuing")


def handler() -> ESTHandler:
    return ESTHandler(FixedLabels())


def credentials(wire: WireRequest) -> tuple[Credential, ...]:
    exchange = handler().receive(wire)
    assert isinstance(exchange, ESTExchange)
    return exchange.request.credentials


def authorization(value: str) -> dict[str, str]:
    return {**PKCS10_HEADERS, "Authorization": value}


def encoded(pair: bytes) -> str:
    return b64encode(pair).decode()


@pytest.mark.parametrize(
    ("username", "password"),
    [("pump-1", "AAAA-BBBB"), ("pump-1", "a:b:c"), ("p\xfcmp", "\u0440"), ("", ""), ("a b", " ")],
)
def test_est_T8_basic_credentials_are_read_as_utf_8(username: str, password: str) -> None:
    wire = a_wire(headers=basic(username, password))

    assert credentials(wire) == (HTTPBasic(username=username, password=password),)


@pytest.mark.parametrize("scheme", ["basic", "BASIC", " Basic ", "Basic  "])
def test_est_T8_the_scheme_s_case_and_spaces_do_not_matter(scheme: str) -> None:
    wire = a_wire(headers=authorization(f"{scheme} {encoded(b'a:b')}"))

    assert credentials(wire) == (HTTPBasic(username="a", password="b"),)


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic !",
        "Basic \u0440",
        f"Basic {encoded(b'no colon')}",
        f"Basic {encoded(b'a:b')[:-1]}",
        f"Basic {encoded(bytes([0xFF]) + b':b')}",
        f"Basic {encoded(b'a:b' + bytes(1))}",
        f"Basic {encoded(b'a' + bytes([10]) + b':b')}",
    ],
)
def test_est_T8_broken_basic_credentials_are_none_but_were_shown(value: str) -> None:
    wire = a_wire(headers=authorization(value))
    exchange = handler().receive(wire)

    assert isinstance(exchange, ESTExchange)
    assert exchange.request.credentials == ()
    assert exchange.authorization_shown
    assert exchange.request.origin.credentials_shown == ("http_basic",)


@pytest.mark.parametrize("value", ["", "Bearer abc", "Digests a=b", "Basics YTpi"])
def test_est_T8_other_schemes_are_passed_over(value: str) -> None:
    wire = a_wire(headers=authorization(value))
    exchange = handler().receive(wire)

    assert isinstance(exchange, ESTExchange)
    assert exchange.request.credentials == ()
    assert not exchange.authorization_shown
    assert exchange.request.origin.credentials_shown == ()


def test_the_password_is_in_no_representation() -> None:
    exchange = handler().receive(a_wire(headers=basic("pump-1", "very-secret")))

    assert "very-secret" not in repr(exchange)


def test_the_client_s_chain_is_a_credential() -> None:
    (credential,) = credentials(a_wire(peer_chain=(LEAF, ABOVE)))

    assert isinstance(credential, TLSClientCertificate)
    chain = [each.public_bytes(serialization.Encoding.DER) for each in credential.chain]
    assert chain == [LEAF, ABOVE]


def test_basic_and_certificate_are_both_carried() -> None:
    shown = credentials(a_wire(headers=basic("a", "b"), peer_chain=(LEAF,)))

    assert [type(each) for each in shown] == [HTTPBasic, TLSClientCertificate]


@pytest.mark.parametrize("unreadable", [b"", b"\x30\x00", LEAF[:-1], LEAF + b"\0"])
def test_a_client_certificate_that_cannot_be_read_is_not_trusted(unreadable: bytes) -> None:
    with pytest.raises(EnrollmentError) as caught:
        handler().receive(a_wire(peer_chain=(unreadable,)))

    assert caught.value.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_a_certificate_that_cannot_be_read_does_not_spoil_a_code() -> None:
    shown = credentials(a_wire(headers=basic("a", "b"), peer_chain=(b"\x30\x00",)))

    assert shown == (HTTPBasic(username="a", password="b"),)


def test_of_the_certificates_above_those_that_can_be_read_are_kept() -> None:
    (credential,) = credentials(a_wire(peer_chain=(LEAF, b"\x30\x00", ABOVE)))

    assert isinstance(credential, TLSClientCertificate)
    assert len(credential.chain) == 2


def test_a_long_chain_is_cut() -> None:
    (credential,) = credentials(a_wire(peer_chain=(LEAF,) + (ABOVE,) * 99))

    assert isinstance(credential, TLSClientCertificate)
    assert len(credential.chain) == 10


def test_the_origin_says_where_a_request_came_from() -> None:
    wire = a_wire("operational/simplereenroll", headers=basic("a", "b"), peer_chain=(LEAF, ABOVE))

    origin = handler().origin(wire)

    assert origin.protocol is ProtocolName.EST
    assert (origin.profile, origin.operation) == ("operational", "simplereenroll")
    assert (origin.correlation_id, origin.peer_address) == ("c0ffee", "192.0.2.7")
    assert origin.received_at == START
    assert origin.client_certificate_sha256 == sha256(LEAF).hexdigest()
    assert origin.credentials_shown == ("http_basic", "client_certificate")
    exchange = handler().receive(wire)
    assert isinstance(exchange, ESTExchange)
    assert exchange.request.origin == origin


@pytest.mark.parametrize(
    ("path", "profile", "operation"),
    [
        ("", None, ""),
        ("///", None, ""),
        ("a%00b/simple%0aenroll", "a\ufffdb", "simple\ufffdenroll"),
        ("a/b/c", "a/b", "c"),
        ("x" * 1_000 + "/" + "y" * 1_000, "x" * 64, "y" * 64),
    ],
)
def test_the_origin_of_any_path_is_fit_for_a_record(
    path: str, profile: str | None, operation: str
) -> None:
    origin = handler().origin(a_wire(path, body=b"junk"))

    assert (origin.profile, origin.operation) == (profile, operation)
