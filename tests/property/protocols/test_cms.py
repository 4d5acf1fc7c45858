from random import Random

from asn1crypto import cms, core
from hypothesis import given
from hypothesis import strategies as st

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.cms.ber import to_der
from protocols.cms.content_info import DATA
from protocols.cms.signed_data import decode_signed_data, encode_signed_data, verify
from protocols.limits import check_der
from tests.soak.mutations import mutant_of
from tests.support.cms import a_party, in_ber

CONTENT = b"content " * 100
PARTY = a_party("p-256")
SIGNED = encode_signed_data(DATA, CONTENT, signer=PARTY.signer(), certificates=(PARTY.der,))
# asn1crypto 1.5.1 loses its place in a CHOICE of indefinite length: no certificate, no issuer. Nor
# does it read a string in pieces whose length is definite.
FOR_ASN1CRYPTO = encode_signed_data(
    DATA, CONTENT, signer=PARTY.signer(key_identifier=PARTY.key_identifier)
)
leaves = st.one_of(
    st.binary(max_size=200).map(lambda octets: der.encode(der.OCTET_STRING, octets)),
    st.integers(-(2**70), 2**70).map(lambda number: core.Integer(number).dump()),
    st.just(b"\x05\x00"),
    st.text(max_size=20).map(lambda text: core.UTF8String(text).dump()),
)
elements = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda tag, parts: der.encode(tag, *parts),
        st.sampled_from([0x30, 0x31, 0xA0, 0xA3]),
        st.lists(inner, max_size=5),
    ),
    max_leaves=40,
)


@given(elements, st.randoms(use_true_random=False))
def test_scep_38_ber_becomes_the_der_that_it_was_made_of(element: bytes, random: Random) -> None:
    assert to_der(in_ber(element, random)) == element


@given(elements)
def test_der_is_left_as_it_is(element: bytes) -> None:
    assert to_der(element) is element


@given(st.randoms(use_true_random=False))
def test_scep_38_asn1crypto_reads_the_same_out_of_ber_and_out_of_our_der(random: Random) -> None:
    ber = in_ber(FOR_ASN1CRYPTO, random, definite_pieces=False)

    assert cms.ContentInfo.load(ber).native == cms.ContentInfo.load(to_der(ber)).native


@given(st.randoms(use_true_random=False))
def test_scep_38_a_message_in_ber_is_verified(random: Random) -> None:
    assert verify(decode_signed_data(in_ber(SIGNED, random))) == PARTY.certificate


@given(st.binary(max_size=300))
def test_any_octets_are_made_der_or_refused(octets: bytes) -> None:
    try:
        made = to_der(octets)
    except Malformed:
        return

    check_der(made)


@given(st.randoms(use_true_random=False))
def test_security_P3_no_mutant_of_a_signed_message_is_verified_as_another(random: Random) -> None:
    try:
        read = decode_signed_data(mutant_of(random, SIGNED))
        verify(read)
    except EnrollmentError:
        return

    assert read.content == CONTENT
    assert read.signer.signed_octets == decode_signed_data(SIGNED).signer.signed_octets
