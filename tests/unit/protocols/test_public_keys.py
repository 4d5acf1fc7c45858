import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, mlkem, padding, rsa, x448, x25519

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.pkcs10 import decode
from tests.support.csr import (
    ECDSA_SHA1,
    ECDSA_SHA256,
    ED25519,
    RSA_MD5,
    RSA_SHA1,
    RSA_SHA256,
    a_csr,
    a_key,
    oid,
    raw_csr,
    rsa_spki,
    sequence,
    spki_of,
    tlv,
)

WEAK = FailureReason.BAD_CERTIFICATE_TEMPLATE
UNSUPPORTED = FailureReason.UNSUPPORTED_ALGORITHM
UNPROVEN = FailureReason.BAD_PROOF_OF_POSSESSION


def refusal(der: bytes) -> tuple[FailureReason, str | None]:
    with pytest.raises(EnrollmentError) as caught:
        decode(der)
    return caught.value.reason, caught.value.field


@pytest.mark.parametrize("kind", ["rsa-1024", "rsa-2048-e3"])
def test_security_C4_a_weak_rsa_key_is_refused(kind: str) -> None:
    assert refusal(a_csr(a_key(kind))) == (WEAK, "publicKey")


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (b"\x7f" + b"\xff" * 255, b"\x01\x00\x01"),  # 2047 bits
        (b"\x01" + b"\xff" * 512, b"\x01\x00\x01"),  # 4097 bits
        (b"\x7f" * 60_000, b"\x01\x00\x01"),
        (b"\x80" + b"\xff" * 255, b"\x01\x00\x01"),  # negative
        (b"\x00", b"\x01\x00\x01"),
        (b"\x00\x80" + b"\xff" * 255, b"\x01"),
        (b"\x00\x80" + b"\xff" * 255, b"\x01\x00\x00"),
        (b"\x00\x80" + b"\xff" * 255, b"\x01\x00\x03"),
        (b"\x00\x80" + b"\xff" * 255, b"\x7f" * 64),
        (b"\x00\x80" + b"\xff" * 255, b"\xff"),
    ],
)
def test_security_C4_sizes_and_exponents_out_of_range_are_refused_before_any_arithmetic(
    modulus: bytes, exponent: bytes
) -> None:
    request = raw_csr(spki=rsa_spki(modulus, exponent), algorithm=RSA_SHA256, signature=b"")

    assert refusal(request) == (WEAK, "publicKey")


@pytest.mark.parametrize("kind", ["secp256k1", "p-224"])
def test_security_C4_other_curves_are_refused(kind: str) -> None:
    assert refusal(a_csr(a_key(kind))) == (UNSUPPORTED, "publicKey")


@pytest.mark.parametrize("curve", ["prime256v1", "sect233r1", "sect283k1"])
def test_security_C4_explicit_and_binary_curves_are_refused(tmp_path: Path, curve: str) -> None:
    explicit = curve == "prime256v1"
    made = tmp_path / "request.der"
    subprocess.run(
        [
            *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}"),
            *(("-pkeyopt", "ec_param_enc:explicit") if explicit else ()),
            *("-nodes", "-keyout", tmp_path / "key", "-subj", "/CN=a"),
            *("-outform", "DER", "-out", made),
        ],
        check=True,
        capture_output=True,
    )

    assert refusal(made.read_bytes()) == (UNSUPPORTED, "publicKey")


def test_security_C5_a_compressed_point_would_give_a_key_a_second_hash() -> None:
    key = a_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")

    request = raw_csr(spki=sequence(algorithm, tlv(0x03, b"\0", point)))

    assert refusal(request) == (UNSUPPORTED, "publicKey")


def test_security_C4_a_point_off_its_curve_is_malformed() -> None:
    spki = spki_of(a_key())

    with pytest.raises(Malformed):
        decode(raw_csr(spki=spki[:-1] + bytes([spki[-1] ^ 1])))


