"""What is sent to a decision webhook, and which answers are taken from one."""

import base64
import json

import pytest

from enroll.failures import AuthorityUnavailable
from server.clock import SystemClock
from server.webhooks import (
    MAXIMUM_ANSWER,
    WebhookFailed,
    Webhooks,
    decode_answer,
    encode_question,
    signed_headers,
)
from tests.support.openssl import openssl
from tests.support.questions import QUESTION

SETTABLE = frozenset({"site", "bad key", "owner"})
NO_DECISION = {
    b"": "not one JSON document",
    b"yes": "not one JSON document",
    b"\xff\xfe": "not one JSON document",
    b'{"decision": "allow"} {}': "not one JSON document",
    b'{"decision": "deny", "decision": "allow"}': "not one JSON document",
    b"[" * MAXIMUM_ANSWER: "not one JSON document",
    b'"allow"': "cannot be read",
    b"null": "cannot be read",
    b"[]": "cannot be read",
    b"{}": "decision: Field required",
    b'{"decision": null}': "cannot be read",
    b'{"decision": true}': "cannot be read",
    b'{"decision": "ALLOW"}': "cannot be read",
    b'{"decision": "maybe"}': "cannot be read",
    b'{"allow": true}': "cannot be read",
    b'{"decision": "allow", "subject": "CN=root"}': "subject: Extra inputs",
    b'{"decision": "allow", "attributes": {"site": "x"}}': "only with it",
    b'{"decision": "deny", "attributes": {"site": "x"}}': "only with it",
    b'{"decision": "enrich"}': "only with it",
    b'{"decision": "enrich", "attributes": {}}': "only with it",
    b'{"decision": "enrich", "attributes": {"site": 7}}': "cannot be read",
    b'{"decision": "enrich", "attributes": {"site": null}}': "cannot be read",
    b'{"decision": "enrich", "attributes": ["site"]}': "cannot be read",
    b'{"decision": "enrich", "attributes": {"name": "pump-2"}}': "not one that this webhook may",
    b'{"decision": "enrich", "attributes": {"bad key": "x"}}': "a key is 1 to 64 letters",
    b'{"decision": "enrich", "attributes": {"site": "a\\nb"}}': "no control character",
    b'{"decision": "enrich", "attributes": {"site": "\\ud800"}}': "no control character",
    b'{"decision": "enrich", "attributes": {"site": "%s"}}' % (b"x" * 1025): "at most 1024",
}


@pytest.mark.parametrize(
    ("body", "expected"),
    NO_DECISION.items(),
    ids=[each[:60].decode("latin-1") for each in NO_DECISION],
)
def test_lifecycle_SM12_what_is_no_answer_decides_nothing(body: bytes, expected: str) -> None:
    with pytest.raises(WebhookFailed) as fault:
        decode_answer(body, SETTABLE)

    assert expected in str(fault.value)


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        (b'{"decision": "allow"}', "allow"),
        (b'{"decision": "allow", "reason": "ticket 7"}', "allow"),
        (b'{"decision": "deny", "reason": "stolen"}', "deny"),
        (b'{"decision": "enrich", "attributes": {"site": "Malm\xc3\xb6"}}', "enrich"),
    ],
)
def test_lifecycle_SM12_the_three_answers_are_taken(body: bytes, decision: str) -> None:
    answer = decode_answer(body, SETTABLE)

    assert answer.decision == decision
    assert dict(answer.attributes) == ({"site": "Malmö"} if decision == "enrich" else {})


def test_the_document_says_what_the_manual_promises() -> None:
    document = json.loads(encode_question(QUESTION))

    assert document == {
        "type": "enrollment.decision",
        "correlation_id": "00c0ffee00c0ffee",
        "protocol": "scep",
        "operation": "initial",
        "profile": "bootstrap",
        "device": {
            "id": "0198",
            "name": "pump-1",
            "serial_number": None,
            "group": "default",
            "attributes": {"site": "Malmö"},
        },
        "request": {
            "subject": "CN=pump-1",
            "subject_alternative_names": ["dns:pump-1.example"],
            "spki_sha256": "ab" * 32,
            "key_algorithm": "p-256",
        },
        "credential": "one_time_code",
        "registration_authority": None,
        "peer_address": "192.0.2.7",
    }


def test_the_signature_is_what_openssl_makes_of_id_timestamp_and_body() -> None:
    key = bytes(range(32))

    headers = signed_headers(key, b'{"a": 1}', 1_700_000_000)

    given = f"{headers['webhook-id']}.1700000000.".encode() + b'{"a": 1}'
    made = openssl(
        *("dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"),
        given=given,
    )
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(made).decode()}"
    assert headers["webhook-timestamp"] == "1700000000"


def test_no_two_questions_have_one_id() -> None:
    ids = {signed_headers(bytes(32), b"", 0)["webhook-id"] for _ in range(100)}

    assert len(ids) == 100


async def test_a_webhook_that_is_not_configured_lets_nothing_through() -> None:
    webhooks = Webhooks({}, SystemClock())

    with pytest.raises(AuthorityUnavailable) as fault:
        await webhooks.rule(QUESTION)

    assert fault.value.finding == "webhook_unknown"
    assert "[webhooks.inventory]" in fault.value.detail
