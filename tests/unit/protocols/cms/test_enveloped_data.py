from collections.abc import Sequence
from dataclasses import replace
from hashlib import pbkdf2_hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.cms.content_ciphers import AES_CBC, ContentEncryption
from protocols.cms.content_info import DATA, SIGNED_DATA
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import (
    OpenedEnvelope,
    RecipientKey,
    encode_enveloped_data,
    open_enveloped_data,
)
from protocols.cms.identifiers import issuer_and_serial
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.passwords import MOST_ITERATIONS, Password
from protocols.cms.private_keys import AgreementKey, TransportKey
from protocols.cms.recipients import (
    KeyAgreement,
    KeyEncryptionKey,
    KeyTransport,
    Recipient,
    recipient_of,
)
from tests.support.cms import Party, a_key_transport, a_party, an_envelope, key_of
from tests.support.csr import oid, sequence, tlv
from tests.support.openssl import openssl

CONTENT = b"what is hidden\n" * 20
KEY = bytes(range(16))
UNSUPPORTED = FailureReason.UNSUPPORTED_ALGORITHM
ALL = frozenset(ContentEncryption)
SHARED = KeyEncryptionKey(key_identifier=b"\x01\x02\x03", key=bytes(range(32)))
PASSWORD = Password(password=b"a secret in common")


RSA = key_of(a_party())


def encrypted_for_us(octets: bytes, party: Party | None = None) -> bytes:
    public_key = (party or a_party()).certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    return public_key.encrypt(octets, padding.PKCS1v15())


def closed_by_openssl(folder: Path, party: Party | None, *words: str) -> bytes:
    recipient = () if party is None else ("-recip", party.files(folder)[0])
    options = [word for word in words if not word.startswith("key:")]
    key_options = [
        part for word in words if word.startswith("key:") for part in ("-keyopt", word[4:])
    ]
    return openssl(
        "cms", "-encrypt", "-outform", "DER", "-binary", *options, *recipient, *key_options,
        given=CONTENT,
    )  # fmt: skip


def failure_of(message: bytes, *keys: RecipientKey) -> tuple[FailureReason, str, str]:
    """Say how a message is refused; noise looks like a content once in 256 times, so try again."""
    for _ in range(5):
        try:
            opened = open_enveloped_data(message, keys=keys or (RSA,))
        except EnrollmentError as refused:
            return refused.reason, refused.finding, refused.detail
        assert opened.content != CONTENT
    pytest.fail("it was opened")


UNOPENED = (
    FailureReason.MALFORMED_REQUEST,
    "envelope_unopened",
    "the envelope cannot be opened",
)


@pytest.mark.parametrize("cipher", ["aes128", "aes192", "aes256"])
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-keyid",),
        ("-stream",),
        ("key:rsa_padding_mode:oaep",),
        ("key:rsa_padding_mode:oaep", "key:rsa_oaep_md:sha256"),
        ("key:rsa_padding_mode:oaep", "key:rsa_oaep_md:sha512", "key:rsa_mgf1_md:sha1"),
    ],
)
def test_scep_36_what_openssl_closes_for_an_rsa_key_is_opened(
    cipher: str, words: Sequence[str], tmp_path: Path
) -> None:
    message = closed_by_openssl(tmp_path, a_party(), f"-{cipher}", *words)

    opened = open_enveloped_data(message, keys=(RSA,))

    assert opened.content == CONTENT
    assert opened.content_type == DATA
    assert opened.content_encryption.value == f"aes-{cipher[3:]}-cbc"
    assert opened.key is RSA


