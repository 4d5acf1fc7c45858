from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import ObjectIdentifier

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.cms.content_info import DATA
from protocols.cms.digests import STRONG, Digest
from protocols.cms.identifiers import issuer_and_serial
from protocols.cms.signatures import Scheme
from protocols.cms.signed_data import (
    Attribute,
    SignedData,
    Signer,
    decode_signed_data,
    encode_signed_data,
    verify,
)
from tests.support.cms import (
    RSA_WITH_SHA256,
    Party,
    a_party,
    a_signed_message,
    a_signer_info,
    content_type_attribute,
    digest_attribute,
)
from tests.support.csr import attribute, oid, sequence, tlv
from tests.support.openssl import openssl

CONTENT = b"what is signed\n" * 20
GOOD = (content_type_attribute(), digest_attribute(CONTENT))
TRANSACTION_ID = ObjectIdentifier("2.16.840.1.113733.1.9.7")
WITH_SHA1 = STRONG | {Digest.SHA1}
MD5 = sequence(oid("2a864886f70d0205"), b"\x05\x00")
SHA1 = sequence(oid("2b0e03021a"), b"\x05\x00")
SHA256_NULL = sequence(oid("608648016503040201"), b"\x05\x00")
SHA512 = sequence(oid("608648016503040203"))
BAD = FailureReason.BAD_MESSAGE_CHECK
UNSUPPORTED = FailureReason.UNSUPPORTED_ALGORITHM


def signed_by_openssl(party: Party, folder: Path, *words: str) -> bytes:
    certificate, key = party.files(folder)
    return openssl(
        "cms", "-sign", "-signer", certificate, "-inkey", key, "-outform", "DER", "-binary",
        "-nodetach", "-nosmimecap", *words, given=CONTENT,
    )  # fmt: skip


def refusal_of(message: bytes | SignedData, **options: object) -> FailureReason:
    read = message if isinstance(message, SignedData) else decode_signed_data(message)
    with pytest.raises(EnrollmentError) as refused:
        verify(read, **options)  # type: ignore[arg-type]  # as the test says
    return refused.value.reason


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rsa-2048", ("-md", "sha256")),
        ("rsa-2048", ("-md", "sha384")),
        ("rsa-2048", ("-md", "sha512", "-keyid")),
        ("rsa-2048", ("-md", "sha256", "-keyopt", "rsa_padding_mode:pss")),
        ("rsa-2048", ("-md", "sha384", "-keyopt", "rsa_padding_mode:pss",
                      "-keyopt", "rsa_pss_saltlen:48")),
        ("p-256", ("-md", "sha256")),
        ("p-384", ("-md", "sha384", "-keyid")),
        ("p-521", ("-md", "sha512")),
    ],
)  # fmt: skip
def test_what_openssl_signs_is_verified(kind: str, words: tuple[str, ...], tmp_path: Path) -> None:
    party = a_party(kind)

    read = decode_signed_data(signed_by_openssl(party, tmp_path, *words))

    assert verify(read) == party.certificate
    assert (read.content_type, read.content) == (DATA, CONTENT)
    assert read.certificates == (party.der,)


def test_scep_38_what_openssl_streams_in_ber_is_verified(tmp_path: Path) -> None:
    message = signed_by_openssl(a_party(), tmp_path, "-stream")
    assert message[1] == 0x80

    read = decode_signed_data(message)

    assert verify(read) == a_party().certificate
    assert read.content == CONTENT


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "ed25519"])
def test_what_we_sign_is_verified(kind: str) -> None:
    party = a_party(kind)
    value = tlv(0x13, b"transaction-1")
    message = encode_signed_data(
        DATA,
        CONTENT,
        signer=party.signer(),
        signed_attributes=(Attribute(type=TRANSACTION_ID, values=(value,)),),
        certificates=(a_party("p-384", "pump-2").der, party.der),
    )

    read = decode_signed_data(message)

    assert verify(read) == party.certificate
    assert read.signer.identifier == issuer_and_serial(party.certificate)
    assert read.signer.attributes[TRANSACTION_ID] == (value,)
    assert read.certificates == (a_party("p-384", "pump-2").der, party.der)


def test_scep_50_a_content_can_be_absent() -> None:
    message = encode_signed_data(
        DATA, None, signer=a_party().signer(), certificates=(a_party().der,)
    )

    read = decode_signed_data(message)

    assert read.content is None
    assert verify(read) == a_party().certificate