def test_security_C4_a_hybrid_point_is_refused() -> None:
    spki = spki_of(a_key())

    request = raw_csr(spki=spki[:-65] + bytes([6 | spki[-1] & 1]) + spki[-64:])

    assert refusal(request) == (UNSUPPORTED, "publicKey")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_security_C4_an_edwards_point_of_another_length_is_malformed(length: int) -> None:
    spki = sequence(ED25519, tlv(0x03, b"\0", bytes(length)))

    with pytest.raises(Malformed):
        decode(raw_csr(spki=spki, algorithm=ED25519, signature=bytes(64)))


@pytest.mark.parametrize(
    "bits",
    [
        tlv(0x03, b"\x01", b"\x04" + bytes(64)),
        tlv(0x03, b"\0"),
        tlv(0x03, b"\0", b"\x04"),
        tlv(0x03, b"\0", b"\x04" + bytes(64)),
    ],
)
def test_security_C4_points_that_are_none_are_refused(bits: bytes) -> None:
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")

    reason, _ = refusal(raw_csr(spki=sequence(algorithm, bits)))

    assert reason in {FailureReason.MALFORMED_REQUEST, UNSUPPORTED}


@pytest.mark.parametrize(
    "numbers",
    [b"", b"\x05\x00", sequence(), sequence(tlv(0x02, b"\x01")), sequence(b"\x05\0", b"\x05\0")],
)
def test_security_C4_an_rsa_key_out_of_shape_is_malformed(numbers: bytes) -> None:
    spki = sequence(bytes.fromhex("300d06092a864886f70d0101010500"), tlv(0x03, b"\0", numbers))

    with pytest.raises(Malformed):
        decode(raw_csr(spki=spki, algorithm=RSA_SHA256, signature=b""))


def test_security_P2_an_rsa_key_has_one_encoding_only() -> None:
    key = a_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    modulus = key.public_key().public_numbers().n.to_bytes(257)

    padded = rsa_spki(b"\0" + modulus, b"\x01\x00\x01")
    without_null = spki_of(key).replace(
        bytes.fromhex("300d06092a864886f70d0101010500"),
        bytes.fromhex("300b06092a864886f70d010101"),
    )

    assert refusal(raw_csr(key=key, spki=padded, algorithm=RSA_SHA256))[0] is (
        FailureReason.MALFORMED_REQUEST
    )
    lengths = without_null[:2] + (len(without_null) - 4).to_bytes(2) + without_null[4:]
    assert refusal(raw_csr(key=key, spki=lengths, algorithm=RSA_SHA256)) == (
        UNSUPPORTED,
        "publicKey",
    )


def test_security_C4_keys_of_other_kinds_are_refused() -> None:
    format_ = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    old = dsa.generate_private_key(1024).public_key().public_bytes(*format_)

    assert refusal(raw_csr(spki=old)) == (UNSUPPORTED, "publicKey")


@pytest.mark.parametrize(
    "make", [x25519.X25519PrivateKey, x448.X448PrivateKey, mlkem.MLKEM768PrivateKey]
)
def test_a_key_that_signs_nothing_has_not_signed_its_request(
    make: type[x25519.X25519PrivateKey | x448.X448PrivateKey | mlkem.MLKEM768PrivateKey],
) -> None:
    format_ = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    spki = make.generate().public_key().public_bytes(*format_)

    assert refusal(raw_csr(spki=spki)) == (FailureReason.BAD_PROOF_OF_POSSESSION, "signature")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (RSA_SHA1, "rsa-2048"),
        (RSA_MD5, "rsa-2048"),
        (ECDSA_SHA1, "p-256"),
        (bytes.fromhex("300d06092a864886f70d01010e0500"), "rsa-2048"),  # SHA-224
        (bytes.fromhex("300a06082a8648ce3d040301"), "p-256"),  # SHA-224
        (bytes.fromhex("300c06082a8648ce3d0403020500"), "p-256"),  # NULL parameters
        (bytes.fromhex("300906072a8648ce380403"), "p-256"),  # DSA
        (sequence(), "p-256"),
        (sequence(b"\x06\x0260"), "p-256"),
    ],
)
def test_security_P4_signature_algorithms_off_the_list_are_refused(
    algorithm: bytes, kind: str
) -> None:
    request = raw_csr(key=a_key(kind), algorithm=algorithm)

    assert refusal(request) == (UNSUPPORTED, "signatureAlgorithm")


