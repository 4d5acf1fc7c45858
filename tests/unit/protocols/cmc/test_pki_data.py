"""PKIData and its controls: what is read, and what is refused in whose name."""

import pytest

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.cmc.controls import hear, read_controls
from protocols.cmc.decode import decode_pki_data
from protocols.cmc.faults import CMCFault
from protocols.cmc.messages import Heard
from tests.support.cmc import (
    DATA_RETURN,
    IDENTIFICATION,
    IDENTITY_PROOF,
    IDENTITY_PROOF_V2,
    POP_LINK_RANDOM,
    SENDER_NONCE,
    TRANSACTION_ID,
    Control,
    a_pki_data,
    control,
    crm,
    identification,
    identity_proof,
    identity_proof_v2,
    integer,
    orm,
    raw_pki_data,
    tcr,
)
from tests.support.crmf import a_crm
from tests.support.csr import a_csr, bombs, oid, sequence, tlv

NONCE = tlv(0x04, b"nonce")


def refused(*controls: bytes) -> CMCFault:
    data = decode_pki_data(raw_pki_data([tcr(a_csr())], controls))
    with pytest.raises(CMCFault) as caught:
        read_controls(data)
    return caught.value


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        sequence(),
        sequence(sequence(), sequence(), sequence()),
        raw_pki_data([a_csr()]),
        raw_pki_data([tlv(0xA3, integer(1))]),
        raw_pki_data([tlv(0xA0, a_csr(), integer(1))]),
        raw_pki_data([tlv(0xA1)]),
        raw_pki_data([tcr(a_csr(), 0)]),
        raw_pki_data([tcr(a_csr(), 2**32)]),
        raw_pki_data([crm(a_crm(number=0))]),
        raw_pki_data([tcr(a_csr(), 7), tcr(a_csr(), 7)]),
        raw_pki_data([tcr(a_csr(), 7)], [control(7, SENDER_NONCE, NONCE)]),
        raw_pki_data([tcr(a_csr(), 7)], others=[sequence(integer(7), oid("2a03"), integer(1))]),
        raw_pki_data([], [sequence(integer(1), oid("2a03"))]),
        raw_pki_data([], [tlv(0x31)]),
        a_pki_data(tcr(a_csr())) + b"\0",
        a_pki_data(tcr(a_csr()))[:-1],
    ],
)
def test_est_M1_what_is_no_pki_data_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode_pki_data(octets)


@pytest.mark.parametrize("bomb", bombs().values(), ids=bombs().keys())
def test_security_P1_a_bomb_is_refused(bomb: bytes) -> None:
    with pytest.raises(Malformed):
        decode_pki_data(bomb)


def test_est_M1_controls_that_are_not_known_are_refused_by_their_numbers() -> None:
    unknown, get_cert = control(8, 99, NONCE), control(9, 15, sequence())

    error = refused(control(7, SENDER_NONCE, NONCE), unknown, get_cert)

    assert (error.reason, error.body_parts) == (FailureReason.MALFORMED_REQUEST, (8, 9))


def test_a_control_that_is_there_twice_is_refused() -> None:
    error = refused(control(7, SENDER_NONCE, NONCE), control(8, SENDER_NONCE, NONCE))

    assert error.body_parts == (7, 8)