def test_an_absent_content_is_not_an_empty_one() -> None:
    message = encode_signed_data(
        DATA, b"", signer=a_party().signer(), certificates=(a_party().der,)
    )

    assert decode_signed_data(message).content == b""


@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_the_signer_s_certificate_can_be_given(*, by_key_identifier: bool) -> None:
    party = a_party()
    identifier = party.key_identifier if by_key_identifier else None
    message = encode_signed_data(DATA, CONTENT, signer=party.signer(key_identifier=identifier))

    read = decode_signed_data(message)

    assert verify(read, certificate=party.certificate) == party.certificate
    assert refusal_of(read, certificate=a_party("rsa-2048", "pump-2", number=1).certificate) is BAD
    assert refusal_of(read, certificate=a_party("p-256", "pump-3").certificate) is BAD


def test_scep_46_a_signer_whose_certificate_is_absent_is_refused() -> None:
    info = a_signer_info(GOOD)

    assert refusal_of(a_signed_message(CONTENT, info, certificates=())) is BAD
    others = (a_party("p-256", "pump-2").der, sequence(b"\x05\x00"))
    assert refusal_of(a_signed_message(CONTENT, info, certificates=others)) is BAD


def test_the_certificate_is_found_among_others_that_cannot_be_read() -> None:
    of_version_10 = a_party().der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"))
    others = (
        tlv(0xA1, b"\x05\x00"),
        sequence(b"\x05\x00"),
        of_version_10,
        a_party("p-256", "pump-2").der,
    )

    message = a_signed_message(CONTENT, a_signer_info(GOOD), certificates=(*others, a_party().der))

    assert verify(decode_signed_data(message)) == a_party().certificate


@pytest.mark.parametrize("count", [0, 2, 3])
def test_scep_16_any_number_of_signers_but_one_is_refused(count: int) -> None:
    message = a_signed_message(CONTENT, *[a_signer_info(GOOD)] * count)

    with pytest.raises(Malformed) as refused:
        decode_signed_data(message)

    assert refused.value.finding == "not_one_signer"


def test_scep_16_a_signature_without_signed_attributes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        decode_signed_data(signed_by_openssl(a_party(), tmp_path, "-noattr"))

    with pytest.raises(Malformed):
        decode_signed_data(a_signed_message(CONTENT, a_signer_info(None)))


@pytest.mark.parametrize(
    "attributes",
    [
        (content_type_attribute(), content_type_attribute(), digest_attribute(CONTENT)),
        (content_type_attribute(), digest_attribute(CONTENT), digest_attribute(b"")),
        (*GOOD, attribute("55040a"), attribute("55040a")),
        (*GOOD, tlv(0x04, b"")),
        (*GOOD, sequence(oid("55040a"))),
    ],
)
def test_security_P3_an_attribute_that_stands_twice_or_is_none_is_refused(
    attributes: tuple[bytes, ...],
) -> None:
    with pytest.raises(Malformed):
        decode_signed_data(a_signed_message(CONTENT, a_signer_info(attributes)))


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (content_type_attribute(),),
        (digest_attribute(CONTENT),),
        (content_type_attribute(), digest_attribute(b"another content")),
        (content_type_attribute(oid("2a864886f70d010703")), digest_attribute(CONTENT)),
        (attribute("2a864886f70d010903"), digest_attribute(CONTENT)),
        (
            attribute("2a864886f70d010903", oid("2a864886f70d010701"), oid("2a864886f70d010703")),
            digest_attribute(CONTENT),
        ),
        (content_type_attribute(), attribute("2a864886f70d010904", tlv(0x04, b""), tlv(0x04, b""))),
        (content_type_attribute(), attribute("2a864886f70d010904", tlv(0x13, b""))),
    ],
)
def test_security_P3_a_signature_over_other_attributes_than_these_is_refused(
    attributes: tuple[bytes, ...],
) -> None:
    assert refusal_of(a_signed_message(CONTENT, a_signer_info(attributes))) is BAD


def test_security_P3_unsigned_attributes_are_not_looked_at() -> None:
    unsigned = tlv(0xA1, attribute("2a864886f70d010904", tlv(0x04, b"")), attribute("55040a"))

    read = decode_signed_data(a_signed_message(CONTENT, a_signer_info(GOOD, unsigned=unsigned)))

    assert verify(read) == a_party().certificate
    assert len(read.signer.attributes) == 2


