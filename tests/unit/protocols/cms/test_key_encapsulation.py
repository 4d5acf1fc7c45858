"""KEMRecipientInfo: the example of RFC 9936, and what we write opened by RFC 9629's steps."""

import hmac
from functools import partial

import pytest
from asn1crypto import algos, cms, core
from cryptography.hazmat.primitives.asymmetric import mlkem, x448
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cms.enveloped_data import encode_enveloped_data, open_enveloped_data
from protocols.cms.identifiers import NumberedKey, issuer_and_serial
from protocols.cms.key_encapsulation import EncapsulationKey, KeyDerivation
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipients import KeyAgreement, KeyEncapsulation, KeyTransport, recipient_of
from tests.support.cms import Party, a_party, an_envelope, key_of
from tests.support.csr import oid, sequence, tlv

CONTENT = b"what is hidden\n" * 20
KINDS = ["ml-kem-768", "ml-kem-1024"]
PARTY = a_party("ml-kem-768")
KEY = bytes(range(16))
CIPHERTEXT = bytes(1088)
SECRET = bytes(range(32))
KEM = sequence(oid("608648016503040402"))
HKDF = sequence(oid("2a864886f70d010910031c"))
AES_128_WRAP = sequence(oid("608648016503040105"))
# RFC 9936, Appendix C.1: the secret, and what it gives.
RFC_SECRET = bytes.fromhex("7df12d412ae299a24fde6d7c3bb8e3194c80ad3c733dcf2775e09fe8bedb86d8")
RFC_WRAPPING_KEY = bytes.fromhex("cf453a3e2bae0a78701b8206c185a008")
RFC_WRAPPED = bytes.fromhex("c050e4392f9c14dd0ac2220203f317d701f94f9dd92778f5")
RFC_CONTENT_KEY = bytes.fromhex("c5153005588269a0a59f3c01943fdd56")


class KEMRecipientInfo(core.Sequence):  # type: ignore[misc] # asn1crypto has no types
    """RFC 9629 §3, without ukm."""

    _fields = [  # noqa: RUF012 - asn1crypto's way to declare a SEQUENCE
        ("version", cms.CMSVersion),
        ("rid", cms.RecipientIdentifier),
        ("kem", algos.AlgorithmIdentifier),
        ("kemct", core.OctetString),
        ("kdf", algos.AlgorithmIdentifier),
        ("kek_length", core.Integer),
        ("wrap", cms.KeyEncryptionAlgorithm),
        ("encrypted_key", core.OctetString),
    ]


def a_recipient_info(
    encrypted_key: bytes,
    *,
    rid: bytes | None = None,
    kem: bytes = KEM,
    kdf: bytes = HKDF,
    length: bytes = b"\x02\x01\x10",
    ukm: bytes | None = None,
    wrap: bytes = AES_128_WRAP,
) -> bytes:
    """Make an OtherRecipientInfo with a KEMRecipientInfo, octet by octet."""
    return tlv(
        0xA4,
        oid("2a864886f70d0109100d03"),
        sequence(
            b"\x02\x01\x00",
            rid or issuer_and_serial(PARTY.certificate),
            kem,
            tlv(0x04, CIPHERTEXT),
            kdf,
            length,
            b"" if ukm is None else tlv(0xA0, tlv(0x04, ukm)),
            wrap,
            tlv(0x04, encrypted_key),
        ),
    )


