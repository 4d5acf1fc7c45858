"""senderNonces of CMP: they are known for the transaction and turn they were made for, only."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.cmp.messages import BodyType
from protocols.cmp.nonces import SenderNonces, Turn
from protocols.cmp.salvage import salvage_header
from tests.support.cmp import a_header, from_client

NONCES = SenderNonces(key=bytes(32))
OCTETS = st.binary(min_size=16, max_size=32)
KEYS = st.lists(
    st.text("0123456789abcdef", min_size=64, max_size=64), min_size=2, max_size=2, unique=True
)
TURNS = [
    Turn(answer=answer, cert_req_id=number, by_mac=by_mac, waiting=waiting)
    for answer in (BodyType.IP, BodyType.CP, BodyType.KUP)
    for number in (0, -1)
    for by_mac in (True, False)
    for waiting in (True, False)
]


@given(transaction=OCTETS, nonce=OCTETS, turn=st.sampled_from(TURNS))
def test_cmp_H10_a_nonce_tells_its_turn(transaction: bytes, nonce: bytes, turn: Turn) -> None:
    request = a_header(transaction_id=transaction, sender_nonce=nonce)

    following = replace(request, recip_nonce=NONCES.make(request, turn))

    assert NONCES.turn(following, TURNS) == turn
    assert NONCES.turn(following, [each for each in TURNS if each != turn]) is None


@given(one=OCTETS, other=OCTETS, at=st.integers(0, 59), bit=st.integers(0, 7))
def test_cmp_H10_a_nonce_is_of_one_transaction_and_whole(
    one: bytes, other: bytes, at: int, bit: int
) -> None:
    assume(one != other)
    request = a_header(transaction_id=one)
    nonce = NONCES.make(request, TURNS[0])
    changed = bytearray(nonce)
    changed[at] ^= 1 << bit

    for each in (
        replace(request, recip_nonce=nonce, transaction_id=other),
        replace(request, recip_nonce=bytes(changed)),
        replace(request, recip_nonce=nonce[:-1]),
    ):
        assert NONCES.turn(each, TURNS) is None
    assert SenderNonces(key=b"another").turn(replace(request, recip_nonce=nonce), TURNS) is None


@given(transaction=OCTETS, sent=st.lists(OCTETS, min_size=1, max_size=3), keys=KEYS)
def test_a_nonce_is_about_the_key_that_the_transaction_began_with(
    transaction: bytes, sent: list[bytes], keys: list[str]
) -> None:
    one, other = keys
    request = a_header(transaction_id=transaction)
    request = replace(request, recip_nonce=NONCES.make(request, TURNS[0], one))
    for each in sent:
        request = replace(request, sender_nonce=each)
        request = replace(request, recip_nonce=NONCES.make(request, TURNS[0]))

    assert NONCES.is_about(request, one)
    assert not NONCES.is_about(request, other)
    assert NONCES.is_about(
        replace(request, recip_nonce=NONCES.make(request, TURNS[0], other)), other
    )


@given(transaction=OCTETS, profiles=st.lists(st.text(), min_size=2, max_size=9, unique=True))
def test_cmp_H12_a_nonce_tells_the_profile_that_was_named(
    transaction: bytes, profiles: list[str]
) -> None:
    named = next(each for each in profiles if each)
    request = a_header(transaction_id=transaction)

    nonce = NONCES.make(request, TURNS[0], profile=named)
    of_none = NONCES.make(request, TURNS[0])

    assert NONCES.profile(replace(request, recip_nonce=nonce), profiles) == named
    others = [each for each in profiles if each]
    assert NONCES.profile(replace(request, recip_nonce=of_none), others) is None


@given(sent=st.lists(OCTETS, min_size=1, max_size=5, unique=True), own=OCTETS)
def test_cmp_H9_the_first_nonce_and_the_last_are_known_again(sent: list[bytes], own: bytes) -> None:
    request = a_header(sender_nonce=sent[0])
    for each in sent:
        request = replace(request, sender_nonce=each)
        request = replace(request, recip_nonce=NONCES.make(request, TURNS[0]))

    used = NONCES.is_used(replace(request, sender_nonce=own))

    assert used is (own in {sent[0], sent[-1]})
    assert all(NONCES.is_used(replace(request, sender_nonce=each)) for each in (sent[0], sent[-1]))


@given(octets=st.binary(max_size=200), at=st.integers(0, 500), kept=st.integers(0, 600))
def test_cmp_E1_whatever_is_salvaged_is_a_header_that_can_be_answered(
    octets: bytes, at: int, kept: int
) -> None:
    message = from_client("ir")
    broken = (message[:at] + octets + message[at + len(octets) :])[:kept]

    found = salvage_header(broken)

    assert found is None or found.sender in broken
    assert salvage_header(message + octets) == salvage_header(message)
