import subprocess
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.profiles import KeyUsageBit
from protocols.der import split as split_der
from protocols.pkcs10 import decode
from tests.support.authority import KEY_KINDS
from tests.support.csr import (
    CHALLENGE_PASSWORD,
    CHANGE_SUBJECT_NAME,
    EXTENDED_KEY_USAGE,
    EXTENSION_REQUEST,
    KEY_USAGE,
    SUBJECT_ALTERNATIVE_NAME,
    a_csr,
    a_key,
    a_name,
    attribute,
    extension,
    extension_request,
    oid,
    raw_csr,
    sequence,
    some_key_usage,
    spki_of,
    tlv,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "csr"
NAMES = (
    x509.DNSName("pump-1.example"),
    x509.IPAddress(ip_address("192.0.2.1")),
    x509.RFC822Name("pump@example.org"),
    x509.UniformResourceIdentifier("urn:uuid:5"),
    x509.DirectoryName(a_name("other")),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"),
)
DNS = sequence(b"\x82\x03a.b")
SAN = extension(SUBJECT_ALTERNATIVE_NAME, DNS)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_est_E1_a_request_is_read_whole(kind: str) -> None:
    key = a_key(kind)
    der = a_csr(
        key,
        names=NAMES,
        extensions=[some_key_usage(digital_signature=True, key_agreement=True)],
        challenge_password="secret",
    )

    request = decode(der)

    assert request.subject == a_name()
    assert request.subject_alternative_names == NAMES
    assert request.key_usage == frozenset(
        {KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.KEY_AGREEMENT}
    )
    assert request.challenge_password == "secret"
    assert request.public_key == key.public_key()
    assert request.spki == spki_of(key)
    assert request.spki_sha256 == sha256(spki_of(key)).hexdigest()
    assert request.der_sha256 == sha256(der).hexdigest()
    assert request.change_subject_name is None
    assert request.change_subject_alternative_names is None


def test_a_request_without_attributes_wishes_nothing() -> None:
    request = decode(a_csr())

    assert request.subject_alternative_names is None
    assert request.key_usage is None
    assert request.challenge_password is None


def test_the_challenge_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(decode(a_csr(challenge_password="secret")))


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("kind", ["rsa-2048", "p-256"])
def test_every_hash_of_the_list_is_taken(
    kind: str, digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
) -> None:
    decode(a_csr(a_key(kind), digest=digest))


def test_rsassa_pss_is_taken() -> None:
    form = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.MAX_LENGTH)

    decode(a_csr(a_key("rsa-2048"), rsa_padding=form, digest=hashes.SHA384()))


@pytest.mark.parametrize("name", ["openssl-p256.der", "strongswan-p256.der"])
def test_requests_of_other_programs_are_read(name: str) -> None:
    request = decode((VECTORS / name).read_bytes())

    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "dev-0001"
    assert request.subject_alternative_names == (x509.DNSName("dev-0001.example"),)
    assert request.challenge_password == "abc"


def test_the_order_of_attributes_does_not_matter() -> None:
    challenge = attribute(CHALLENGE_PASSWORD, tlv(0x13, b"secret"))
    both = [challenge, extension_request(SAN)]

    one, other = decode(raw_csr(*both)), decode(raw_csr(*reversed(both)))

    assert one.challenge_password == other.challenge_password == "secret"
    assert one.subject_alternative_names == other.subject_alternative_names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (tlv(0x0C, "gehe\u0131m".encode()), "gehe\u0131m"),
        (tlv(0x13, b"AAAA-BBBB"), "AAAA-BBBB"),
        (tlv(0x16, b"a_b@c"), "a_b@c"),
        (tlv(0x14, b"\xe9t\xe9"), "\xe9t\xe9"),
        (tlv(0x13, b"x" * 255), "x" * 255),
    ],
)
def test_est_T14_a_challenge_password_of_any_usual_type_is_carried(
    value: bytes, expected: str
) -> None:
    assert decode(raw_csr(attribute(CHALLENGE_PASSWORD, value))).challenge_password == expected