def hkdf_sha256(secret: bytes, info: bytes) -> bytes:
    """HKDF (RFC 5869) for one block, without salt, written down independently."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def giving(secret: bytes, party: Party = PARTY) -> EncapsulationKey:
    """Give a key that decapsulates to this secret, whatever it is shown."""
    return EncapsulationKey(certificate=party.certificate, decapsulate=lambda _: secret, kem=KEM)


def test_the_wrapping_key_is_that_of_rfc_9936() -> None:
    made = KeyDerivation.HKDF_SHA256.wrapping_key(RFC_SECRET, KeyWrap.AES_128, None)

    assert made == RFC_WRAPPING_KEY


def test_an_envelope_with_the_keys_of_rfc_9936_opens() -> None:
    message = an_envelope(a_recipient_info(RFC_WRAPPED), key=RFC_CONTENT_KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(giving(RFC_SECRET),)).content == CONTENT


def test_keying_material_of_the_user_is_part_of_the_context() -> None:
    info = sequence(AES_128_WRAP, b"\x02\x01\x10", tlv(0xA0, tlv(0x04, b"material")))
    wrapped = aes_key_wrap(hkdf_sha256(SECRET, info)[:16], KEY)
    message = an_envelope(a_recipient_info(wrapped, ukm=b"material"), key=KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(giving(SECRET),)).content == CONTENT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_what_is_closed_for_ml_kem_opens_by_rfc_9629(kind: str, *, by_key_identifier: bool) -> None:
    party = a_party(kind)
    identifier = party.key_identifier if by_key_identifier else None

    message = encode_enveloped_data(
        CONTENT, recipient=recipient_of(party.certificate, key_identifier=identifier)
    )

    read = cms.ContentInfo.load(message, strict=True)
    assert read.dump(force=True) == message
    enveloped = read["content"]
    assert enveloped["version"].native == "v3"
    other = enveloped["recipient_infos"][0].chosen
    assert other["ori_type"].dotted == "1.2.840.113549.1.9.16.13.3"
    recipient = KEMRecipientInfo.load(other["ori_value"].dump(), strict=True)
    assert recipient["version"].native == "v0"
    assert recipient["kem"].dump() == sequence(
        oid("608648016503040402" if kind == "ml-kem-768" else "608648016503040403")
    )
    named = recipient["rid"].chosen
    assert (
        named.native == identifier
        if by_key_identifier
        else named.dump() == issuer_and_serial(party.certificate)
    )
    assert isinstance(party.key, mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey)
    info = sequence(sequence(oid("60864801650304012d")), b"\x02\x01\x20")
    wrapping_key = hkdf_sha256(party.key.decapsulate(recipient["kemct"].native), info)
    assert recipient["kek_length"].native == 32
    content_key = aes_key_unwrap(wrapping_key, recipient["encrypted_key"].native)
    assert decrypted(enveloped["encrypted_content_info"], content_key) == CONTENT


def decrypted(info: cms.EncryptedContentInfo, content_key: bytes) -> bytes:
    vector = info["content_encryption_algorithm"]["parameters"].native
    decryptor = Cipher(AES(content_key), CBC(vector)).decryptor()
    padded = decryptor.update(info["encrypted_content"].native) + decryptor.finalize()
    return padded[: -padded[-1]]


@pytest.mark.parametrize("kind", [*KINDS, "x448"])
@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_what_we_close_we_open(kind: str, *, by_key_identifier: bool) -> None:
    party = a_party(kind)
    identifier = party.key_identifier if by_key_identifier else None
    recipient = recipient_of(party.certificate, key_identifier=identifier)

    message = encode_enveloped_data(CONTENT, recipient=recipient)

    assert open_enveloped_data(message, keys=(key_of(party),)).content == CONTENT


@pytest.mark.parametrize("derivation", KeyDerivation)
@pytest.mark.parametrize("wrap", KeyWrap)
def test_each_derivation_and_wrap_opens(derivation: KeyDerivation, wrap: KeyWrap) -> None:
    recipient = KeyEncapsulation(certificate=PARTY.certificate, derivation=derivation, wrap=wrap)

    message = encode_enveloped_data(CONTENT, recipient=recipient)

    assert open_enveloped_data(message, keys=(key_of(PARTY),)).content == CONTENT


def test_what_is_closed_for_x448_opens_by_rfc_8418() -> None:
    party = a_party("x448")

    message = encode_enveloped_data(CONTENT, recipient=recipient_of(party.certificate))

    enveloped = cms.ContentInfo.load(message, strict=True)["content"]
    agreement = enveloped["recipient_infos"][0].chosen
    assert agreement["key_encryption_algorithm"]["algorithm"].dotted == "1.2.840.113549.1.9.16.3.21"
    originator = agreement["originator"].chosen
    assert originator["algorithm"].dump().hex() == "300506032b656f"
    theirs = x448.X448PublicKey.from_public_bytes(bytes(originator["public_key"]))
    assert isinstance(party.key, x448.X448PrivateKey)
    info = bytes.fromhex("3015 300b 060960864801650304012d a206 0404 00000100")
    extracted = hmac.digest(bytes(64), party.key.exchange(theirs), "sha512")
    wrapping_key = hmac.digest(extracted, info + b"\x01", "sha512")[:32]
    encrypted_key = agreement["recipient_encrypted_keys"][0]["encrypted_key"].native
    content_key = aes_key_unwrap(wrapping_key, encrypted_key)
    assert decrypted(enveloped["encrypted_content_info"], content_key) == CONTENT


@pytest.mark.parametrize("number", [0, 1, 127, 128, 65_536])
@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "x25519", "ml-kem-768"])
def test_a_key_without_a_certificate_goes_by_its_number(kind: str, number: int) -> None:
    key = NumberedKey(key=a_party(kind).certificate.public_key(), number=number)

    message = encode_enveloped_data(CONTENT, recipient=recipient_of(key))

    named = cms.IssuerAndSerialNumber.load(issuer_and_serial(key), strict=True)
    assert named["issuer"].native == {}
    assert named["serial_number"].native == number
    assert issuer_and_serial(key) in message


@pytest.mark.parametrize(
    ("recipient_info", "reason", "finding"),
    [
        (
            partial(a_recipient_info, kem=sequence(oid("608648016503040403"))),
            FailureReason.UNSUPPORTED_ALGORITHM,
            "unsupported_algorithm",
        ),
        (
            partial(a_recipient_info, kdf=sequence(oid("608648016503040213"))),
            FailureReason.UNSUPPORTED_ALGORITHM,
            "unsupported_algorithm",
        ),
        (
            partial(a_recipient_info, wrap=sequence(oid("608648016503040106"))),
            FailureReason.UNSUPPORTED_ALGORITHM,
            "unsupported_algorithm",
        ),
        (
            partial(a_recipient_info, length=b"\x02\x01\x20"),
            FailureReason.MALFORMED_REQUEST,
            "malformed_request",
        ),
        (
            partial(a_recipient_info, length=b"\x04\x01\x10"),
            FailureReason.MALFORMED_REQUEST,
            "malformed_request",
        ),
        (
            partial(a_recipient_info, rid=tlv(0x80, b"another key")),
            FailureReason.MALFORMED_REQUEST,
            "envelope_not_for_us",
        ),
    ],
)
def test_what_cannot_be_meant_for_the_key_is_refused(
    recipient_info: partial[bytes], reason: FailureReason, finding: str
) -> None:
    message = an_envelope(recipient_info(bytes(24)), key=KEY)

    with pytest.raises(EnrollmentError) as refused:
        open_enveloped_data(message, keys=(giving(SECRET),))

    assert (refused.value.reason, refused.value.finding) == (reason, finding)


@pytest.mark.parametrize(
    "other",
    [
        tlv(0xA4),
        tlv(0xA4, b"\x02\x01\x00"),
        tlv(0xA4, oid("2a864886f70d0109100d03"), b"\x05\x00"),
        tlv(0xA4, oid("2a864886f70d0109100d03"), sequence(b"\x02\x01\x00")),
        tlv(0xA4, oid("2a864886f70d0109100d04"), sequence()),
    ],
)
def test_another_kind_of_recipient_is_not_ours(other: bytes) -> None:
    with pytest.raises(EnrollmentError) as refused:
        open_enveloped_data(an_envelope(other), keys=(giving(SECRET),))

    assert refused.value.reason is FailureReason.MALFORMED_REQUEST


@pytest.mark.parametrize("octets", [0, 1087, 1089])
def test_what_was_not_encapsulated_fails_as_a_wrong_key_does(octets: int) -> None:
    message = encode_enveloped_data(CONTENT, recipient=recipient_of(PARTY.certificate))
    (content,) = der.split(message)
    kemct = cms.ContentInfo.load(content.whole)["content"]["recipient_infos"][0].chosen
    read = KEMRecipientInfo.load(kemct["ori_value"].dump())
    read["kemct"] = bytes(octets)
    other = tlv(0xA4, oid("2a864886f70d0109100d03"), read.dump(force=True))

    with pytest.raises(EnrollmentError) as refused:
        open_enveloped_data(an_envelope(other, key=KEY), keys=(key_of(PARTY),))

    assert refused.value.finding == "envelope_unopened"


@pytest.mark.parametrize("kind", ["ed25519", "p-256", "rsa-2048", "x25519"])
def test_nothing_is_encapsulated_to_another_kind_of_key(kind: str) -> None:
    with pytest.raises(EnrollmentError) as refused:
        KeyEncapsulation(certificate=a_party(kind).certificate).encode(bytes(16))

    assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_the_way_to_a_recipient_follows_from_the_key() -> None:
    assert isinstance(recipient_of(a_party("ml-kem-768").certificate), KeyEncapsulation)
    assert isinstance(recipient_of(a_party("ml-kem-1024").certificate), KeyEncapsulation)
    assert isinstance(recipient_of(a_party("x448").certificate), KeyAgreement)
    bare = NumberedKey(key=a_party().certificate.public_key(), number=0)
    assert isinstance(recipient_of(bare), KeyTransport)