def test_security_P4_a_pss_signature_over_sha_1_is_refused() -> None:
    default_parameters = bytes.fromhex("300d06092a864886f70d01010a3000")

    request = raw_csr(key=a_key("rsa-2048"), algorithm=default_parameters)

    assert refusal(request) == (UNSUPPORTED, "signatureAlgorithm")


MGF1 = "2a864886f70d010108"
SHA_1 = "2b0e03021a"
SHA_256 = "608648016503040201"
SHA_384 = "608648016503040202"
SHA3_256 = "608648016503040208"


def pss(digest: str, mask: str, mask_digest: str, null: bytes = b"") -> bytes:
    generator = sequence(oid(mask), sequence(oid(mask_digest), null))
    return sequence(
        oid("2a864886f70d01010a"),
        sequence(
            tlv(0xA0, sequence(oid(digest), null)),
            tlv(0xA1, generator),
            tlv(0xA2, b"\x02\x01\x20"),
        ),
    )


@pytest.mark.parametrize("null", [b"", b"\x05\x00"])
def test_a_pss_signature_is_taken_with_null_parameters_and_without(null: bytes) -> None:
    key = a_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    request = raw_csr(key=key, algorithm=pss(SHA_256, MGF1, SHA_256, null), signature=bytes(256))
    form = padding.PSS(padding.MGF1(hashes.SHA256()), 32)

    decode(request[:-256] + key.sign(_info_of(request), form, hashes.SHA256()))


@pytest.mark.parametrize(
    "algorithm",
    [
        pss(SHA_1, MGF1, SHA_1),
        pss(SHA_256, MGF1, SHA_1),
        pss(SHA_1, MGF1, SHA_256),
        pss(SHA_256, MGF1, SHA_384),
        pss(SHA3_256, MGF1, SHA3_256),
        pss(SHA_256, "2a0304", SHA_256),
        sequence(
            oid("2a864886f70d01010a"), sequence(tlv(0xA0, sequence(oid(SHA_256))))
        ),  # the mask by default: SHA-1
        sequence(oid("2a864886f70d01010a")),
        *(
            sequence(oid("2a864886f70d01010a"), parameters)
            for parameters in (b"\x05\x00", b"\x02\x01\x00", sequence(b"\x05\x00"))
        ),
    ],
)
def test_security_P4_pss_over_other_hashes_or_masks_is_refused(algorithm: bytes) -> None:
    request = raw_csr(key=a_key("rsa-2048"), algorithm=algorithm)

    assert refusal(request) == (UNSUPPORTED, "signatureAlgorithm")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("p-256", RSA_SHA256), ("rsa-2048", ECDSA_SHA256), ("ed25519", ECDSA_SHA256)],
)
def test_security_C7_an_algorithm_of_another_kind_of_key_proves_nothing(
    kind: str, algorithm: bytes
) -> None:
    request = raw_csr(key=a_key(kind), algorithm=algorithm)

    assert refusal(request) == (UNPROVEN, "signature")


def test_security_C7_a_signature_by_another_key_proves_nothing() -> None:
    request = raw_csr(key=a_key(number=1), spki=spki_of(a_key(number=2)))

    assert refusal(request) == (UNPROVEN, "signature")


def test_security_C7_a_signature_with_another_hash_proves_nothing() -> None:
    key = a_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    honest = a_csr(key)
    wrong = key.sign(_info_of(honest), padding.PKCS1v15(), hashes.SHA512())

    assert refusal(honest[:-256] + wrong) == (UNPROVEN, "signature")


def _info_of(request: bytes) -> bytes:
    """Give what a request's signature covers; all the lengths have two octets."""
    return request[4 : 8 + int.from_bytes(request[6:8])]