@pytest.mark.parametrize("kind", ["p-256", "p-384", "p-521"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("words", [(), ("-keyid",), ("-stream", "-aes128-wrap")])
def test_what_openssl_closes_for_an_ec_key_is_opened(
    kind: str, digest: str, words: Sequence[str], tmp_path: Path
) -> None:
    message = closed_by_openssl(
        tmp_path, a_party(kind), "-aes256", *words, f"key:ecdh_kdf_md:{digest}"
    )

    assert open_enveloped_data(message, keys=(key_of(a_party(kind)),)).content == CONTENT


@pytest.mark.parametrize("octets", [16, 24, 32])
def test_what_openssl_closes_with_a_key_in_common_is_opened(octets: int, tmp_path: Path) -> None:
    key = bytes(range(octets))
    message = closed_by_openssl(
        tmp_path, None, "-aes128", "-secretkey", key.hex(), "-secretkeyid", "010203"
    )

    keys = (KeyEncryptionKey(key_identifier=b"\x01\x02\x03", key=key),)

    assert open_enveloped_data(message, keys=keys).content == CONTENT


@pytest.mark.parametrize("cipher", ["aes128", "aes192", "aes256"])
def test_scep_42_what_openssl_closes_with_a_password_is_opened(cipher: str, tmp_path: Path) -> None:
    message = closed_by_openssl(
        tmp_path, None, f"-{cipher}", "-pwri_password", PASSWORD.password.decode()
    )

    assert open_enveloped_data(message, keys=(PASSWORD,)).content == CONTENT


@pytest.mark.parametrize("cipher", AES_CBC)
def test_scep_42_openssl_opens_what_we_close_with_a_password(cipher: ContentEncryption) -> None:
    message = encode_enveloped_data(
        CONTENT, recipient=replace(PASSWORD, key_encryption=cipher), content_encryption=cipher
    )

    opened = openssl(
        "cms", "-decrypt", "-inform", "DER", "-binary", "-pwri_password",
        PASSWORD.password.decode(), given=message,
    )  # fmt: skip
    assert opened == CONTENT


LEGACY = [
    (ContentEncryption.DES_EDE3_CBC, ("-des3",)),
    (ContentEncryption.DES_CBC, ("-des", "-provider", "legacy", "-provider", "default")),
]


@pytest.mark.parametrize(("cipher", "words"), LEGACY)
def test_scep_35_older_ciphers_are_opened_only_for_who_allows_them(
    cipher: ContentEncryption, words: Sequence[str], tmp_path: Path
) -> None:
    message = closed_by_openssl(tmp_path, a_party(), *words)

    with pytest.raises(EnrollmentError) as refused:
        open_enveloped_data(message, keys=(RSA,))

    assert refused.value.reason is UNSUPPORTED
    assert open_enveloped_data(message, keys=(RSA,), allowed=AES_CBC | {cipher}).content == CONTENT


@pytest.mark.parametrize(("cipher", "words"), LEGACY)
def test_scep_34_openssl_opens_what_we_close_with_older_ciphers(
    cipher: ContentEncryption, words: Sequence[str], tmp_path: Path
) -> None:
    recipient = KeyTransport(certificate=a_party().certificate)

    message = encode_enveloped_data(CONTENT, recipient=recipient, content_encryption=cipher)

    certificate, key = a_party().files(tmp_path)
    opened = openssl(
        "cms", "-decrypt", "-inform", "DER", "-recip", certificate, "-inkey", key, "-binary",
        *words[1:], given=message,
    )  # fmt: skip
    assert opened == CONTENT


@pytest.mark.parametrize("cipher", [*AES_CBC, ContentEncryption.DES_EDE3_CBC])
@pytest.mark.parametrize(
    ("recipient", "key"),
    [
        (KeyTransport(certificate=a_party().certificate), RSA),
        (
            KeyTransport(
                certificate=a_party().certificate,
                oaep=Digest.SHA384,
                key_identifier=a_party().key_identifier,
            ),
            RSA,
        ),
        *[
            (KeyAgreement(certificate=a_party(kind).certificate, wrap=wrap), key_of(a_party(kind)))
            for kind in ("p-256", "p-384", "p-521", "x25519")
            for wrap in KeyWrap
        ],
        (
            recipient_of(
                a_party("x25519").certificate, key_identifier=a_party("x25519").key_identifier
            ),
            key_of(a_party("x25519")),
        ),
        (SHARED, SHARED),
        (PASSWORD, PASSWORD),
    ],
)
def test_what_we_close_we_open(
    cipher: ContentEncryption, recipient: Recipient, key: RecipientKey
) -> None:
    message = encode_enveloped_data(
        CONTENT, recipient=recipient, content_type=SIGNED_DATA, content_encryption=cipher
    )

    assert open_enveloped_data(message, keys=(SHARED, key), allowed=ALL) == OpenedEnvelope(
        content_type=SIGNED_DATA,
        content=CONTENT,
        content_encryption=cipher,
        key=key,
        oaep=recipient.oaep if isinstance(recipient, KeyTransport) else None,
    )


@pytest.mark.parametrize(
    "recipient", [SHARED, KeyAgreement(certificate=a_party("p-256").certificate)]
)
def test_a_key_of_des_is_too_short_to_be_wrapped(recipient: Recipient) -> None:
    with pytest.raises(EnrollmentError) as refused:
        encode_enveloped_data(
            CONTENT, recipient=recipient, content_encryption=ContentEncryption.DES_CBC
        )

    assert refused.value.reason is UNSUPPORTED


@pytest.mark.parametrize("recipient", [PASSWORD, KeyTransport(certificate=a_party().certificate)])
def test_des_is_closed_and_opened_where_it_must_be(recipient: Recipient) -> None:
    message = encode_enveloped_data(
        CONTENT, recipient=recipient, content_encryption=ContentEncryption.DES_CBC
    )

    assert open_enveloped_data(message, keys=(RSA, PASSWORD), allowed=ALL).content == CONTENT


def test_no_failure_says_what_caused_it() -> None:
    message = bytearray(encode_enveloped_data(CONTENT, recipient=SHARED))
    message[-17] ^= 1  # The last octet of padding, and nothing else.

    with pytest.raises(Malformed) as refused:
        open_enveloped_data(bytes(message), keys=(SHARED,))

    assert refused.value.__cause__ is None


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 32])
def test_a_content_of_any_length_is_opened(length: int) -> None:
    message = encode_enveloped_data(bytes(length), recipient=SHARED)

    assert open_enveloped_data(message, keys=(SHARED,)).content == bytes(length)