@pytest.mark.parametrize(
    "values",
    [
        [],
        [tlv(0x13, b"a"), tlv(0x13, b"b")],
        [tlv(0x13, b"")],
        [tlv(0x13, b"x" * 256)],
        [tlv(0x13, b"\xff")],
        [tlv(0x0C, b"\xff")],
        [tlv(0x04, b"octets")],
    ],
)
def test_a_broken_challenge_password_is_malformed_and_not_told(values: list[bytes]) -> None:
    with pytest.raises(Malformed) as caught:
        decode(raw_csr(attribute(CHALLENGE_PASSWORD, *values)))

    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("subject", "names"),
    [(True, True), (True, False), (False, True)],
    ids=["both", "subject", "names"],
)
def test_est_E10_a_change_of_names_is_read(*, subject: bool, names: bool) -> None:
    parts = [a_name("new").public_bytes()] * subject + [DNS] * names

    request = decode(raw_csr(attribute(CHANGE_SUBJECT_NAME, sequence(*parts))))

    assert request.change_subject_name == (a_name("new") if subject else None)
    assert request.change_subject_alternative_names == ((x509.DNSName("a.b"),) if names else None)


def test_an_empty_name_to_change_to_is_a_name() -> None:
    request = decode(raw_csr(attribute(CHANGE_SUBJECT_NAME, sequence(sequence()))))

    assert request.change_subject_name == x509.Name([])


@pytest.mark.parametrize(
    "value",
    [
        sequence(),
        sequence(DNS, a_name().public_bytes()),
        sequence(a_name().public_bytes(), DNS, DNS),
        sequence(a_name().public_bytes(), a_name().public_bytes()),
        sequence(sequence(b"\x82\x01a", tlv(0x31))),
        sequence(sequence(b"\x05\x00")),
        sequence(b"\x05\x00"),
        b"\x05\x00",
    ],
)
def test_est_E10_a_broken_change_of_names_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw_csr(attribute(CHANGE_SUBJECT_NAME, value)))


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (b"\x07\x80", frozenset({KeyUsageBit.DIGITAL_SIGNATURE})),
        (b"\x06\xc0", frozenset({KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION})),
        (b"\x05\x20", frozenset({KeyUsageBit.KEY_ENCIPHERMENT})),
        (b"\x03\x08", frozenset({KeyUsageBit.KEY_AGREEMENT})),
        (b"\x01\x86", frozenset({KeyUsageBit.DIGITAL_SIGNATURE})),  # and keyCertSign, cRLSign
        (b"\x02\x04", None),  # keyCertSign alone
        (b"\x07\x00\x80", None),  # decipherOnly alone
        (b"\x00", None),
    ],
)
def test_key_usage_keeps_what_an_end_entity_may_have(
    bits: bytes, expected: frozenset[KeyUsageBit] | None
) -> None:
    usage = extension(KEY_USAGE, tlv(0x03, bits), critical=True)

    assert decode(raw_csr(extension_request(usage))).key_usage == expected


def test_est_E3_a_request_that_forbids_signatures_is_taken_with_its_own() -> None:
    usage = some_key_usage(key_encipherment=True)

    request = decode(a_csr(a_key("rsa-2048"), extensions=[usage]))

    assert request.key_usage == frozenset({KeyUsageBit.KEY_ENCIPHERMENT})