# The shapes of wrong ECDSA signatures that Project Wycheproof tries, made for our own key.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _pair(r: int, s: int) -> bytes:
    def number(value: int) -> bytes:
        return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, signed=True))

    return sequence(number(r), number(s))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\0",
        sequence(),
        _pair(0, 0),
        _pair(0, 1),
        _pair(1, 0),
        _pair(1, 1),
        _pair(-1, 1),
        _pair(_ORDER, 1),
        _pair(1, _ORDER),
        _pair(_ORDER - 1, _ORDER - 1),
        _pair(_ORDER + 1, _ORDER + 1),
        _pair(1 << 256, 1 << 256),
        _pair(1, 1) + b"\0",
        sequence(tlv(0x02, b"\x01")),
        sequence(b"\x05\x00\x05\x00"),
        b"\x30\x80\x02\x01\x01\x02\x01\x01\x00\x00",
        bytes(64),
    ],
)
def test_security_C7_broken_ecdsa_signatures_prove_nothing(signature: bytes) -> None:
    assert refusal(raw_csr(signature=signature)) == (UNPROVEN, "signature")


@pytest.mark.parametrize("length", [0, 63, 64, 65])
def test_security_C7_broken_edwards_signatures_prove_nothing(length: int) -> None:
    request = raw_csr(key=a_key("ed25519"), algorithm=ED25519, signature=bytes(length))

    assert refusal(request) == (UNPROVEN, "signature")


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 10_000])
def test_security_C7_broken_rsa_signatures_prove_nothing(length: int) -> None:
    request = raw_csr(key=a_key("rsa-2048"), algorithm=RSA_SHA256, signature=b"\x01" * length)

    assert refusal(request) == (UNPROVEN, "signature")


_ML_DSA_SIGNATURES = {"ml-dsa-44": 2420, "ml-dsa-65": 3309, "ml-dsa-87": 4627}


def ml_dsa_algorithm(kind: str) -> bytes:
    number = 0x11 + list(_ML_DSA_SIGNATURES).index(kind)
    return sequence(oid(f"6086480165030403{number:02x}"))


@pytest.mark.parametrize("kind", _ML_DSA_SIGNATURES)
@pytest.mark.parametrize("more", [None, 0, -1, 1])
def test_security_C7_broken_ml_dsa_signatures_prove_nothing(kind: str, more: int | None) -> None:
    length = 0 if more is None else _ML_DSA_SIGNATURES[kind] + more
    request = raw_csr(key=a_key(kind), algorithm=ml_dsa_algorithm(kind), signature=bytes(length))

    assert refusal(request) == (UNPROVEN, "signature")


@pytest.mark.parametrize("kind", _ML_DSA_SIGNATURES)
def test_an_ml_dsa_signature_of_another_strength_proves_nothing(kind: str) -> None:
    for other in _ML_DSA_SIGNATURES.keys() - {kind}:
        request = raw_csr(key=a_key(kind), algorithm=ml_dsa_algorithm(other))

        assert refusal(request) == (UNPROVEN, "signature")


@pytest.mark.parametrize("kind", _ML_DSA_SIGNATURES)
def test_an_ml_dsa_key_with_parameters_is_not_taken(kind: str) -> None:
    """RFC 9881 §2: parameters MUST be absent; one key has one encoding."""
    good = ml_dsa_algorithm(kind)
    bad = sequence(good[2:], b"\x05\x00")
    key = a_key(kind)
    bits = spki_of(key)[4 + len(good) :]
    request = raw_csr(key=key, spki=sequence(bad, bits), algorithm=good)

    assert refusal(request) == (FailureReason.UNSUPPORTED_ALGORITHM, "publicKey")


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("kind", _ML_DSA_SIGNATURES)
def test_an_ml_dsa_key_of_another_length_is_malformed(kind: str, change: int) -> None:
    good = ml_dsa_algorithm(kind)
    octets = spki_of(a_key(kind))[4 + len(good) + 5 :]
    octets = octets[:change] if change < 0 else octets + b"\0"
    request = raw_csr(
        key=a_key(kind), spki=sequence(good, tlv(0x03, b"\0", octets)), algorithm=good
    )

    with pytest.raises(Malformed):
        decode(request)
