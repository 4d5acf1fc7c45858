import hmac
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA, SIGNED_DATA, unwrap, wrap
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipients import (
    KeyAgreement,
    KeyEncryptionKey,
    KeyTransport,
    Recipient,
    recipient_of,
)
from protocols.cms.signed_data import encode_signed_data
from tests.support.cms import Party, a_party
from tests.support.openssl import openssl

CONTENT = b"what is hidden\n" * 20
AES_CIPHERS = [
    ContentEncryption.AES_128_CBC,
    ContentEncryption.AES_192_CBC,
    ContentEncryption.AES_256_CBC,
]


def opened_by_openssl(message: bytes, party: Party, folder: Path) -> bytes:
    certificate, key = party.files(folder)
    return openssl(
        "cms", "-decrypt", "-inform", "DER", "-recip", certificate, "-inkey", key, "-binary",
        given=message,
    )  # fmt: skip


@pytest.mark.parametrize("cipher", AES_CIPHERS)
@pytest.mark.parametrize("oaep", [None, *Digest])
@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_openssl_opens_what_is_closed_for_an_rsa_key(
    cipher: ContentEncryption, oaep: Digest | None, *, by_key_identifier: bool, tmp_path: Path
) -> None:
    party = a_party()
    recipient = KeyTransport(
        certificate=party.certificate,
        oaep=oaep,
        key_identifier=party.key_identifier if by_key_identifier else None,
    )

    message = encode_enveloped_data(CONTENT, recipient=recipient, content_encryption=cipher)

    assert opened_by_openssl(message, party, tmp_path) == CONTENT


@pytest.mark.parametrize("kind", ["p-256", "p-384", "p-521"])
@pytest.mark.parametrize("wrap_by", KeyWrap)
@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_openssl_opens_what_is_closed_for_an_ec_key(
    kind: str, wrap_by: KeyWrap, *, by_key_identifier: bool, tmp_path: Path
) -> None:
    party = a_party(kind)
    recipient = KeyAgreement(
        certificate=party.certificate,
        wrap=wrap_by,
        key_identifier=party.key_identifier if by_key_identifier else None,
    )

    message = encode_enveloped_data(CONTENT, recipient=recipient)

    assert opened_by_openssl(message, party, tmp_path) == CONTENT


@pytest.mark.parametrize("octets", [16, 24, 32])
@pytest.mark.parametrize("cipher", AES_CIPHERS)
def test_est_K8_openssl_opens_what_is_closed_with_a_key_in_common(
    octets: int, cipher: ContentEncryption
) -> None:
    key = bytes(range(octets))
    recipient = KeyEncryptionKey(key_identifier=b"\x01\x02\x03", key=key)

    message = encode_enveloped_data(CONTENT, recipient=recipient, content_encryption=cipher)

    opened = openssl(
        "cms", "-decrypt", "-inform", "DER", "-secretkey", key.hex(), "-secretkeyid", "010203",
        "-binary", given=message,
    )  # fmt: skip
    assert opened == CONTENT


@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_what_is_closed_for_x25519_opens_by_rfc_8418(*, by_key_identifier: bool) -> None:
    party = a_party("x25519")
    identifier = party.key_identifier if by_key_identifier else None

    message = encode_enveloped_data(
        CONTENT,
        recipient=KeyAgreement(certificate=party.certificate, key_identifier=identifier),
    )

    enveloped = cms.ContentInfo.load(message, strict=True)["content"]
    agreement = enveloped["recipient_infos"][0].chosen
    assert agreement["version"].native == "v3"
    assert agreement["key_encryption_algorithm"]["algorithm"].dotted == "1.2.840.113549.1.9.16.3.19"
    originator = agreement["originator"].chosen
    assert originator["algorithm"].dump().hex() == "300506032b656e"
    theirs = x25519.X25519PublicKey.from_public_bytes(bytes(originator["public_key"]))
    assert isinstance(party.key, x25519.X25519PrivateKey)
    wrapping_key = _hkdf_sha256(
        party.key.exchange(theirs),
        bytes.fromhex("3015 300b 060960864801650304012d a206 0404 00000100"),
    )
    encrypted_key = agreement["recipient_encrypted_keys"][0]["encrypted_key"].native
    content_key = aes_key_unwrap(wrapping_key, encrypted_key)
    assert _decrypted(enveloped["encrypted_content_info"], content_key) == CONTENT


