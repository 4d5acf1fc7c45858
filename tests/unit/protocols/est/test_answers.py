import subprocess
from base64 import b64decode
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from enroll.result import Pending
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.wire import WireResponse
from tests.support.wire import PKCS10_HEADERS, FixedLabels, a_certificate, a_wire, an_issued

WITH_AGENT = {**PKCS10_HEADERS, "User-Agent": "curl/7.88"}
CAS = (a_certificate("root"), a_certificate("issuing"))


def issued(headers: dict[str, str]) -> WireResponse:
    exchange = ESTHandler(FixedLabels()).receive(a_wire(headers=headers))
    assert isinstance(exchange, ESTExchange)
    return exchange.respond(an_issued())


def ca_certificates(handler: ESTHandler, path: str = "cacerts", **headers: str) -> WireResponse:
    answer = handler.receive(a_wire(path, method="GET", body=b"", headers=headers))
    assert isinstance(answer, WireResponse)
    return answer


def certificates_in(body: bytes) -> set[bytes]:
    found = pkcs7.load_der_pkcs7_certificates(b64decode(body))
    return {each.public_bytes(serialization.Encoding.DER) for each in found}


def test_est_E2_the_answer_holds_the_issued_certificate_and_no_other() -> None:
    answer = issued(WITH_AGENT)

    assert answer.status == 200
    assert answer.media_type == "application/pkcs7-mime; smime-type=certs-only"
    assert ("Content-Transfer-Encoding", "base64") in answer.headers
    assert certificates_in(answer.body) == {a_certificate()}


def test_est_E5_a_repeated_answer_is_the_same_answer() -> None:
    exchange = ESTHandler(FixedLabels()).receive(a_wire())
    assert isinstance(exchange, ESTExchange)

    first = exchange.respond(an_issued())

    assert exchange.respond(replace(an_issued(), repeated=True)) == first


def test_est_E4_a_request_that_waits_is_answered_202_with_seconds_and_nothing_else() -> None:
    exchange = ESTHandler(FixedLabels()).receive(a_wire())
    assert isinstance(exchange, ESTExchange)

    answer = exchange.respond(Pending(order_id="an order", retry_after=90))

    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers == (("Retry-After", "90"),)
    assert answer.media_type.startswith("text/plain")


def test_est_H8_a_client_with_a_user_agent_gets_lines_of_64() -> None:
    *lines, last, nothing = issued(WITH_AGENT).body.split(b"\n")

    assert {len(line) for line in lines} == {64}
    assert 0 < len(last) <= 64
    assert nothing == b""


def test_est_H8_a_client_without_gets_one_line_and_a_newline() -> None:
    body = issued(dict(PKCS10_HEADERS)).body

    assert body.count(b"\n") == 1
    assert body.endswith(b"\n")
    assert body.replace(b"\n", b"") == issued(WITH_AGENT).body.replace(b"\n", b"")


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 96, 97])
def test_est_H8_there_is_never_an_empty_line(length: int) -> None:
    handler = ESTHandler(FixedLabels(certificates=(bytes(length),)))

    body = ca_certificates(handler, **{"User-Agent": "a"}).body

    assert b"\n\n" not in body
    assert body.endswith(b"\n")


def test_openssl_reads_the_answer() -> None:
    body = b64decode(issued(WITH_AGENT).body)
    printed = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs"],
        input=body,
        capture_output=True,
        check=True,
    ).stdout

    (found,) = x509.load_pem_x509_certificates(printed)
    assert found.public_bytes(serialization.Encoding.DER) == a_certificate()


@pytest.mark.parametrize("path", ["cacerts", "operational/cacerts", "/cacerts/"])
def test_est_C1_all_ca_certificates_are_given_to_anybody(path: str) -> None:
    answer = ca_certificates(ESTHandler(FixedLabels(certificates=CAS)), path)

    assert (answer.status, answer.media_type) == (200, "application/pkcs7-mime")
    assert ("Content-Transfer-Encoding", "base64") in answer.headers
    assert certificates_in(answer.body) == set(CAS)


def test_est_H4_head_is_answered_as_get_is() -> None:
    handler = ESTHandler(FixedLabels())

    head = handler.receive(a_wire("cacerts", method="HEAD", headers={}))

    assert head == ca_certificates(handler)


def test_est_C3_the_answer_can_be_cached_and_asked_for_again() -> None:
    handler = ESTHandler(FixedLabels())
    headers = dict(ca_certificates(handler).headers)

    tag = headers["ETag"]
    assert headers["Cache-Control"].startswith("public, max-age=")
    assert headers["Vary"] == "User-Agent"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ca_certificates(handler, **{"If-None-Match": known})
        assert (again.status, again.body, dict(again.headers)["ETag"]) == (304, b"", tag)
    assert ca_certificates(handler, **{"If-None-Match": '"other"'}).status == 200
    assert ca_certificates(handler, **{"If-None-Match": ""}).status == 200


def test_est_C3_each_layout_has_its_own_tag() -> None:
    handler = ESTHandler(FixedLabels())

    one_line = ca_certificates(handler)
    lines = ca_certificates(handler, **{"User-Agent": "a"})

    assert dict(one_line.headers)["ETag"] != dict(lines.headers)["ETag"]


def test_est_C2_a_rollover_is_seen_at_once() -> None:
    labels = FixedLabels(certificates=CAS[:1])
    handler = ESTHandler(labels)
    before = ca_certificates(handler)
    assert ca_certificates(handler) is before

    labels.certificates = CAS
    after = ca_certificates(handler, **{"If-None-Match": dict(before.headers)["ETag"]})

    assert after.status == 200
    assert certificates_in(after.body) == set(CAS)