def test_a_changed_content_attribute_or_signature_is_refused() -> None:
    message = a_signed_message(CONTENT, a_signer_info((*GOOD, attribute("55040a", b"\x05\x00"))))
    assert verify(decode_signed_data(message)) == a_party().certificate

    for place in (message.index(CONTENT), message.index(oid("55040a")) + 4, len(message) - 1):
        changed = bytearray(message)
        changed[place] ^= 1
        assert refusal_of(bytes(changed)) is BAD


def test_a_signature_by_another_key_is_refused() -> None:
    other = a_party("rsa-2048", number=1)
    info = a_signer_info(GOOD, sign=other.signer().sign)

    assert refusal_of(a_signed_message(CONTENT, info)) is BAD


def test_attributes_in_another_order_are_verified_as_they_were_received() -> None:
    info = a_signer_info((*reversed(GOOD), attribute("55040a", b"\x05\x00")))

    assert verify(decode_signed_data(a_signed_message(CONTENT, info))) == a_party().certificate


@pytest.mark.parametrize(
    ("digest_algorithm", "algorithm"),
    [
        (MD5, sequence(oid("2a864886f70d010101"), b"\x05\x00")),
        (MD5, sequence(oid("2a864886f70d010104"), b"\x05\x00")),
        (SHA1, sequence(oid("2a864886f70d010105"), b"\x05\x00")),
        (SHA1, RSA_WITH_SHA256),
        (SHA512, RSA_WITH_SHA256),
        (SHA256_NULL, sequence(oid("2a864886f70d01010d"), b"\x05\x00")),
        (SHA256_NULL, sequence(oid("2a8648ce3d040302"))),
        (SHA256_NULL, sequence(oid("2b6570"))),
        (SHA256_NULL, sequence(oid("2a864886f70d010101"), sequence())),
        (SHA256_NULL, sequence()),
        (sequence(), RSA_WITH_SHA256),
        (sequence(b"\x05\x00"), RSA_WITH_SHA256),
    ],
)
def test_security_P4_algorithms_that_are_not_allowed_or_do_not_agree_are_refused(
    digest_algorithm: bytes, algorithm: bytes
) -> None:
    info = a_signer_info(GOOD, digest_algorithm=digest_algorithm, algorithm=algorithm)

    assert refusal_of(a_signed_message(CONTENT, info)) is UNSUPPORTED


@pytest.mark.parametrize(
    ("kind", "scheme", "digest"),
    [
        ("rsa-2048", Scheme.ED25519, Digest.SHA512),
        ("rsa-2048", Scheme.ECDSA, Digest.SHA256),
        ("p-256", Scheme.RSA_PKCS1, Digest.SHA256),
        ("p-256", Scheme.RSA_PSS, Digest.SHA256),
        ("ed25519", Scheme.ECDSA, Digest.SHA512),
    ],
)
def test_security_P4_an_algorithm_of_another_kind_of_key_is_refused(
    kind: str, scheme: Scheme, digest: Digest
) -> None:
    party = a_party(kind)
    signer = Signer(
        certificate=party.certificate, scheme=scheme, digest=digest, sign=party.signer().sign
    )

    message = encode_signed_data(DATA, CONTENT, signer=signer, certificates=(party.der,))

    assert refusal_of(message) is UNSUPPORTED


def test_scep_43_sha_1_is_verified_only_for_who_allows_it(tmp_path: Path) -> None:
    read = decode_signed_data(signed_by_openssl(a_party(), tmp_path, "-md", "sha1"))

    assert refusal_of(read) is UNSUPPORTED
    assert verify(read, allowed=WITH_SHA1) == a_party().certificate


def pss(*fields: bytes) -> bytes:
    return sequence(oid("2a864886f70d01010a"), sequence(*fields))


SHA256 = sequence(oid("608648016503040201"))
HASH = tlv(0xA0, SHA256)
MASK = tlv(0xA1, sequence(oid("2a864886f70d010108"), SHA256))