def test_scep_38_the_content_that_go_has_in_one_piece_is_opened() -> None:
    algorithm, encrypted = ContentEncryption.AES_128_CBC.encrypt(KEY, CONTENT)
    recipient = a_key_transport(encrypted_for_us(KEY))

    for pieces in (
        tlv(0x04, encrypted),
        tlv(0x04, encrypted[:33]) + tlv(0x04) + tlv(0x04, encrypted[33:]),
        tlv(0x24, tlv(0x04, encrypted)),
    ):
        message = an_envelope(recipient, algorithm=algorithm, encrypted=tlv(0xA0, pieces))
        assert open_enveloped_data(message, keys=(RSA,)).content == CONTENT


def test_scep_37_ours_is_found_among_several_recipients() -> None:
    others = (
        a_key_transport(bytes(256), party=a_party("rsa-2048", "pump-2", number=1)),
        tlv(0xA1, b"\x02\x01\x03", tlv(0xA0), sequence(), sequence()),
        tlv(0xA4, b"\x05\x00"),
    )

    message = an_envelope(*others, a_key_transport(encrypted_for_us(KEY)), key=KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(SHARED, RSA)).content == CONTENT


def test_scep_37_an_envelope_for_others_is_refused() -> None:
    other = a_key_transport(bytes(256), party=a_party("rsa-2048", "pump-2", number=1))

    for message in (an_envelope(other), an_envelope()):
        assert failure_of(message)[1] == "envelope_not_for_us"
    assert failure_of(an_envelope(a_key_transport(encrypted_for_us(KEY))), SHARED, PASSWORD)[1] == (
        "envelope_not_for_us"
    )


def test_security_P5_only_the_first_recipient_that_names_us_is_tried() -> None:
    bad, good = a_key_transport(encrypted_for_us(bytes(16))), a_key_transport(encrypted_for_us(KEY))

    assert failure_of(an_envelope(bad, good, key=KEY, content=CONTENT)) == UNOPENED
    opened = open_enveloped_data(an_envelope(good, bad, key=KEY, content=CONTENT), keys=(RSA,))
    assert opened.content == CONTENT


