import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import algos, core
from asn1crypto import keys as asn1_keys
from asn1crypto import pem as asn1_pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, x25519
from OpenSSL import crypto

from ca.keys.software import (
    KeyKind,
    KeyOpeningError,
    SoftwareKey,
    make_private_key,
    open_private_key,
    seal_private_key,
)
from server.home import read_private, write_private
from tests.support.fakes import SeededRandomness
from tests.support.openssl import OpenSSLError, openssl

ML_DSA = (KeyKind.ML_DSA_44, KeyKind.ML_DSA_65, KeyKind.ML_DSA_87)
PASSPHRASE = b"correct horse"
KEY = make_private_key(KeyKind.P_256)
SCRYPT = "1.3.6.1.4.1.11591.4.11"


def seal(key: SoftwareKey = KEY) -> bytes:
    return seal_private_key(key, PASSPHRASE, SeededRandomness())


def clear(key: SoftwareKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def by_openssl(key: Path, *options: str) -> bytes:
    """Have openssl encrypt a clear key as PKCS#8."""
    return openssl(
        "pkcs8", "-topk8", "-in", key, "-passout", f"pass:{PASSPHRASE.decode()}", *options
    )


def asking_for(*numbers: int) -> bytes:
    """Write a key file whose scrypt has these N, r and p, or whose PBKDF2 so many rounds."""

    class Parameters(core.Sequence):  # type: ignore[misc]  # asn1crypto is untyped
        _fields = [  # noqa: RUF012 - asn1crypto's way to declare
            ("salt", core.OctetString),
            *[(f"number_{each}", core.Integer) for each in range(len(numbers))],
        ]

    parameters = {f"number_{each}": number for each, number in enumerate(numbers)}
    derivation: dict[str, object] = {"algorithm": SCRYPT}
    if len(numbers) == 1:
        derivation = {
            "algorithm": "pbkdf2",
            "parameters": {
                "salt": algos.Pbkdf2Salt(name="specified", value=core.OctetString(bytes(16))),
                "iteration_count": numbers[0],
            },
        }
    else:
        derivation["parameters"] = Parameters({"salt": bytes(16), **parameters})
    info = asn1_keys.EncryptedPrivateKeyInfo(
        {
            "encryption_algorithm": {
                "algorithm": "pbes2",
                "parameters": {
                    "key_derivation_func": derivation,
                    "encryption_scheme": {
                        "algorithm": "aes256_cbc",
                        "parameters": core.OctetString(bytes(16)),
                    },
                },
            },
            "encrypted_data": bytes(160),
        }
    )
    return bytes(asn1_pem.armor("ENCRYPTED PRIVATE KEY", info.dump()))


@pytest.mark.parametrize("kind", sorted({*KeyKind} - {KeyKind.RSA_4096, *ML_DSA}))
def test_a_sealed_key_is_opened_by_openssl_and_by_cryptography(kind: KeyKind) -> None:
    key = make_private_key(kind)

    sealed = seal(key)

    by_cryptography = serialization.load_pem_private_key(sealed, PASSPHRASE)
    by_openssl = openssl("pkey", "-passin", "pass:correct horse", "-outform", "DER", given=sealed)
    assert by_cryptography.public_key() == key.public_key()
    public = serialization.load_der_private_key(by_openssl, None).public_key()
    assert public == key.public_key()
    assert clear(open_private_key(sealed, PASSPHRASE)) == clear(key)


@pytest.mark.parametrize("kind", ML_DSA)
def test_a_sealed_ml_dsa_key_is_opened_by_openssl_4_and_by_cryptography(kind: KeyKind) -> None:
    key = make_private_key(kind)

    sealed = seal(key)

    by_openssl = crypto.load_privatekey(crypto.FILETYPE_PEM, sealed, PASSPHRASE)
    public = crypto.dump_publickey(crypto.FILETYPE_ASN1, by_openssl)
    assert serialization.load_der_public_key(public) == key.public_key()
    assert serialization.load_pem_private_key(sealed, PASSPHRASE).public_key() == key.public_key()
    assert clear(open_private_key(sealed, PASSPHRASE)) == clear(key)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (KeyKind.P_256, "ASN1 OID: prime256v1"),
        (KeyKind.P_384, "ASN1 OID: secp384r1"),
        (KeyKind.RSA_2048, "Private-Key: (2048 bit, 2 primes)"),
        (KeyKind.RSA_3072, "Private-Key: (3072 bit, 2 primes)"),
        (KeyKind.ED25519, "ED25519 Private-Key:"),
    ],
)
def test_what_is_made_is_what_was_asked_for(kind: KeyKind, words: str) -> None:
    key = make_private_key(kind)

    text = openssl("pkey", "-text", "-noout", "-inform", "DER", given=clear(key)).decode()

    assert words in text
    assert "RSA" not in words or "publicExponent: 65537" in text


def test_a_key_is_sealed_by_scrypt_of_the_promised_cost() -> None:
    outline = openssl("asn1parse", given=seal()).decode()

    assert "PBES2" in outline
    assert "scrypt" in outline
    assert "aes-256-cbc" in outline
    # N = 2^14, r = 8, p = 1.
    assert [outline.count(f"INTEGER           :{each}") for each in ("4000", "08", "01")] == [
        1,
        1,
        1,
    ]