def test_est_A5_the_purposes_that_are_asked_for_are_read() -> None:
    wanted = [ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")]

    request = decode(a_csr(extensions=[x509.ExtendedKeyUsage(wanted)]))

    assert request.extended_key_usage == frozenset(wanted)
    assert decode(a_csr()).extended_key_usage is None


def test_est_E9_other_extensions_are_not_carried_over() -> None:
    wanted = a_csr(
        extensions=[
            x509.BasicConstraints(ca=True, path_length=None),
            x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.5.29.37.0")]),
            x509.OCSPNoCheck(),
        ]
    )

    request = decode(wanted)

    assert request.subject_alternative_names is None
    assert request.key_usage is None


@pytest.mark.parametrize("number", range(40))
def test_security_C1_an_extension_of_any_kind_is_passed_over(number: int) -> None:
    odd = extension(f"551d{number:02x}", b"\xff\xff", critical=True)
    read_here = {SUBJECT_ALTERNATIVE_NAME, KEY_USAGE, EXTENDED_KEY_USAGE}

    if f"551d{number:02x}" in read_here:
        with pytest.raises(Malformed):
            decode(raw_csr(extension_request(odd)))
    else:
        assert decode(raw_csr(extension_request(odd, SAN))).key_usage is None


@pytest.mark.parametrize(
    "value",
    [
        sequence(),
        b"\x05\x00",
        b"",
        DNS + b"\0",
        b"\x30\x80\x00\x00",
        sequence(tlv(0x82, b"\xff")),
        sequence(tlv(0x87, b"123")),
        sequence(tlv(0x88, b"\x86" * 60_000)),
        sequence(tlv(0xA3, b"\x05\x00")),
        sequence(tlv(0xA5, b"\x05\x00")),
        sequence(tlv(0xA4, b"\x05\x00")),
        sequence(b"\x05\x00"),
        sequence(b"\x82\x01a" * 5_000),
    ],
)
def test_security_C2_names_that_cannot_be_read_are_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw_csr(extension_request(extension(SUBJECT_ALTERNATIVE_NAME, value))))


@pytest.mark.parametrize(
    "text", ["a\0b", "*.example", "A.B.", "xn--80ak6aa92e.com", "", "a b", "a\r\nb", "../.."]
)
def test_security_C2_a_strange_name_is_carried_as_it_is(text: str) -> None:
    value = sequence(tlv(0x82, text.encode()))

    request = decode(raw_csr(extension_request(extension(SUBJECT_ALTERNATIVE_NAME, value))))

    assert request.subject_alternative_names is not None
    assert [name.value for name in request.subject_alternative_names] == [text]


def test_security_C2_a_thousand_names_are_read() -> None:
    names = [x509.DNSName(f"{number}.example") for number in range(1_000)]

    assert decode(a_csr(names=names)).subject_alternative_names == tuple(names)


COMMON_NAME = oid("550403")


@pytest.mark.filterwarnings("ignore:Attribute's length must be")
@pytest.mark.parametrize(
    "subject",
    [
        sequence(),
        sequence(*[tlv(0x31, sequence(COMMON_NAME, tlv(0x0C, b"a")))] * 5),
        sequence(
            tlv(
                0x31,
                sequence(COMMON_NAME, tlv(0x0C, b"a")),
                sequence(oid("550405"), tlv(0x13, b"1")),
            )
        ),
        sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0C, b"a\r\n\0b")))),
        sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0C, b"x" * 60_000)))),
        sequence(tlv(0x31, sequence(oid("550406"), tlv(0x13, b"DEU")))),
    ],
)
def test_security_C3_a_strange_subject_is_carried_as_it_is(subject: bytes) -> None:
    assert decode(raw_csr(subject=subject)).subject.public_bytes() == subject


@pytest.mark.parametrize(
    "subject",
    [
        sequence(b"\x05\x00"),
        sequence(tlv(0x31)),
        sequence(tlv(0x31, sequence(COMMON_NAME))),
        sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0C, b"\xff")))),
        sequence(tlv(0x31, sequence(COMMON_NAME, b"\x05\x00"))),
    ],
)
def test_security_C3_a_subject_that_cannot_be_read_is_malformed(subject: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw_csr(subject=subject))


CHALLENGE = attribute(CHALLENGE_PASSWORD, tlv(0x13, b"a"))


