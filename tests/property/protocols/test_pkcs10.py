from collections.abc import Callable
from random import Random

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from enroll.failures import EnrollmentError
from enroll.profiles import KeyUsageBit
from enroll.request import CertificateRequest
from protocols import der
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der
from protocols.pkcs10 import decode
from protocols.pkcs10_form import Parts, _of_any_kind, take_apart
from tests.soak.mutations import der_mutants
from tests.support.csr import a_csr, a_key, a_name, some_key_usage, tlv

pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be")

USAGES = {
    "digital_signature": KeyUsageBit.DIGITAL_SIGNATURE,
    "content_commitment": KeyUsageBit.NON_REPUDIATION,
    "key_encipherment": KeyUsageBit.KEY_ENCIPHERMENT,
    "key_agreement": KeyUsageBit.KEY_AGREEMENT,
    "data_encipherment": None,
    "key_cert_sign": None,
    "crl_sign": None,
}
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
general_names = st.lists(
    st.one_of(
        printable.map(x509.DNSName),
        printable.map(x509.UniformResourceIdentifier),
        printable.map(lambda text: x509.RFC822Name(f"{Random(text).random()}@example.org")),  # noqa: S311 - any name will do
        st.ip_addresses().map(x509.IPAddress),
        printable.map(lambda text: x509.DirectoryName(a_name(text))),
    ),
    max_size=8,
)


def outcome(octets: bytes) -> CertificateRequest | EnrollmentError:
    try:
        return decode(octets)
    except EnrollmentError as error:
        return error


def taken_apart(
    by: Callable[[bytes, DERLimits], Parts], octets: bytes, limits: DERLimits = DEFAULT_LIMITS
) -> object:
    """Give the parts, or why there are none."""
    try:
        return by(octets, limits)
    except EnrollmentError as error:
        return error.reason, error.finding


@settings(max_examples=500)
@given(
    common_name=printable,
    names=general_names,
    damages=st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(0, 1), st.binary(max_size=2)), max_size=2
    ),
)
def test_the_short_way_to_the_parts_of_a_request_gives_what_the_long_way_gives(
    common_name: str, names: list[x509.GeneralName], damages: list[tuple[int, int, bytes]]
) -> None:
    octets = bytearray(a_csr(subject=a_name(common_name), names=names))
    for place, lost, put in damages:
        at = place % len(octets)
        octets[at : at + lost] = put

    request = bytes(octets)

    assert taken_apart(take_apart, request) == taken_apart(_of_any_kind, request)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_no_damage_opens_another_way_to_the_parts_of_a_request(seed: int) -> None:
    for mutant in der_mutants(seed, 5):
        assert taken_apart(take_apart, mutant) == taken_apart(_of_any_kind, mutant)


@given(
    depth=st.integers(min_value=1, max_value=12),
    nodes=st.integers(min_value=1, max_value=60),
    octets=st.integers(min_value=100, max_value=600),
    oid_octets=st.integers(min_value=1, max_value=12),
    names=general_names,
)
def test_the_short_way_to_the_parts_of_a_request_has_the_same_limits(
    depth: int, nodes: int, octets: int, oid_octets: int, names: list[x509.GeneralName]
) -> None:
    limits = DERLimits(octets=octets, depth=depth, nodes=nodes, oid_octets=oid_octets)
    request = a_csr(names=names)

    assert taken_apart(take_apart, request, limits) == taken_apart(_of_any_kind, request, limits)


@given(st.binary(max_size=2_000))
def test_any_octets_are_a_request_or_a_refusal(octets: bytes) -> None:
    assert isinstance(outcome(octets), CertificateRequest | EnrollmentError)


@settings(max_examples=200)
@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_any_damage_to_a_request_makes_a_request_or_a_refusal(seed: int) -> None:
    for mutant in der_mutants(seed, 5):
        assert isinstance(outcome(mutant), CertificateRequest | EnrollmentError)


@given(
    names=general_names,
    common_name=st.text(st.characters(categories=("L", "N")), min_size=1, max_size=16),
    usages=st.none() | st.sets(st.sampled_from(sorted(USAGES)), min_size=1),
    password=st.none() | st.text(min_size=1, max_size=255),
    kind=st.sampled_from(["p-256", "ed25519"]),
)
def test_what_was_asked_for_is_what_is_read(
    names: list[x509.GeneralName],
    common_name: str,
    usages: set[str] | None,
    password: str | None,
    kind: str,
) -> None:
    extensions = [] if usages is None else [some_key_usage(**dict.fromkeys(usages, True))]

    request = decode(
        a_csr(
            a_key(kind),
            subject=a_name(common_name),
            names=names,
            extensions=extensions,
            challenge_password=password,
        )
    )

    assert request.subject == a_name(common_name)
    assert request.subject_alternative_names == (tuple(names) or None)
    wanted = frozenset(bit for each in usages or () if (bit := USAGES[each]) is not None)
    assert request.key_usage == (wanted or None)
    assert request.challenge_password == password
    assert request.public_key == a_key(kind).public_key()


@given(
    st.recursive(
        st.tuples(st.sampled_from([0x04, 0x0C, 0x13, 0x80]), st.binary(max_size=300)),
        lambda children: st.tuples(
            st.sampled_from([0x30, 0x31, 0xA0]), st.lists(children, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_what_is_encoded_is_der_and_splits_into_what_it_was(tree: tuple[int, object]) -> None:
    def build(node: tuple[int, object]) -> bytes:
        tag, content = node
        if isinstance(content, bytes):
            return der.encode(tag, content)
        assert isinstance(content, list)
        parts = [build(child) for child in content]
        (element,) = der.split(der.encode(tag, *parts))
        assert [child.whole for child in der.split(element.content)] == parts
        return element.whole

    encoded = build(tree)

    check_der(encoded)
    (element,) = der.split(encoded)
    assert (element.tag, element.whole) == (tree[0], encoded)
    assert encoded == tlv(tree[0], element.content)


@given(st.sampled_from([0x1F, 0x9F, 0xBF]), st.binary(min_size=0, max_size=200))
def test_a_tag_of_several_octets_is_split_off_whole(first: int, content: bytes) -> None:
    element = bytes([first, 0x81, 0x01]) + der.encode(0x04, content)[1:]

    parts = der.split(element + b"\x05\x00")

    assert [part.whole for part in parts] == [element, b"\x05\x00"]
    assert parts[0].content == content