def test_no_two_sealed_keys_have_salt_or_vector_in_common() -> None:
    randomness = SeededRandomness()

    sealed = [seal_private_key(KEY, PASSPHRASE, randomness) for _ in range(3)]

    assert len(set(sealed)) == 3
    assert all(clear(KEY)[-32:] not in asn1_pem.unarmor(each)[2] for each in sealed)


@pytest.mark.parametrize("passphrase", [b"", b"correct horsf", b"correct horse\n", b"x" * 1000])
def test_a_wrong_passphrase_is_told(passphrase: bytes) -> None:
    sealed = seal()

    with pytest.raises(KeyOpeningError, match="passphrase is wrong"):
        open_private_key(sealed, passphrase)


def test_openssl_refuses_a_wrong_passphrase_too() -> None:
    with pytest.raises(OpenSSLError):
        openssl("pkey", "-passin", "pass:wrong", given=seal())


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.95])
def test_a_truncated_file_is_told(part: float) -> None:
    sealed = seal()

    with pytest.raises(KeyOpeningError):
        open_private_key(sealed[: int(len(sealed) * part)], PASSPHRASE)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\0" * 100,
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!!!\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIAAAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        asn1_pem.armor("PRIVATE KEY", clear(KEY)),
        asn1_pem.armor("CERTIFICATE", b"\x30\0") + seal(),
        asn1_pem.armor("ENCRYPTED PRIVATE KEY", b"\x30\x03\x02\x01\x01"),
        asn1_pem.armor("ENCRYPTED PRIVATE KEY", asn1_pem.unarmor(seal())[2] + b"\0"),
    ],
    ids=["empty", "zeros", "nothing", "signs", "hollow", "BER", "clear", "first", "odd", "more"],
)
def test_a_file_that_is_no_sealed_key_is_told(file: bytes) -> None:
    with pytest.raises(KeyOpeningError):
        open_private_key(file, PASSPHRASE)


@pytest.mark.parametrize(
    "numbers",
    [
        (2**30, 8, 1),
        (2**62, 8, 1),
        (2**20, 8, 1),
        (2**17, 8, 1),
        (2, 2**29, 1),
        (2**14, 2**20, 1),
        (2**14, 8, 17),
        (2**14, 8, 2**30),
        (3, 8, 1),
        (1, 8, 1),
        (0, 8, 1),
        (-(2**14), 8, 1),
        (2**14, 0, 1),
        (2**14, -8, 1),
        (2**14, 8, 0),
        (2**2000, 8, 1),
        (2**31,),
        (2**200,),
        (2_000_001,),
        (0,),
        (-1,),
    ],
    ids=str,
)
def test_work_that_no_key_is_worth_is_refused_before_it_is_done(numbers: tuple[int, ...]) -> None:
    file = asking_for(*numbers)

    with pytest.raises(KeyOpeningError, match="more work"):
        open_private_key(file, PASSPHRASE)


@pytest.mark.parametrize("length", [0, 16, 2**40, -1])
def test_a_derived_key_of_another_length_than_the_cipher_s_is_refused(length: int) -> None:
    with pytest.raises(KeyOpeningError):
        open_private_key(asking_for(2**14, 8, 1, length), PASSPHRASE)


@pytest.mark.parametrize(
    "options",
    [
        ("-scrypt",),
        ("-scrypt", "-scrypt_N", "8192", "-scrypt_r", "8", "-scrypt_p", "2"),
        ("-v2", "aes-256-cbc"),
        ("-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-iter", "600000"),
    ],
    ids=["scrypt", "twice", "pbkdf2", "sha512"],
)
def test_a_key_that_openssl_sealed_is_opened(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "clear.pem"
    path.write_bytes(asn1_pem.armor("PRIVATE KEY", clear(KEY)))

    opened = open_private_key(by_openssl(path, *options), PASSPHRASE)

    assert clear(opened) == clear(KEY)


def test_a_key_under_an_older_scheme_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "clear.pem"
    path.write_bytes(asn1_pem.armor("PRIVATE KEY", clear(KEY)))
    sealed = by_openssl(path, "-v1", "PBE-SHA1-3DES")

    with pytest.raises(KeyOpeningError, match="openssl pkcs8 -topk8 -scrypt"):
        open_private_key(sealed, PASSPHRASE)


@pytest.mark.parametrize(
    "make",
    [x25519.X25519PrivateKey.generate, lambda: dsa.generate_private_key(1024)],
    ids=["x25519", "dsa"],
)
def test_a_key_that_cannot_sign_certificates_is_refused(
    make: Callable[[], SoftwareKey],
) -> None:
    sealed = seal(make())

    with pytest.raises(KeyOpeningError, match="not a key that can sign certificates"):
        open_private_key(sealed, PASSPHRASE)


def test_a_key_file_is_its_owner_s_alone_whatever_the_mask(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "issuing.key"
    before = os.umask(0)

    try:
        write_private(path, seal())
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert open_private_key(read_private(path), PASSPHRASE).public_key() == KEY.public_key()
