"""PKIResponse as pyasn1-modules reads it, and the words of CMC for every failure."""

from datetime import UTC, datetime

from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.cmc.encode import Outcome, PendInfo, encode_pki_response
from protocols.cmc.faults import FAIL_INFO, fail_info
from protocols.cmc.messages import NOTHING_HEARD, FailInfo, Heard, Status
from tests.support.cmc import (
    DATA_RETURN,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    STATUS_INFO_V2,
    TRANSACTION_ID,
    integer,
    read_response,
)
from tests.support.csr import tlv

NONCE = tlv(0x04, b"nonce")


def test_est_M1_every_reason_has_a_word_in_cmc() -> None:
    assert set(FAIL_INFO) == set(FailureReason)
    assert FAIL_INFO[FailureReason.UNKNOWN_DEVICE] is FAIL_INFO[FailureReason.NOT_AUTHORIZED]


def test_est_T11_failed_proof_of_possession_is_popFailed() -> None:
    assert FAIL_INFO[FailureReason.BAD_PROOF_OF_POSSESSION] is FailInfo.POP_FAILED


def test_a_reused_key_has_a_word_of_its_own() -> None:
    assert _word_for("key_reused") is FailInfo.NO_KEY_REUSE
    assert _word_for("name_changed") is FailInfo.BAD_REQUEST


def test_a_failure_says_which_body_parts_it_is_about() -> None:
    outcome = Outcome(
        status=Status.FAILED,
        body_parts=(7, 4_294_967_295),
        words="Nö.",
        info=FailInfo.BAD_IDENTITY,
    )

    answer = read_response(encode_pki_response(outcome, NOTHING_HEARD, b"x"))

    assert (answer.status, answer.fail_info) == (2, 7)
    assert answer.body_parts == (7, 4_294_967_295)
    assert answer.words == "Nö."
    assert set(answer.controls) == {STATUS_INFO_V2}


def test_badAlg_is_written_though_it_is_nought() -> None:
    outcome = Outcome(status=Status.FAILED, info=FailInfo.BAD_ALG)

    answer = read_response(encode_pki_response(outcome, NOTHING_HEARD, b"x"))

    assert answer.fail_info == 0
    assert answer.body_parts == (0,)


def test_what_was_heard_is_given_back_with_a_nonce_of_ours() -> None:
    heard = Heard(transaction_id=integer(300), sender_nonce=NONCE, data_return=tlv(0x04, b"data"))

    answer = read_response(encode_pki_response(Outcome(status=Status.SUCCESS), heard, b"ours"))

    assert answer.status == 0
    assert answer.controls[TRANSACTION_ID] == integer(300)
    assert answer.controls[RECIPIENT_NONCE] == NONCE
    assert answer.controls[SENDER_NONCE] == tlv(0x04, b"ours")
    assert answer.controls[DATA_RETURN] == tlv(0x04, b"data")


def test_a_wait_says_for_what_and_until_when() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    outcome = Outcome(status=Status.PENDING, body_parts=(1,), info=PendInfo(token=b"order", at=at))

    answer = read_response(encode_pki_response(outcome, NOTHING_HEARD, b"x"))

    assert answer.status == 3
    assert answer.pending == (b"order", "20260102030405Z")


def _word_for(finding: str) -> FailInfo:
    return fail_info(
        Rejected(
            reason=FailureReason.NOT_AUTHORIZED,
            correlation_id="c0ffee",
            detail="",
            finding=finding,
        )
    )