def test_security_P5_a_key_of_another_certificate_is_not_tried() -> None:
    identifier = issuer_and_serial(a_party("rsa-2048", "pump-2").certificate)

    message = an_envelope(a_key_transport(encrypted_for_us(KEY), identifier=identifier), key=KEY)

    assert failure_of(message)[1] == "envelope_not_for_us"


def test_security_P5_a_content_key_of_another_length_is_not_used() -> None:
    key = bytes(range(32))
    algorithm, _ = ContentEncryption.AES_128_CBC.encrypt(KEY, CONTENT)
    vector = algorithm[-16:]
    encryptor = ContentEncryption.AES_256_CBC.cipher(key, vector).encryptor()
    encrypted = encryptor.update(CONTENT + bytes((4,)) * 4) + encryptor.finalize()

    message = an_envelope(
        a_key_transport(encrypted_for_us(key)), algorithm=algorithm, encrypted=tlv(0x80, encrypted)
    )

    assert failure_of(message) == UNOPENED


def unopened() -> dict[str, bytes]:
    algorithm, encrypted = ContentEncryption.AES_128_CBC.encrypt(KEY, CONTENT)
    for_us = a_key_transport(encrypted_for_us(KEY))
    damaged = encrypted[:-17] + bytes((encrypted[-17] ^ 1,)) + encrypted[-16:]
    modulus = rsa_modulus()

    def around(recipient: bytes, octets: bytes = encrypted) -> bytes:
        return an_envelope(recipient, algorithm=algorithm, encrypted=tlv(0x80, octets))

    return {
        "another key": around(a_key_transport(encrypted_for_us(bytes(16)))),
        "a short key": around(a_key_transport(encrypted_for_us(bytes(15)))),
        "no key": around(a_key_transport(encrypted_for_us(b""))),
        "a long key": around(a_key_transport(encrypted_for_us(KEY + bytes(16)))),
        "bad padding of RSA": around(a_key_transport(b"\x01" * 256)),
        "too short for RSA": around(a_key_transport(b"\x01" * 255)),
        "too long for RSA": around(a_key_transport(b"\x01" * 257)),
        "nothing for RSA": around(a_key_transport(b"")),
        "as large as the modulus": around(a_key_transport(modulus.to_bytes(256))),
        "bad padding of the content": around(for_us, damaged),
        "half a block": around(for_us, encrypted[:-8]),
        "nothing": around(for_us, b""),
        "OAEP": around(
            a_key_transport(
                b"\x01" * 256, algorithm=sequence(oid("2a864886f70d010107"), sequence())
            )
        ),
    }


def rsa_modulus() -> int:
    public_key = a_party().certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    return public_key.public_numbers().n


@pytest.mark.parametrize("message", unopened().values(), ids=unopened().keys())
def test_security_P5_P6_every_failure_of_decryption_is_the_same(message: bytes) -> None:
    assert failure_of(message) == UNOPENED


@pytest.mark.parametrize(
    ("recipient", "key"),
    [
        (SHARED, replace(SHARED, key=bytes(32))),
        (PASSWORD, Password(password=b"another")),
        (PASSWORD, Password(password=b"")),
        (
            KeyAgreement(certificate=a_party("p-256").certificate),
            AgreementKey.holding(
                a_party("p-256").certificate, ec.generate_private_key(ec.SECP256R1())
            ),
        ),
        (
            KeyAgreement(certificate=a_party("p-256").certificate),
            AgreementKey.holding(
                a_party("p-256").certificate, ec.generate_private_key(ec.SECP384R1())
            ),
        ),
        (
            KeyAgreement(certificate=a_party("x25519").certificate),
            AgreementKey.holding(a_party("x25519").certificate, x25519.X25519PrivateKey.generate()),
        ),
        (
            KeyTransport(certificate=a_party().certificate, oaep=Digest.SHA256),
            TransportKey.holding(a_party().certificate, rsa.generate_private_key(65537, 2048)),
        ),
    ],
)
def test_another_key_under_our_name_fails_as_everything_does(
    recipient: Recipient, key: RecipientKey
) -> None:
    message = encode_enveloped_data(CONTENT, recipient=recipient)

    assert failure_of(message, key) == UNOPENED


