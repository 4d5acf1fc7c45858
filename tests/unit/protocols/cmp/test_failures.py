"""How CMP words failures: a bit and a sentence for each, and HTTP where no message can be."""

import pytest

from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.cmp.failures import (
    FAILURES,
    encode_http,
    method_not_allowed,
    transport_fault,
    unknown_path,
    unknown_profile,
    unreadable,
    unsupported_media_type,
    word,
)
from protocols.cmp.messages import FailInfo, PKIStatus
from protocols.wire import TransportFault


def a_refusal(
    reason: FailureReason,
    finding: str = "",
    field: str | None = None,
    retry_after: int | None = None,
) -> Rejected:
    return Rejected(
        reason=reason,
        correlation_id="c-1",
        detail="a detail for the log",
        finding=finding or reason.value,
        field=field,
        retry_after=retry_after,
    )


def bit(reason: FailureReason, finding: str = "") -> FailInfo:
    (found,) = word(a_refusal(reason, finding)).fail_info
    return found


def test_there_are_words_for_every_reason() -> None:
    assert set(FAILURES) == set(FailureReason)


@pytest.mark.parametrize("finding", ["code_expired", "name_changed", "transaction_unknown"])
@pytest.mark.parametrize("reason", [FailureReason.NOT_AUTHENTICATED, FailureReason.UNKNOWN_DEVICE])
def test_who_has_proven_nothing_is_told_one_thing(reason: FailureReason, finding: str) -> None:
    assert word(a_refusal(reason, finding)) == word(a_refusal(reason))


def test_a_device_that_is_not_there_and_one_that_may_not_are_told_the_same() -> None:
    assert word(a_refusal(FailureReason.UNKNOWN_DEVICE, "any")) == word(
        a_refusal(FailureReason.NOT_AUTHORIZED, "any")
    )


@pytest.mark.parametrize("reason", FailureReason)
def test_no_detail_of_the_log_is_told(reason: FailureReason) -> None:
    status = word(a_refusal(reason))

    assert status.status is PKIStatus.REJECTION
    (text,) = status.texts
    assert "a detail for the log" not in text
    assert "Correlation id: c-1" in text


def test_a_field_is_told_in_plain_characters() -> None:
    (text,) = word(
        a_refusal(FailureReason.BAD_CERTIFICATE_TEMPLATE, field="subject\r\n\x1b[31m" + "x" * 100)
    ).texts

    assert "Field: subject[31mxxx" in text
    assert text.isprintable()
    assert len(text) < 250


@pytest.mark.parametrize(
    ("reason", "finding", "fail_info"),
    [
        (FailureReason.MALFORMED_REQUEST, "", FailInfo.BAD_DATA_FORMAT),
        (FailureReason.MALFORMED_REQUEST, "body_unsupported", FailInfo.BAD_REQUEST),
        (FailureReason.MALFORMED_REQUEST, "version_unsupported", FailInfo.UNSUPPORTED_VERSION),
        (FailureReason.MALFORMED_REQUEST, "sender_nonce", FailInfo.BAD_SENDER_NONCE),
        (FailureReason.MALFORMED_REQUEST, "recipient_nonce", FailInfo.BAD_RECIPIENT_NONCE),
        (FailureReason.BAD_MESSAGE_CHECK, "wrong_integrity", FailInfo.WRONG_INTEGRITY),
        (FailureReason.BAD_MESSAGE_CHECK, "protection_missing", FailInfo.BAD_MESSAGE_CHECK),
        (FailureReason.NOT_AUTHENTICATED, "code_wrong", FailInfo.BAD_MESSAGE_CHECK),
        (FailureReason.CERTIFICATE_UNKNOWN, "", FailInfo.BAD_CERT_ID),
        (FailureReason.CERTIFICATE_UNKNOWN, "transaction_unknown", FailInfo.BAD_REQUEST),
        (FailureReason.TRANSACTION_CONFLICT, "", FailInfo.TRANSACTION_ID_IN_USE),
        (FailureReason.NOT_AUTHORIZED, "", FailInfo.NOT_AUTHORIZED),
        (FailureReason.NOT_AUTHORIZED, "name_changed", FailInfo.BAD_CERT_TEMPLATE),
        (FailureReason.UNSUPPORTED_ALGORITHM, "", FailInfo.BAD_ALG),
        (FailureReason.BAD_PROOF_OF_POSSESSION, "pop_missing", FailInfo.BAD_POP),
        (FailureReason.CERTIFICATE_REVOKED, "", FailInfo.CERT_REVOKED),
        (FailureReason.CA_UNAVAILABLE, "", FailInfo.SYSTEM_UNAVAIL),
        (FailureReason.INTERNAL, "", FailInfo.SYSTEM_FAILURE),
    ],
)
def test_cmp_E1_a_failure_has_its_bit(
    reason: FailureReason, finding: str, fail_info: FailInfo
) -> None:
    assert bit(reason, finding) is fail_info


@pytest.mark.parametrize(
    ("reason", "status", "retry_after"),
    [
        (FailureReason.MALFORMED_REQUEST, 400, None),
        (FailureReason.RATE_LIMITED, 429, "7"),
        (FailureReason.CA_UNAVAILABLE, 503, "7"),
        (FailureReason.INTERNAL, 500, None),
    ],
)
def test_cmp_T1_what_cannot_be_answered_by_a_message_is_answered_by_http(
    reason: FailureReason, status: int, retry_after: str | None
) -> None:
    response = encode_http(a_refusal(reason, retry_after=7))

    assert response.status == status
    assert dict(response.headers).get("Retry-After") == retry_after
    assert b"Correlation id: c-1" in response.body
    assert b"detail" not in response.body


def test_faults_of_http_have_their_status() -> None:
    assert unreadable("c-1", "not_der", "no DER").response.status == 400
    assert unknown_path("c-1", "no such path").response.status == 404
    assert unknown_profile("c-1", "nobody").response.status == 404
    assert method_not_allowed("c-1").response.status == 405
    assert unsupported_media_type("c-1", "text/plain", "this").response.status == 415
    statuses = {each: transport_fault("c-1", each).response.status for each in TransportFault}
    assert statuses == {
        TransportFault.LENGTH_REQUIRED: 411,
        TransportFault.TOO_LARGE: 413,
        TransportFault.BODY_TIMEOUT: 408,
        TransportFault.CONTENT_ENCODING: 415,
    }
