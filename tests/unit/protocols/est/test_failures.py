import pytest

from enroll.credentials import CredentialKind
from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.est.failures import FAILURES
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.wire import WireResponse
from tests.support.wire import PKCS10_HEADERS, FixedLabels, a_wire, basic

CODE = frozenset({CredentialKind.ONE_TIME_CODE})
CERTIFICATE = frozenset({CredentialKind.OWN_CERTIFICATE})
EITHER = CODE | CERTIFICATE

# The EST column of the table of failures.
STATUSES = {
    FailureReason.MALFORMED_REQUEST: 400,
    FailureReason.BAD_MESSAGE_CHECK: 400,
    FailureReason.UNSUPPORTED_ALGORITHM: 400,
    FailureReason.BAD_TIME: 400,
    FailureReason.BAD_PROOF_OF_POSSESSION: 400,
    FailureReason.NOT_AUTHENTICATED: 401,
    FailureReason.SIGNER_NOT_TRUSTED: 403,
    FailureReason.UNKNOWN_DEVICE: 403,
    FailureReason.NOT_AUTHORIZED: 403,
    FailureReason.BAD_CERTIFICATE_TEMPLATE: 400,
    FailureReason.UNACCEPTED_EXTENSION: 400,
    FailureReason.CERTIFICATE_UNKNOWN: 403,
    FailureReason.CERTIFICATE_REVOKED: 403,
    FailureReason.TRANSACTION_CONFLICT: 409,
    FailureReason.RATE_LIMITED: 429,
    FailureReason.CA_UNAVAILABLE: 503,
    FailureReason.INTERNAL: 500,
}


def a_rejection(
    reason: FailureReason,
    *,
    accepted: frozenset[CredentialKind] = EITHER,
    field: str | None = None,
    retry_after: int | None = None,
    correlation_id: str = "c0ffee",
    finding: str = "a_finding",
) -> Rejected:
    return Rejected(
        reason=reason,
        correlation_id=correlation_id,
        detail="the operator's own business",
        finding=finding,
        accepted=accepted,
        field=field,
        retry_after=retry_after,
    )


def answer(rejected: Rejected, *, shown: bool = True) -> WireResponse:
    """Give the answer, which is one and the same by `respond` and by `refuse`."""
    handler = ESTHandler(FixedLabels())
    wire = a_wire(headers=basic("a", "b") if shown else PKCS10_HEADERS)
    exchange = handler.receive(wire)
    assert isinstance(exchange, ESTExchange)
    assert exchange.respond(rejected) == handler.refuse(wire, rejected)
    return exchange.respond(rejected)


def test_every_reason_has_its_status() -> None:
    assert {reason: status for reason, (status, _) in FAILURES.items()} == STATUSES
    assert set(FAILURES) == set(FailureReason)


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        ("certificate_expired", b"The client certificate has expired."),
        ("certificate_not_yet_valid", b"The client certificate is not valid yet."),
        ("device_disabled", b"This enrollment is not permitted."),
    ],
)
def test_est_T7_who_shows_an_expired_certificate_is_told_so(finding: str, sentence: bytes) -> None:
    response = answer(a_rejection(FailureReason.NOT_AUTHORIZED, finding=finding))

    assert response.status == 403
    assert response.body.startswith(sentence)


def test_a_certificate_that_is_not_trusted_is_told_nothing_of_its_time() -> None:
    rejection = a_rejection(
        FailureReason.SIGNER_NOT_TRUSTED, accepted=CERTIFICATE, finding="certificate_expired"
    )

    assert answer(rejection).body.startswith(b"The client certificate is not trusted here.")


@pytest.mark.parametrize("reason", FailureReason)
def test_est_H11_a_failure_is_one_line_of_text_with_the_correlation_id(
    reason: FailureReason,
) -> None:
    response = answer(a_rejection(reason))

    assert response.status == STATUSES[reason]
    if response.status != 401:
        assert response.body.count(b"\n") == 1
        assert response.body.endswith(b" Correlation id: c0ffee\n")
        assert FAILURES[reason][1].encode() in response.body


@pytest.mark.parametrize("accepted", [EITHER, CERTIFICATE, frozenset[CredentialKind]()])
@pytest.mark.parametrize("reason", FailureReason)
def test_est_H14_the_media_type_is_always_set_and_the_detail_never_told(
    reason: FailureReason, accepted: frozenset[CredentialKind]
) -> None:
    response = answer(a_rejection(reason, accepted=accepted))

    assert response.media_type == "text/plain; charset=utf-8"
    assert b"business" not in response.body
    assert b"a_finding" not in response.body