def test_a_key_that_is_elsewhere_is_asked_once_and_may_be_out_of_reach() -> None:
    asked: list[int] = []
    message = encode_enveloped_data(
        CONTENT, recipient=KeyTransport(certificate=a_party().certificate)
    )

    def elsewhere(octets: bytes, form: object) -> bytes:
        asked.append(len(octets))
        assert isinstance(form, padding.PKCS1v15)
        key = a_party().key
        assert isinstance(key, rsa.RSAPrivateKey)
        return key.decrypt(octets, form)

    def unreachable(*_: object) -> bytes:
        raise ConnectionError

    key = TransportKey(certificate=a_party().certificate, decrypt=elsewhere)
    assert open_enveloped_data(message, keys=(key,)).content == CONTENT
    assert asked == [256]
    with pytest.raises(ConnectionError):
        open_enveloped_data(message, keys=(replace(key, decrypt=unreachable),))


SHA1 = hashes.SHA1()  # noqa: S303 - in OAEP nothing hangs on its collisions
OAEP = "2a864886f70d010107"
SHA256 = sequence(oid("608648016503040201"))
MD5 = sequence(oid("2a864886f70d0205"), b"\x05\x00")
MGF1_OF_SHA256 = tlv(0xA1, sequence(oid("2a864886f70d010108"), SHA256))


@pytest.mark.parametrize(
    ("parameters", "label", "mask"),
    [
        ((), SHA1, SHA1),
        ((sequence(),), SHA1, SHA1),
        ((sequence(tlv(0xA0, SHA256)),), hashes.SHA256(), SHA1),
        ((sequence(MGF1_OF_SHA256),), SHA1, hashes.SHA256()),
        (
            (
                sequence(
                    tlv(0xA0, SHA256),
                    MGF1_OF_SHA256,
                    tlv(0xA2, sequence(oid("2a864886f70d010109"), b"\x04\x00")),
                ),
            ),
            hashes.SHA256(),
            hashes.SHA256(),
        ),
    ],
)
def test_scep_36_oaep_is_opened_by_its_parameters(
    parameters: Sequence[bytes], label: hashes.HashAlgorithm, mask: hashes.HashAlgorithm
) -> None:
    public_key = a_party().certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    encrypted = public_key.encrypt(KEY, padding.OAEP(padding.MGF1(mask), label, None))
    recipient = a_key_transport(encrypted, algorithm=sequence(oid(OAEP), *parameters))

    message = an_envelope(recipient, key=KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(RSA,)).content == CONTENT


@pytest.mark.parametrize(
    "algorithm",
    [
        sequence(),
        b"\x30\x02\x05\x00",
        sequence(oid("2a864886f70d010105"), b"\x05\x00"),
        sequence(oid(OAEP), b"\x05\x00"),
        sequence(oid(OAEP), sequence(), sequence()),
        sequence(oid(OAEP), sequence(tlv(0xA0, MD5))),
        sequence(oid(OAEP), sequence(tlv(0xA0))),
        sequence(oid(OAEP), sequence(tlv(0xA1))),
        sequence(oid(OAEP), sequence(tlv(0xA1, b"\x05\x00"))),
        sequence(oid(OAEP), sequence(tlv(0xA1, sequence()))),
        sequence(oid(OAEP), sequence(tlv(0xA1, sequence(oid("2a864886f70d010108"), MD5)))),
        sequence(oid(OAEP), sequence(tlv(0xA1, sequence(oid("2a864886f70d010109"), SHA256)))),
        sequence(
            oid(OAEP), sequence(tlv(0xA2, sequence(oid("2a864886f70d010109"), tlv(0x04, b"a"))))
        ),
        sequence(oid(OAEP), sequence(tlv(0xA3, b"\x05\x00"))),
    ],
)
def test_scep_36_any_other_key_transport_is_refused(algorithm: bytes) -> None:
    message = an_envelope(a_key_transport(bytes(256), algorithm=algorithm))

    assert failure_of(message)[0] is UNSUPPORTED