@pytest.mark.parametrize(
    "attributes",
    [
        [CHALLENGE, CHALLENGE],
        [extension_request(SAN), extension_request()],
        [extension_request(SAN), attribute("2b06010401823702010e", sequence())],
        [extension_request(SAN, SAN)],
        [attribute(EXTENSION_REQUEST)],
        [attribute(EXTENSION_REQUEST, sequence(), sequence())],
        [attribute(EXTENSION_REQUEST, b"\x05\x00")],
        [attribute(EXTENSION_REQUEST, sequence(b"\x05\x00"))],
        [attribute(EXTENSION_REQUEST, sequence(sequence(oid("551d11"))))],
        [attribute(EXTENSION_REQUEST, sequence(sequence(oid("551d11"), DNS)))],
        [extension_request(extension(KEY_USAGE, b"\x05\x00"))],
        [extension_request(extension(EXTENDED_KEY_USAGE, b"\x05\x00"))],
        [extension_request(extension(EXTENDED_KEY_USAGE, b"\x30\x02\x05\x00"))],
        [extension_request(extension(EXTENDED_KEY_USAGE, b"\x06\x01\x2a"))],
        [sequence(oid(CHALLENGE_PASSWORD))],
        [sequence(oid(CHALLENGE_PASSWORD), tlv(0x13, b"a"))],
        [b"\x05\x00"],
    ],
)
def test_attributes_twice_or_out_of_shape_are_malformed(attributes: list[bytes]) -> None:
    with pytest.raises(Malformed):
        decode(raw_csr(*attributes))


def test_microsoft_s_own_extension_request_is_read() -> None:
    request = decode(raw_csr(attribute("2b06010401823702010e", sequence(SAN))))

    assert request.subject_alternative_names == (x509.DNSName("a.b"),)


@pytest.mark.parametrize(
    "der",
    [
        b"\x05\x00",
        sequence(),
        sequence(sequence(), sequence(), tlv(0x03, b"\0")),
        raw_csr(version=b"\x02\x01\x01"),
        raw_csr(version=b"\x05\x00"),
        raw_csr(algorithm=b"\x05\x00"),
        raw_csr(spki=sequence()),
        raw_csr(spki=b"\x05\x00"),
        raw_csr() + b"\0",
        raw_csr()[:-1],
    ],
)
def test_what_is_no_request_is_malformed(der: bytes) -> None:
    with pytest.raises(Malformed):
        decode(der)


def test_a_certificate_is_no_request(tmp_path: Path) -> None:
    made = tmp_path / "certificate.der"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", tmp_path / "key", "-subj", "/CN=a", "-outform", "DER"),
            *("-out", made),
        ],
        check=True,
        capture_output=True,
    )

    with pytest.raises(Malformed):
        decode(made.read_bytes())


def test_est_H15_a_request_in_ber_is_malformed() -> None:
    der = raw_csr()

    with pytest.raises(Malformed) as caught:
        decode(b"\x30\x80" + der[3:] + b"\0\0")

    assert caught.value.finding == "not_der"


def test_security_P2_the_signature_covers_the_octets_as_received() -> None:
    honest = raw_csr(extension_request(SAN))
    altered = honest.replace(b"\x82\x03a.b", b"\x82\x03a.c")

    with pytest.raises(EnrollmentError) as caught:
        decode(altered)

    assert altered != honest
    assert caught.value.reason is FailureReason.BAD_PROOF_OF_POSSESSION


def test_security_P2_a_signature_has_one_encoding_only() -> None:
    ends_in_zero = next(der for _ in range(99) if not (der := raw_csr())[-1] & 1)
    *_, signature = split_der(split_der(ends_in_zero)[0].content)

    unused_bits = len(ends_in_zero) - len(signature.content)
    with pytest.raises(Malformed):
        decode(ends_in_zero[:unused_bits] + b"\x01" + ends_in_zero[unused_bits + 1 :])


def test_security_P2_no_bit_of_a_request_can_be_changed() -> None:
    der = a_csr(a_key("ed25519"), names=NAMES[:1])
    decode(der)

    for position in range(len(der) * 8):
        changed = bytearray(der)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(EnrollmentError):
            decode(bytes(changed))
