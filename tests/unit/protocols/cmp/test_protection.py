"""Protection of CMP messages: what holds, what does not, and what is too dear to be tried."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from enroll.failures import EnrollmentError, FailureReason
from protocols.cmp.decode import decode
from protocols.cmp.encode import encode_message
from protocols.cmp.macs import derive_key, read_mac_algorithm
from protocols.cmp.messages import BodyType, PKIMessage
from protocols.cmp.protection import (
    Signer,
    check_protection,
    derive_mac_key,
    is_mac,
    mac_holds,
    verify_signature,
)
from protocols.cms.digests import Digest
from tests.support.cmp import (
    HMAC_SHA1,
    HMAC_SHA256,
    HMAC_SHA512,
    PBMAC1_OID,
    SALT,
    SECRET,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    a_certificate,
    a_header,
    a_message,
    from_client,
    integer,
    pbm,
    pbmac1,
    verify_mac,
)
from tests.support.csr import (
    ECDSA_SHA1,
    RSA_SHA1,
    RSA_SHA256,
    Key,
    a_key,
    sequence,
    tlv,
)

NULL = b"\x05\x00"
PBES2_OID = bytes.fromhex("06092a864886f70d01050d")
SHA256_WITH_NULL = sequence(bytes.fromhex("0609608648016503040201"), NULL)


class Fixed:
    """A protection of any algorithm and octets."""

    def __init__(self, algorithm: bytes, octets: bytes = b"none") -> None:
        self.algorithm = algorithm
        self.octets = octets

    def protect(self, octets: bytes) -> bytes:
        del octets
        return self.octets


def a_genm(algorithm: bytes, octets: bytes = b"none") -> PKIMessage:
    return decode(a_message(BodyType.GENM, sequence(), protection=Fixed(algorithm, octets)))


def signed(key: Key, digest: Digest = Digest.SHA256) -> PKIMessage:
    signer = Signer.holding(a_certificate(key), key, digest=digest)
    return decode(a_message(BodyType.GENM, sequence(), protection=signer))


def refused(algorithm: bytes) -> EnrollmentError:
    with pytest.raises(EnrollmentError) as caught:
        verify_mac(a_genm(algorithm), SECRET)
    return caught.value


def altered(message: PKIMessage) -> list[PKIMessage]:
    """Give the message with its header, its body or its protection changed."""
    assert message.protection is not None
    return [
        replace(message, header_octets=message.header_octets[:-1] + b"\xff"),
        replace(message, body_octets=message.body_octets[:-1] + b"\xff"),
        replace(message, protection=bytes([message.protection[0] ^ 1]) + message.protection[1:]),
        replace(message, protection=message.protection[:-1]),
        replace(message, protection=b""),
    ]


def test_cmp_H7_a_message_without_protection_is_refused() -> None:
    message = decode(from_client("genm-unprotected"))

    with pytest.raises(EnrollmentError) as caught:
        check_protection(message)
    assert caught.value.reason is FailureReason.BAD_MESSAGE_CHECK
    assert caught.value.finding == "protection_missing"
    assert not is_mac(message)
    with pytest.raises(EnrollmentError):
        derive_mac_key(message, SECRET)


def test_cmp_H7_half_a_protection_is_refused() -> None:
    whole = decode(from_client("ir"))
    bare = replace(whole, header=replace(whole.header, protection_alg=None))

    for each in (bare, replace(whole, protection=None)):
        with pytest.raises(EnrollmentError) as caught:
            check_protection(each)
        assert caught.value.finding == "protection_incomplete"
        with pytest.raises(EnrollmentError):
            verify_mac(each, SECRET)
        with pytest.raises(EnrollmentError):
            verify_signature(each, a_certificate(a_key()))


@pytest.mark.parametrize("name", ["ir", "ir-implicit", "p10cr", "genm"])
def test_cmp_P2_a_mac_under_another_secret_does_not_hold(name: str) -> None:
    message = decode(from_client(name))

    for secret in (b"", b"s3cr3", b"s3cr3t ", b"S3CR3T"):
        assert not verify_mac(message, secret)


@pytest.mark.parametrize("name", ["ir", "ir-implicit", "p10cr", "genm"])
def test_cmp_P1_a_mac_does_not_hold_over_what_was_changed(name: str) -> None:
    message = decode(from_client(name))
    key = derive_mac_key(message, SECRET)

    assert not any(mac_holds(each, key) for each in altered(message))


@pytest.mark.parametrize("iterations", [-1, 0, 1, 99, 10_001, 2**31, 2**63])
def test_security_P12_counts_out_of_bounds_are_refused_for_pbm(iterations: int) -> None:
    error = refused(pbm(iterations=iterations))

    assert error.reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("iterations", [-1, 0, 1, 99, 15_001, 2**31, 2**63])
def test_security_P12_counts_out_of_bounds_are_refused_for_pbmac1(iterations: int) -> None:
    error = refused(pbmac1(iterations=iterations))

    assert error.reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize(
    "algorithm",
    [
        pbm(owf=SHA512, iterations=5_001),
        pbm(owf=SHA384, iterations=10_000),
        pbmac1(iterations=7_501, length=64, prf=HMAC_SHA512),
        pbmac1(iterations=7_501, length=33),
        pbmac1(iterations=3_751, length=64, prf=None),
        pbmac1(iterations=5_001, length=None, prf=None, mac=HMAC_SHA512),
    ],
)
def test_security_P12_dearer_hashes_and_longer_keys_are_counted(algorithm: bytes) -> None:
    error = refused(algorithm)

    assert error.reason is FailureReason.UNSUPPORTED_ALGORITHM
    assert "rounds of a hash" in error.detail


@pytest.mark.parametrize(
    "algorithm",
    [
        pbm(iterations=10_000),
        pbm(owf=SHA1, iterations=10_000),
        pbm(owf=SHA512, iterations=5_000),
        pbmac1(iterations=15_000),
        pbmac1(iterations=7_500, length=64, prf=HMAC_SHA512),
    ],
)
def test_security_P12_the_most_that_may_be_asked_for_is_derived(algorithm: bytes) -> None:
    key = derive_key(algorithm, SECRET)

    assert key.key == read_mac_algorithm(algorithm).derive(SECRET)
    assert read_mac_algorithm(algorithm).rounds in {10_000, 15_000}


@pytest.mark.parametrize("length", [-1, 0, 1, 15, 65, 2**31])
def test_security_P12_keys_out_of_bounds_are_refused(length: int) -> None:
    error = refused(pbmac1(length=length))

    assert error.reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("octets", [0, 7, 65, 10_000])
def test_security_P13_salts_out_of_bounds_are_refused(octets: int) -> None:
    for algorithm in (pbm(bytes(octets)), pbmac1(bytes(octets))):
        assert refused(algorithm).reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize(
    "algorithm",
    [
        pbm(owf=HMAC_SHA256),
        pbm(mac=SHA256),
        pbm(mac=sequence(bytes.fromhex("06082a864886f70d0209"), integer(1))),
        pbm(owf=sequence(bytes.fromhex("0609608648016503040201"), sequence())),
        pbm(owf=sequence(bytes.fromhex("06082a864886f70d0205"))),  # MD5
        pbmac1(prf=SHA256),
        pbmac1(mac=SHA256),
        pbmac1(derivation=PBES2_OID),
        pbmac1(derivation=PBMAC1_OID),
        sequence(bytes.fromhex("06092a864886f67d07421e"), NULL),  # DHBasedMac
        sequence(bytes.fromhex("06092a864886f67d074210"), NULL),  # KemBasedMac
        HMAC_SHA256,
        HMAC_SHA1,
        sequence(bytes.fromhex("0609608648016503040213")),  # KMACWithSHAKE128
        sequence(bytes.fromhex("060960864801650304012e")),
    ],
)
def test_cmp_P5_and_P10_algorithms_not_in_the_list_are_refused(algorithm: bytes) -> None:
    assert refused(algorithm).reason is FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("oid", ["06092a864886f67d07420d", "06092a864886f70d01050e"])
@pytest.mark.parametrize(
    "parameters",
    [
        b"",
        NULL,
        integer(1),
        sequence(),
        sequence(NULL),
        sequence(NULL, NULL),
        sequence(sequence(), sequence()),
        sequence(tlv(0x04, SALT), SHA256, integer(500)),
        sequence(tlv(0x04, SALT), SHA256, integer(500), HMAC_SHA256, NULL),
        sequence(tlv(0x03, b"\0" + SALT), SHA256, integer(500), HMAC_SHA256),
        sequence(tlv(0x04, SALT), sequence(), integer(500), HMAC_SHA256),
        sequence(sequence(bytes.fromhex("06092a864886f70d01050c"), NULL), HMAC_SHA256),
        sequence(sequence(bytes.fromhex("06092a864886f70d01050c"), sequence()), HMAC_SHA256),
        sequence(
            sequence(
                bytes.fromhex("06092a864886f70d01050c"),
                sequence(tlv(0x04, SALT), integer(500), NULL),
            ),
            HMAC_SHA256,
        ),
    ],
)
def test_security_P14_parameters_of_another_form_are_refused(oid: str, parameters: bytes) -> None:
    error = refused(sequence(bytes.fromhex(oid), parameters))

    assert error.reason in {
        FailureReason.UNSUPPORTED_ALGORITHM,
        FailureReason.MALFORMED_REQUEST,
    }


@pytest.mark.parametrize("kind", ["p-256", "p-384", "rsa-2048", "ed25519"])
def test_cmp_P1_a_signature_does_not_hold_over_what_was_changed(kind: str) -> None:
    message = signed(a_key(kind))

    for each in altered(message):
        with pytest.raises(EnrollmentError) as caught:
            verify_signature(each, a_certificate(a_key(kind)))
        assert caught.value.reason is FailureReason.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    ("kind", "number"), [("p-256", 1), ("rsa-2048", 0), ("ed25519", 0), ("p-384", 0)]
)
def test_cmp_P4_a_signature_by_another_key_does_not_hold(kind: str, number: int) -> None:
    message = signed(a_key())

    with pytest.raises(EnrollmentError) as caught:
        verify_signature(message, a_certificate(a_key(kind, number)))
    assert caught.value.reason is FailureReason.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    "algorithm",
    [
        ECDSA_SHA1,
        RSA_SHA1,
        HMAC_SHA256,
        sequence(bytes.fromhex("06092a864886f70d010104"), NULL),  # MD5 with RSA
        sequence(bytes.fromhex("06072a8648ce380403")),  # DSA with SHA-1
        sequence(bytes.fromhex("06092a864886f70d01010a")),
        sequence(bytes.fromhex("06092a864886f70d01010a"), NULL),
        sequence(bytes.fromhex("06092a864886f70d01010a"), sequence()),
        sequence(bytes.fromhex("06092a864886f70d01010b"), integer(1)),
        sequence(bytes.fromhex("06092a864886f70d01010b"), sequence()),
    ],
)
def test_cmp_P8_signature_algorithms_not_in_the_list_are_refused(algorithm: bytes) -> None:
    with pytest.raises(EnrollmentError) as caught:
        verify_signature(a_genm(algorithm), a_certificate(a_key("rsa-2048")))
    assert caught.value.reason is FailureReason.UNSUPPORTED_ALGORITHM
    assert caught.value.field == "protectionAlg"


_SIGNATURES = {
    "p-256": ("06082a8648ce3d040302", {b""}),
    "rsa-2048": ("06092a864886f70d01010b", {b"", b"\x05\x00"}),  # RFC 4055 §5
    "ed25519": ("06032b6570", {b""}),
}


@pytest.mark.parametrize("kind", _SIGNATURES)
@pytest.mark.parametrize(
    "parameters",
    [
        b"",
        b"\x05\x00",
        integer(5),
        sequence(),
        sequence(tlv(0xA0, SHA256)),
        sequence(sequence(sequence(b"\x05\x00"))),
        tlv(0x04, bytes(10_000)),
    ],
    ids=["none", "NULL", "a number", "nothing", "those of PSS", "deep", "long"],
)
def test_security_P14_a_signature_has_the_parameters_of_its_algorithm(
    kind: str, parameters: bytes
) -> None:
    key = a_key(kind)
    signer = Signer.holding(a_certificate(key), key)
    oid, own = _SIGNATURES[kind]

    class Crafted:
        algorithm = sequence(bytes.fromhex(oid), parameters)

        def protect(self, octets: bytes) -> bytes:
            return signer.protect(octets)

    message = decode(a_message(BodyType.GENM, sequence(), protection=Crafted()))

    if parameters in own:
        verify_signature(message, signer.certificate)
    else:
        with pytest.raises(EnrollmentError) as refusal:
            verify_signature(message, signer.certificate)
        assert refusal.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_cmp_P8_a_weak_key_does_not_sign() -> None:
    weak = a_key("rsa-1024")
    assert isinstance(weak, rsa.RSAPrivateKey)
    message = signed(weak)

    with pytest.raises(EnrollmentError) as caught:
        verify_signature(message, a_certificate(weak))
    assert caught.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_a_key_that_signs_no_messages_here_makes_no_signer() -> None:
    key = a_key("ed448")

    with pytest.raises(EnrollmentError):
        Signer.holding(a_certificate(key), key)
    with pytest.raises(EnrollmentError):
        Signer.holding(a_certificate(a_key()), a_key(), digest=Digest.SHA1)


@pytest.mark.parametrize("name", ["ir", "ir-implicit", "p10cr", "genm"])
def test_cmp_P2_a_mac_of_openssl_holds(name: str) -> None:
    message = decode(from_client(name))

    assert is_mac(message)
    assert verify_mac(message, SECRET)


@pytest.mark.parametrize(
    ("owf", "function"),
    [
        (SHA1, "sha1"),
        (SHA256, "sha256"),
        (SHA256_WITH_NULL, "sha256"),
        (SHA384, "sha384"),
        (SHA512, "sha512"),
    ],
)
@pytest.mark.parametrize(
    ("mac", "digest"),
    [(HMAC_SHA1, "sha1"), (HMAC_SHA256, "sha256"), (HMAC_SHA512, "sha512")],
)
def test_cmp_P2_a_key_of_pbm_is_the_hash_repeated(
    owf: bytes, function: str, mac: bytes, digest: str
) -> None:
    wanted = SECRET + SALT
    for _ in range(500):
        wanted = hashlib.new(function, wanted).digest()

    key = derive_key(pbm(owf=owf, mac=mac), SECRET)

    assert key.protect(b"octets") == hmac.new(wanted, b"octets", digest).digest()


@pytest.mark.parametrize(
    ("algorithm", "prf", "length", "digest"),
    [
        (pbmac1(), hashes.SHA256(), 32, "sha256"),
        (pbmac1(length=None), hashes.SHA256(), 32, "sha256"),
        (pbmac1(length=20, prf=None), hashes.SHA1(), 20, "sha256"),  # noqa: S303 - the default of RFC 8018
        (pbmac1(length=64, prf=HMAC_SHA512, mac=HMAC_SHA512), hashes.SHA512(), 64, "sha512"),
    ],
)
def test_cmp_P3_a_key_of_pbmac1_is_that_of_pbkdf2(
    algorithm: bytes, prf: hashes.HashAlgorithm, length: int, digest: str
) -> None:
    wanted = PBKDF2HMAC(prf, length, SALT, 1000).derive(SECRET)

    message = a_genm(algorithm, b"")
    made = hmac.new(wanted, message.protected_part, digest).digest()

    assert is_mac(message)
    assert verify_mac(replace(message, protection=made), SECRET)


def test_cmp_P15_the_key_of_a_request_protects_its_answer_with_the_same_parameters() -> None:
    request = decode(from_client("ir"))
    key = derive_mac_key(request, SECRET)

    answer = decode(encode_message(a_header(), tlv(0xB3, NULL), key))

    assert answer.header.protection_alg == request.header.protection_alg
    assert verify_mac(answer, SECRET)
    assert read_mac_algorithm(key.algorithm).mac == "sha1"
    assert SECRET.decode() not in repr(key)


@pytest.mark.parametrize("name", ["cr", "kur", "rr"])
def test_cmp_P4_a_signature_of_openssl_holds(name: str) -> None:
    message = decode(from_client(name))

    assert not is_mac(message)
    verify_signature(message, x509.load_der_x509_certificate(message.extra_certs[0]))


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("p-256", Digest.SHA256),
        ("p-384", Digest.SHA384),
        ("p-521", Digest.SHA512),
        ("rsa-2048", Digest.SHA256),
        ("rsa-2048", Digest.SHA512),
        ("ed25519", Digest.SHA256),
    ],
)
def test_cmp_P8_signatures_that_are_made_here_hold(kind: str, digest: Digest) -> None:
    key = a_key(kind)

    verify_signature(signed(key, digest), a_certificate(key))


@pytest.mark.parametrize(
    ("last", "digest"), [("0b", hashes.SHA256()), ("0c", hashes.SHA384()), ("0d", hashes.SHA512())]
)
def test_cmp_P8_rsa_may_be_named_without_the_null_that_openssl_leaves_out(
    last: str, digest: hashes.HashAlgorithm
) -> None:
    key = a_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    message = a_genm(sequence(bytes.fromhex(f"06092a864886f70d0101{last}")))
    made = key.sign(message.protected_part, padding.PKCS1v15(), digest)

    verify_signature(replace(message, protection=made), a_certificate(key))

    with pytest.raises(EnrollmentError):
        verify_signature(replace(message, protection=made[::-1]), a_certificate(key))


def test_cmp_P8_signatures_of_pss_and_of_the_other_keys_hold() -> None:
    rsa_key = a_key("rsa-2048")
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    mask = sequence(bytes.fromhex("06092a864886f70d010108"), SHA256)
    parameters = sequence(tlv(0xA0, SHA256), tlv(0xA1, mask), tlv(0xA2, integer(32)))
    message = a_genm(sequence(bytes.fromhex("06092a864886f70d01010a"), parameters))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    made = rsa_key.sign(message.protected_part, pss, hashes.SHA256())

    verify_signature(replace(message, protection=made), a_certificate(rsa_key))

    for kind, oid in (("ed448", "06032b6571"), ("ml-dsa-65", "0609608648016503040312")):
        key = a_key(kind)
        assert not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        message = a_genm(sequence(bytes.fromhex(oid)))
        made = key.sign(message.protected_part)
        verify_signature(replace(message, protection=made), a_certificate(key))


def test_cmp_P14_a_signer_sends_its_certificate_and_chain_without_a_root() -> None:
    certificate, issuer = a_certificate(a_key()), a_certificate(a_key(), "CA")
    above = a_certificate(a_key("p-256", 2), "sub")

    signer = Signer.holding(certificate, a_key(), chain=[above, issuer])

    assert signer.chain == (above,)
    assert len(signer.extra_certs) == 2
    assert signer.key_identifier == b"its identifier"
    assert Signer.holding(certificate, a_key("rsa-2048")).algorithm == RSA_SHA256