@pytest.mark.parametrize(
    ("recipient", "version", "recipient_version"),
    [
        (KeyTransport(certificate=a_party().certificate), "v0", "v0"),
        (KeyTransport(certificate=a_party().certificate, key_identifier=b"key"), "v2", "v2"),
        (KeyAgreement(certificate=a_party("p-256").certificate), "v2", "v3"),
        (KeyEncryptionKey(key_identifier=b"key", key=bytes(16)), "v2", "v4"),
    ],
)
def test_the_versions_follow_rfc_5652(
    recipient: Recipient, version: str, recipient_version: str
) -> None:
    message = encode_enveloped_data(CONTENT, recipient=recipient)

    read = cms.ContentInfo.load(message, strict=True)
    assert read.dump(force=True) == message
    assert read["content"]["version"].native == version
    (recipient_info,) = read["content"]["recipient_infos"]
    assert recipient_info.chosen["version"].native == recipient_version


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17])
def test_a_content_of_any_length_is_padded(length: int, tmp_path: Path) -> None:
    party = a_party()
    content = bytes(length)

    message = encode_enveloped_data(content, recipient=KeyTransport(certificate=party.certificate))

    assert opened_by_openssl(message, party, tmp_path) == content


def test_est_K11_openssl_opens_the_envelope_and_verifies_what_was_signed_within(
    tmp_path: Path,
) -> None:
    signer, recipient = a_party("p-256"), a_party()
    signed = encode_signed_data(DATA, CONTENT, signer=signer.signer(), certificates=(signer.der,))

    content_type, content = unwrap(signed)
    message = encode_enveloped_data(
        content, content_type=content_type, recipient=recipient_of(recipient.certificate)
    )

    opened = opened_by_openssl(message, recipient, tmp_path)
    certificate, _ = signer.files(tmp_path)
    verified = openssl(
        "cms", "-verify", "-inform", "DER", "-CAfile", certificate, "-purpose", "any",
        "-no_check_time", "-binary", given=wrap(SIGNED_DATA, opened),
    )  # fmt: skip
    assert verified == CONTENT


def test_no_two_envelopes_are_closed_with_the_same_key_or_vector() -> None:
    recipient = KeyEncryptionKey(key_identifier=b"key", key=bytes(16))

    messages = {encode_enveloped_data(CONTENT, recipient=recipient) for _ in range(20)}

    contents = [cms.ContentInfo.load(each)["content"] for each in messages]
    assert (
        len({each["recipient_infos"][0].chosen["encrypted_key"].native for each in contents}) == 20
    )
    vectors = {
        each["encrypted_content_info"]["content_encryption_algorithm"]["parameters"].native
        for each in contents
    }
    assert len(vectors) == 20


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1", "p-224"])
def test_nothing_is_encrypted_to_a_key_that_only_signs(kind: str) -> None:
    certificate = a_party(kind).certificate

    for close in (
        lambda: recipient_of(certificate),
        lambda: KeyTransport(certificate=certificate).encode(bytes(16)),
        lambda: KeyAgreement(certificate=certificate).encode(bytes(16)),
    ):
        with pytest.raises(EnrollmentError) as refused:
            close()

        assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_a_key_too_short_for_its_padding_is_refused() -> None:
    recipient = KeyTransport(certificate=a_party("rsa-1024").certificate, oaep=Digest.SHA512)

    with pytest.raises(EnrollmentError) as refused:
        encode_enveloped_data(CONTENT, recipient=recipient)

    assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("octets", [0, 8, 15, 33])
def test_a_key_in_common_of_another_length_is_refused(octets: int) -> None:
    with pytest.raises(EnrollmentError) as refused:
        KeyEncryptionKey(key_identifier=b"key", key=bytes(octets))

    assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_the_way_to_a_recipient_follows_from_the_key() -> None:
    assert isinstance(recipient_of(a_party().certificate), KeyTransport)
    assert isinstance(recipient_of(a_party("p-384").certificate), KeyAgreement)
    assert isinstance(recipient_of(a_party("x25519").certificate), KeyAgreement)


def _hkdf_sha256(secret: bytes, info: bytes) -> bytes:
    """HKDF (RFC 5869) for one block, without salt, written down independently."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _decrypted(content_info: cms.EncryptedContentInfo, key: bytes) -> bytes:
    vector = content_info["content_encryption_algorithm"]["parameters"].native
    decryptor = Cipher(AES(key), CBC(vector)).decryptor()
    padded = decryptor.update(content_info["encrypted_content"].native) + decryptor.finalize()
    return padded[: -padded[-1]]


def test_a_content_info_is_one_type_and_one_content() -> None:
    for broken in (
        der.encode(der.SEQUENCE),
        der.encode(der.SET, b"\x05\x00"),
        der.encode(der.SEQUENCE, bytes.fromhex("06092a864886f70d010701")),
        wrap(DATA, b"\x05\x00\x05\x00"),
    ):
        with pytest.raises(EnrollmentError) as refused:
            unwrap(broken)

        assert refused.value.reason is FailureReason.MALFORMED_REQUEST