@pytest.mark.parametrize(
    "algorithm",
    [
        sequence(),
        sequence(oid("2a864886f70d0302"), tlv(0x04, bytes(8))),
        sequence(oid("60864801650304012e"), tlv(0x04, bytes(12))),
        sequence(oid("608648016503040102")),
        sequence(oid("608648016503040102"), tlv(0x04, bytes(8))),
        sequence(oid("608648016503040102"), sequence(tlv(0x04, bytes(16)))),
    ],
)
def test_scep_35_any_other_content_cipher_is_refused(algorithm: bytes) -> None:
    message = an_envelope(a_key_transport(encrypted_for_us(KEY)), algorithm=algorithm)

    assert failure_of(message)[0] is UNSUPPORTED


def a_password_recipient(
    iterations: bytes = b"\x02\x02\x08\x00",
    *,
    salt: bytes = tlv(0x04, bytes(8)),
    more: bytes = b"",
    derivation: str = "2a864886f70d01050c",
    encryption: str = "2a864886f70d0109100309",
    encrypted_key: bytes = bytes(32),
) -> bytes:
    cipher = sequence(oid("608648016503040102"), tlv(0x04, bytes(16)))
    return tlv(
        0xA3,
        b"\x02\x01\x00",
        tlv(0xA0, oid(derivation), sequence(salt, iterations, more)),
        sequence(oid(encryption), cipher),
        tlv(0x04, encrypted_key),
    )


SHA224_PRF = sequence(oid("2a864886f70d0208"), b"\x05\x00")


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        (a_password_recipient(tlv(0x02, (MOST_ITERATIONS + 1).to_bytes(3))), UNSUPPORTED),
        (a_password_recipient(b"\x02\x04\x7f\xff\xff\xff"), UNSUPPORTED),
        (a_password_recipient(b"\x02\x01\x00"), UNSUPPORTED),
        (a_password_recipient(b"\x02\x01\xff"), UNSUPPORTED),
        (a_password_recipient(salt=tlv(0x04, bytes(65))), UNSUPPORTED),
        (a_password_recipient(more=SHA224_PRF), UNSUPPORTED),
        (a_password_recipient(more=b"\x05\x00"), UNSUPPORTED),
        (a_password_recipient(derivation="2a864886f70d01050d"), UNSUPPORTED),
        (a_password_recipient(encryption="608648016503040105"), UNSUPPORTED),
        (a_password_recipient(more=b"\x02\x01\x20"), FailureReason.MALFORMED_REQUEST),
        (a_password_recipient(salt=sequence()), FailureReason.MALFORMED_REQUEST),
        (tlv(0xA3), FailureReason.MALFORMED_REQUEST),
    ],
)
def test_scep_42_a_password_with_other_parameters_is_refused(
    recipient: bytes, reason: FailureReason
) -> None:
    found, finding, _ = failure_of(an_envelope(recipient), PASSWORD)

    assert found is reason
    assert finding != "envelope_unopened"


def pwri_kek(formatted: bytes, vector: bytes = bytes(16)) -> bytes:
    """Encrypt twice by the key that `a_password_recipient` derives (RFC 3211 §2.3.1)."""
    key = pbkdf2_hmac("sha1", PASSWORD.password, bytes(8), 2_048, 16)
    encryptor = Cipher(AES(key), CBC(vector)).encryptor()
    once = encryptor.update(formatted)
    return encryptor.update(once)


CHECK = bytes((0xFF, 0xFE, 0xFD))


def test_scep_42_a_key_in_the_form_of_rfc_3211_is_opened() -> None:
    encrypted_key = pwri_kek(b"\x10" + CHECK + KEY + bytes(12))

    message = an_envelope(
        a_password_recipient(encrypted_key=encrypted_key), key=KEY, content=CONTENT
    )

    assert open_enveloped_data(message, keys=(PASSWORD,)).content == CONTENT


@pytest.mark.parametrize(
    "formatted",
    [
        b"\x10" + CHECK[:2] + b"\x00" + KEY + bytes(12),
        b"\x0f" + CHECK + KEY + bytes(12),
        b"\xff" + CHECK + KEY + bytes(12),
        b"\x00" + CHECK + KEY + bytes(12),
    ],
)
def test_scep_42_a_key_in_another_form_fails_as_everything_does(formatted: bytes) -> None:
    recipient = a_password_recipient(encrypted_key=pwri_kek(formatted))

    message = an_envelope(recipient, key=KEY, content=CONTENT)

    assert failure_of(message, PASSWORD) == UNOPENED


