"""CMC and CRMF: what we write, pyasn1-modules reads; what it writes, we read; octets do no harm."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import encoder

from enroll.failures import EnrollmentError
from protocols.cmc.controls import hear, read_controls
from protocols.cmc.decode import decode_pki_data
from protocols.cmc.encode import Outcome, PendInfo, encode_pki_response
from protocols.cmc.full_request import judge, open_message
from protocols.cmc.messages import FailInfo, Heard, Status
from protocols.crmf.decode import decode_message
from protocols.crmf.request import to_certificate_request
from protocols.limits import DEFAULT_LIMITS
from tests.support.cmc import (
    DATA_RETURN,
    POP_LINK_RANDOM,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    a_pki_data,
    crm,
    identification,
    integer,
    read_response,
    tcr,
)
from tests.support.crmf import a_cert_request, a_crm
from tests.support.csr import a_csr, a_key, a_name, tlv
from tests.support.full_cmc import key_identifier, signed_by_own_key

body_parts = st.integers(0, 2**32 - 1)
octets = st.binary(min_size=1, max_size=300).map(lambda content: tlv(0x04, content))
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
names = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-"), min_size=1, max_size=40)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2049, 1, 1)).map(  # noqa: DTZ001 - made aware
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
heards = st.builds(
    Heard,
    transaction_id=st.none() | st.integers(0, 2**128).map(integer),
    sender_nonce=st.none() | octets,
    data_return=st.none() | octets,
)
infos = (
    st.none()
    | st.sampled_from(FailInfo)
    | st.builds(PendInfo, token=st.binary(max_size=40), at=moments)
)
outcomes = st.builds(
    Outcome,
    status=st.sampled_from(Status),
    body_parts=st.lists(body_parts, min_size=1, max_size=5).map(tuple),
    words=st.none() | words,
    info=infos,
)
KEY = a_key()
GOOD = signed_by_own_key(
    KEY, a_pki_data(crm(a_crm(KEY, extensions=[key_identifier(KEY)])), tcr(a_csr(), 2))
)


@given(outcomes, heards)
def test_a_response_says_to_others_what_it_was_made_of(outcome: Outcome, heard: Heard) -> None:
    said = read_response(encode_pki_response(outcome, heard, b"ours"))

    assert (said.status, said.body_parts, said.words) == (
        outcome.status,
        outcome.body_parts,
        outcome.words,
    )
    if isinstance(outcome.info, PendInfo):
        assert said.pending == (outcome.info.token, f"{outcome.info.at:%Y%m%d%H%M%SZ}")
    else:
        assert said.fail_info == outcome.info
    assert said.controls.get(TRANSACTION_ID) == heard.transaction_id
    assert said.controls.get(RECIPIENT_NONCE) == heard.sender_nonce
    assert said.controls.get(DATA_RETURN) == heard.data_return
    assert (SENDER_NONCE in said.controls) is (heard.sender_nonce is not None)


@given(heards, words.filter(str.isprintable), st.none() | octets, st.integers(1, 2**32 - 10))
def test_what_pki_data_holds_is_read(
    heard: Heard, name: str, random: bytes | None, first: int
) -> None:
    given_back = (
        (TRANSACTION_ID, heard.transaction_id),
        (SENDER_NONCE, heard.sender_nonce),
        (DATA_RETURN, heard.data_return),
        (POP_LINK_RANDOM, random),
    )
    controls = [(kind, value) for kind, value in given_back if value is not None]

    data = decode_pki_data(a_pki_data(controls=[identification(name), *controls], first=first))
    read = read_controls(data)

    assert hear(data) == heard
    assert read.identification == name
    assert (read.pop_link_random is None) is (random is None)


@given(names, st.lists(names, max_size=4), st.integers(-1, 2**31))
def test_a_certificate_request_message_is_read_as_it_was_meant(
    name: str, dns: list[str], number: int
) -> None:
    wanted = [x509.DNSName(each) for each in dict.fromkeys(dns)]

    message = decode_message(a_crm(number=number, subject=a_name(name), names=wanted))
    request = to_certificate_request(message)

    assert message.request_id == number
    assert request.subject == a_name(name)
    assert request.subject_alternative_names == (tuple(wanted) or None)


@given(st.binary(max_size=400))
def test_octets_are_a_message_or_a_refusal(data: bytes) -> None:
    for read in (decode_message, decode_pki_data):
        with suppress(EnrollmentError):
            read(data)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_a_damaged_message_is_a_message_or_a_refusal(at: int, damage: bytes) -> None:
    with suppress(EnrollmentError):
        judge(
            open_message(GOOD[:at] + damage + GOOD[at + len(damage) :], DEFAULT_LIMITS),
            DEFAULT_LIMITS,
        )


@given(names)
def test_possession_is_of_the_very_request(name: str) -> None:
    signed, other = (
        bytes(encoder.encode(a_cert_request(KEY, subject=a_name(name + end)))) for end in "xy"
    )
    taken = a_crm(KEY, subject=a_name(name + "x")).replace(signed, other)

    with pytest.raises(EnrollmentError) as caught:
        to_certificate_request(decode_message(taken))

    assert caught.value.field == "signature"