def test_two_proofs_of_identity_are_refused_for_one_would_go_unverified() -> None:
    one, two = identity_proof("code", "pump-1"), identity_proof_v2("code", "pump-1")

    error = refused(control(7, *one), control(8, *two))

    assert error.body_parts == (7, 8)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SENDER_NONCE, ()),
        (SENDER_NONCE, (NONCE, tlv(0x04, b"other"))),
        (SENDER_NONCE, (integer(1),)),
        (SENDER_NONCE, (tlv(0x04, bytes(1_025)),)),
        (TRANSACTION_ID, (NONCE,)),
        (TRANSACTION_ID, (integer(2**520),)),
        (DATA_RETURN, (integer(1),)),
        (IDENTIFICATION, (tlv(0x0C),)),
        (IDENTIFICATION, (tlv(0x0C, b"\xff"),)),
        (IDENTIFICATION, (tlv(0x0C, b"a\nb"),)),
        (IDENTIFICATION, (tlv(0x0C, b"a" * 256),)),
        (IDENTIFICATION, (tlv(0x13, b"pump-1"),)),
        (IDENTITY_PROOF, (tlv(0x04),)),
        (IDENTITY_PROOF, (sequence(),)),
        (IDENTITY_PROOF_V2, (NONCE,)),
        (IDENTITY_PROOF_V2, (sequence(NONCE, NONCE),)),
        (POP_LINK_RANDOM, (tlv(0x04),)),
        (POP_LINK_RANDOM, (integer(1),)),
    ],
)
def test_a_control_that_is_not_in_form_is_refused(kind: int, values: tuple[bytes, ...]) -> None:
    assert refused(control(42, kind, *values)).body_parts == (42,)


def test_a_proof_by_an_algorithm_not_in_the_list_is_refused() -> None:
    md5 = sequence(oid("2a864886f70d0205"))
    proof = sequence(md5, sequence(oid("2a864886f70d0209")), NONCE)

    error = refused(control(42, IDENTITY_PROOF_V2, proof))

    assert (error.reason, error.body_parts) == (FailureReason.UNSUPPORTED_ALGORITHM, (42,))


def test_requests_of_every_sort_are_read_with_their_numbers() -> None:
    csr, message = a_csr(), a_crm(number=8)

    data = decode_pki_data(a_pki_data(tcr(csr, 7), crm(message), orm(9)))

    first, second, third = data.requests
    assert (first.number, first.pkcs10, first.crmf) == (7, csr, None)
    assert second.crmf is not None
    assert (second.number, second.crmf.whole) == (8, message)
    assert (third.number, third.pkcs10, third.crmf) == (9, None, None)
    assert data.requests_whole == sequence(tcr(csr, 7), crm(message), orm(9))


def test_what_an_answer_gives_back_is_heard() -> None:
    controls: list[Control] = [
        (TRANSACTION_ID, integer(4711)),
        (SENDER_NONCE, NONCE),
        (DATA_RETURN, tlv(0x04, b"data")),
    ]

    heard = hear(decode_pki_data(a_pki_data(controls=controls)))

    assert heard == Heard(
        transaction_id=integer(4711), sender_nonce=NONCE, data_return=tlv(0x04, b"data")
    )
    assert heard.anything


def test_what_is_not_in_form_is_not_given_back() -> None:
    data = decode_pki_data(raw_pki_data([], [control(1, SENDER_NONCE, integer(1))]))

    assert not hear(data).anything


@pytest.mark.parametrize("make", [identity_proof, identity_proof_v2])
def test_a_proof_of_identity_tells_the_secret_from_others(make: object) -> None:
    assert callable(make)
    requests = tcr(a_csr())
    proof = make("AAAA-BBBB", "pump-1", requests)
    data = decode_pki_data(a_pki_data(requests, controls=[identification("pump-1"), proof]))

    controls = read_controls(data)

    assert controls.identification == "pump-1"
    assert controls.identity_proof is not None
    assert controls.proof_number == 101
    assert controls.identity_proof.is_made_with("AAAA-BBBBpump-1", data.requests_whole)
    assert not controls.identity_proof.is_made_with("AAAA-BBBCpump-1", data.requests_whole)
    assert not controls.identity_proof.is_made_with("AAAA-BBBBpump-1", data.requests_whole[:-1])


def test_nothing_else_than_a_refusal_comes_of_broken_messages() -> None:
    good = a_pki_data(
        tcr(a_csr()), crm(a_crm(number=2)), controls=[identification("x"), (SENDER_NONCE, NONCE)]
    )
    for at in range(0, len(good), 3):
        broken = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        try:
            read_controls(decode_pki_data(broken))
        except EnrollmentError:
            continue