@pytest.mark.parametrize("shown", [True, False])
def test_est_T8_a_401_is_empty_and_asks_for_basic(*, shown: bool) -> None:
    response = answer(a_rejection(FailureReason.NOT_AUTHENTICATED), shown=shown)

    assert (response.status, response.body) == (401, b"")
    challenges = [value for name, value in response.headers if name == "WWW-Authenticate"]
    assert challenges == ['Basic realm="enrollment", charset="UTF-8"']


@pytest.mark.parametrize("reason", FailureReason)
@pytest.mark.parametrize("shown", [True, False])
def test_est_H13_a_profile_without_http_authentication_never_says_401(
    reason: FailureReason, *, shown: bool
) -> None:
    response = answer(a_rejection(reason, accepted=CERTIFICATE), shown=shown)

    assert response.status != 401
    assert "WWW-Authenticate" not in dict(response.headers)
    if reason is FailureReason.NOT_AUTHENTICATED:
        assert response.status == 403


@pytest.mark.parametrize(
    "reason", [FailureReason.SIGNER_NOT_TRUSTED, FailureReason.CERTIFICATE_REVOKED]
)
def test_est_T6_a_bad_certificate_alone_is_asked_for_a_code_where_one_is_taken(
    reason: FailureReason,
) -> None:
    assert answer(a_rejection(reason, accepted=EITHER), shown=False).status == 401
    assert answer(a_rejection(reason, accepted=EITHER), shown=True).status == 403
    assert answer(a_rejection(reason, accepted=CERTIFICATE), shown=False).status == 403


@pytest.mark.parametrize("reason", [FailureReason.NOT_AUTHORIZED, FailureReason.UNKNOWN_DEVICE])
@pytest.mark.parametrize("shown", [True, False])
def test_a_certificate_that_is_good_but_not_enough_is_told_403(
    reason: FailureReason, *, shown: bool
) -> None:
    assert answer(a_rejection(reason, accepted=EITHER), shown=shown).status == 403


def test_an_unknown_device_and_an_unauthorized_one_get_the_same_words() -> None:
    unknown = answer(a_rejection(FailureReason.UNKNOWN_DEVICE))

    assert unknown == answer(a_rejection(FailureReason.NOT_AUTHORIZED))


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        (FailureReason.BAD_CERTIFICATE_TEMPLATE, "publicKey"),
        (FailureReason.UNACCEPTED_EXTENSION, "basicConstraints"),
        (FailureReason.BAD_PROOF_OF_POSSESSION, "signature"),
        (FailureReason.UNSUPPORTED_ALGORITHM, "signatureAlgorithm"),
        (FailureReason.NOT_AUTHORIZED, "subject"),
        (FailureReason.NOT_AUTHORIZED, "subjectAltName"),
    ],
)
def test_est_E6_the_field_at_fault_is_named(reason: FailureReason, field: str) -> None:
    assert f"Field: {field}.".encode() in answer(a_rejection(reason, field=field)).body


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        (FailureReason.NOT_AUTHORIZED, "publicKey"),
        (FailureReason.UNKNOWN_DEVICE, "subject"),
        (FailureReason.MALFORMED_REQUEST, "subject"),
        (FailureReason.INTERNAL, "subject"),
    ],
)
def test_no_other_failure_names_a_field(reason: FailureReason, field: str) -> None:
    assert field.encode() not in answer(a_rejection(reason, field=field)).body


@pytest.mark.parametrize("reason", [FailureReason.RATE_LIMITED, FailureReason.CA_UNAVAILABLE])
@pytest.mark.parametrize(("given", "told"), [(30, "30"), (None, "5"), (0, "1"), (-3, "1")])
def test_est_H12_who_must_wait_is_told_how_long_in_digits(
    reason: FailureReason, given: int | None, told: str
) -> None:
    response = answer(a_rejection(reason, retry_after=given))

    assert dict(response.headers)["Retry-After"] == told


def test_an_answer_stays_one_line_whatever_goes_into_it() -> None:
    nasty = "a\r\nSet-Cookie: b\0\u2028\xe9" + "x" * 1_000

    response = answer(
        a_rejection(FailureReason.BAD_CERTIFICATE_TEMPLATE, field=nasty, correlation_id=nasty)
    )

    assert response.body.isascii()
    assert response.body.count(b"\n") == 1
    assert b"\r" not in response.body
    assert len(response.body) < 400


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        ("linking_required", "linking of identity and proof-of-possession is required"),
        ("linking_failed", "linking of identity and proof-of-possession failed"),
        ("linking_unavailable", "linking of identity and proof-of-possession failed"),
    ],
)
def test_est_T11_a_refusal_says_that_linking_is_meant(finding: str, words: str) -> None:
    rejected = a_rejection(
        FailureReason.BAD_PROOF_OF_POSSESSION, finding=finding, field="challengePassword"
    )

    told = answer(rejected)

    assert told.status == 400
    line = told.body.decode()
    assert line.startswith("POP linking failed: ")
    assert words in line
    assert line.count("\n") == 1