def test_scep_42_older_ciphers_encrypt_a_key_only_for_who_allows_them() -> None:
    older = replace(PASSWORD, key_encryption=ContentEncryption.DES_EDE3_CBC)
    message = encode_enveloped_data(CONTENT, recipient=older)

    assert failure_of(message, PASSWORD)[0] is UNSUPPORTED
    lenient = replace(PASSWORD, allowed=ALL)
    assert open_enveloped_data(message, keys=(lenient,)).content == CONTENT


def test_a_key_in_common_under_another_name_is_not_tried() -> None:
    message = encode_enveloped_data(CONTENT, recipient=replace(SHARED, key_identifier=b"other"))

    assert failure_of(message, SHARED)[1] == "envelope_not_for_us"


def test_a_key_in_common_of_another_length_is_not_tried() -> None:
    message = encode_enveloped_data(CONTENT, recipient=replace(SHARED, key=bytes(16)))

    assert failure_of(message, SHARED)[0] is UNSUPPORTED


@pytest.mark.parametrize("encrypted_key", [b"", bytes(16), bytes(31), bytes(32), bytes(33)])
def test_scep_42_a_key_that_no_password_gives_fails_as_everything_does(
    encrypted_key: bytes,
) -> None:
    message = an_envelope(a_password_recipient(encrypted_key=encrypted_key))

    assert failure_of(message, PASSWORD) == UNOPENED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        sequence(oid("2a864886f70d010703"), tlv(0xA0, b"\x05\x00")),
        sequence(oid("2a864886f70d010703"), tlv(0xA0, sequence())),
        an_envelope(a_key_transport(b""), encrypted=b""),
        an_envelope(a_key_transport(b""), encrypted=tlv(0x04, bytes(16))),
        an_envelope(a_key_transport(b""), encrypted=tlv(0xA0, b"\x05\x00")),
        an_envelope(a_key_transport(b""), content_type=b"\x05\x00"),
        an_envelope(a_key_transport(b""), before=sequence()),
        an_envelope(a_key_transport(b""), after=b"\x05\x00"),
        an_envelope(sequence()),
        an_envelope(tlv(0xA2)),
        an_envelope(a_key_transport(encrypted_for_us(KEY)), key=KEY).replace(
            oid("2a864886f70d010703"), oid("2a864886f70d010702")
        ),
    ],
)
def test_what_is_no_enveloped_data_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        open_enveloped_data(message, keys=(RSA, SHARED))

    assert refused.value.finding not in {"envelope_unopened", "envelope_not_for_us"}


def test_what_originators_add_is_not_looked_at() -> None:
    recipient = a_key_transport(encrypted_for_us(KEY))

    message = an_envelope(
        recipient, key=KEY, content=CONTENT, before=tlv(0xA0), after=tlv(0xA1, b"\x05\x00")
    )

    assert open_enveloped_data(message, keys=(RSA,)).content == CONTENT


def test_secrets_are_not_shown() -> None:
    opened = open_enveloped_data(encode_enveloped_data(CONTENT, recipient=SHARED), keys=(SHARED,))

    assert "hidden" not in repr(opened)
    assert repr(SHARED.key)[2:-1] not in repr(SHARED)
    assert "secret in common" not in repr(PASSWORD)


def test_scep_33_what_does_not_open_gives_what_was_to_be_taken_instead() -> None:
    good = encode_enveloped_data(CONTENT, recipient=SHARED)
    message = good[:-17] + bytes((good[-17] ^ 1,)) + good[-16:]

    spoiled = open_enveloped_data(message, keys=(SHARED,), otherwise=b"another")
    whole = open_enveloped_data(good, keys=(SHARED,), otherwise=b"another")

    assert (spoiled.content, spoiled.unopened) == (b"another", True)
    assert (whole.content, whole.unopened) == (CONTENT, False)