@pytest.mark.parametrize(
    ("algorithm", "salt"),
    [
        (pss(HASH, MASK), 20),
        (pss(HASH, MASK, tlv(0xA2, b"\x02\x01\x20")), 32),
        (pss(HASH, MASK, tlv(0xA2, b"\x02\x02\x00\xde")), 222),
        (pss(tlv(0xA0, SHA256_NULL), MASK, tlv(0xA2, b"\x02\x01\x20")), 32),
    ],
)
def test_scep_40_rsassa_pss_is_verified_by_its_parameters(algorithm: bytes, salt: int) -> None:
    key = a_party().key
    assert isinstance(key, rsa.RSAPrivateKey)
    form = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    info = a_signer_info(
        GOOD, algorithm=algorithm, sign=lambda octets: key.sign(octets, form, hashes.SHA256())
    )

    read = decode_signed_data(a_signed_message(CONTENT, info))

    assert verify(read) == a_party().certificate


@pytest.mark.parametrize(
    "algorithm",
    [
        sequence(oid("2a864886f70d01010a")),
        sequence(oid("2a864886f70d01010a"), b"\x05\x00"),
        sequence(oid("2a864886f70d01010a"), tlv(0x04, b"\xff")),
        pss(),
        pss(HASH),
        pss(MASK),
        pss(HASH, tlv(0xA1, tlv(0x04, b"\xff"))),
        pss(HASH, tlv(0xA1)),
        pss(HASH, tlv(0xA1, sequence(oid("2a864886f70d010108"), SHA1))),
        pss(HASH, tlv(0xA1, sequence(oid("2a864886f70d010109"), SHA256))),
        pss(tlv(0xA0, SHA512), tlv(0xA1, sequence(oid("2a864886f70d010108"), SHA512))),
        pss(HASH, MASK, tlv(0xA2, b"\x02\x01\x00")),
        pss(HASH, MASK, tlv(0xA2, b"\x02\x01\x80")),
        pss(HASH, MASK, tlv(0xA2, b"\x02\x02\x02\x00")),
        pss(HASH, MASK, tlv(0xA2)),
        pss(HASH, MASK, tlv(0xA2, b"\x02\x01\x20"), tlv(0xA3, b"\x02\x01\x02")),
    ],
)
def test_scep_40_rsassa_pss_with_other_parameters_is_refused(algorithm: bytes) -> None:
    info = a_signer_info(GOOD, algorithm=algorithm)

    assert refusal_of(a_signed_message(CONTENT, info)) is UNSUPPORTED


def test_scep_40_rsassa_pss_is_never_verified_with_sha_1() -> None:
    mask = tlv(0xA1, sequence(oid("2a864886f70d010108"), SHA1))
    algorithm = pss(tlv(0xA0, SHA1), mask, tlv(0xA2, b"\x02\x01\x14"))
    info = a_signer_info(GOOD, digest_algorithm=SHA1, algorithm=algorithm)

    assert refusal_of(a_signed_message(CONTENT, info), allowed=WITH_SHA1) is UNSUPPORTED


@pytest.mark.parametrize("kind", ["rsa-1024", "rsa-2048-e3", "secp256k1"])
def test_a_signer_s_key_that_is_weak_or_odd_is_refused(kind: str) -> None:
    party = a_party(kind)
    message = encode_signed_data(DATA, CONTENT, signer=party.signer(), certificates=(party.der,))

    assert refusal_of(message) is UNSUPPORTED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x30\x80",
        sequence(oid("2a864886f70d010701"), tlv(0xA0, tlv(0x04, b""))),
        sequence(oid("2a864886f70d010702"), tlv(0xA0, b"\x05\x00")),
        sequence(oid("2a864886f70d010702"), tlv(0xA0, sequence())),
        a_signed_message(CONTENT, a_signer_info(GOOD), held=tlv(0xA0, b"\x05\x00")),
        a_signed_message(CONTENT, a_signer_info(GOOD), held=tlv(0xA0)),
        a_signed_message(CONTENT, a_signer_info(GOOD), held=tlv(0x04, CONTENT)),
        a_signed_message(CONTENT, a_signer_info(GOOD), content_type=b"\x05\x00"),
        a_signed_message(CONTENT, sequence()),
        a_signed_message(CONTENT, b"\x05\x00"),
        a_signed_message(CONTENT, a_signer_info(GOOD, identifier=b"\x05\x00")),
        a_signed_message(CONTENT, a_signer_info(GOOD, unsigned=b"\x05\x00")),
        a_signed_message(CONTENT, a_signer_info(GOOD)) + b"\x00",
        a_signed_message(CONTENT, a_signer_info(GOOD)).replace(
            oid("2a864886f70d010702"), oid("2a864886f70d010703")
        ),
    ],
)
def test_what_is_no_signed_data_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        decode_signed_data(message)
