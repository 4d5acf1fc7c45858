import math

import pytest
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import FailureReason, PolicyViolation
from enroll.policy.keys import check_public_key, fitting_key_usage, least_key_usage
from enroll.profiles import SIGNING, KeyAlgorithm, KeyUsageBit

ALL = frozenset(KeyAlgorithm)
GOOD_RSA = rsa.generate_private_key(65537, 2048).public_key()


def rsa_key(modulus: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def next_prime(number: int) -> int:
    number |= 1
    while any(pow(base, number - 1, number) != 1 for base in (2, 3, 5, 7, 11)):
        number += 2
    return number


def close_factors() -> int:
    start = math.isqrt(1 << 2047) + (1 << 1022)
    one = next_prime(start)
    return one * next_prime(one + 2)


def roca_modulus() -> int:
    """A number of 2048 bits that is 1 = 65537^0 modulo each of the primes that ROCA betrays."""
    primes = [each for each in range(3, 168) if all(each % low for low in range(2, each))]
    product = math.prod(primes)
    odd = 2 * product
    value = ((1 << 2047) // odd + 1) * odd + 1
    while math.gcd(value, math.prod(range(3, 2000, 2))) != 1:
        value += odd
    return value


@pytest.mark.parametrize(
    "key",
    [
        GOOD_RSA,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        mldsa.MLDSA44PrivateKey.generate().public_key(),
        mldsa.MLDSA65PrivateKey.generate().public_key(),
        mldsa.MLDSA87PrivateKey.generate().public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
        x448.X448PrivateKey.generate().public_key(),
        mlkem.MLKEM768PrivateKey.generate().public_key(),
        mlkem.MLKEM1024PrivateKey.generate().public_key(),
    ],
    ids=[
        "rsa-2048",
        "p-256",
        "p-384",
        "p-521",
        "ed25519",
        "ed448",
        "ml-dsa-44",
        "ml-dsa-65",
        "ml-dsa-87",
        "x25519",
        "x448",
        "ml-kem-768",
        "ml-kem-1024",
    ],
)
def test_security_C4_good_keys_pass(key: CertificatePublicKeyTypes) -> None:
    assert check_public_key(key, ALL) in ALL


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024).public_key(),
        rsa_key(GOOD_RSA.public_numbers().n, 3),
        rsa_key(GOOD_RSA.public_numbers().n // 6 * 6 + 3),
        rsa_key(close_factors()),
        rsa_key(roca_modulus()),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed25519.Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31)),
        ed25519.Ed25519PublicKey.from_public_bytes(bytes(32)),
        ed448.Ed448PublicKey.from_public_bytes(b"\x01" + bytes(56)),
        x25519.X25519PublicKey.from_public_bytes(bytes(32)),
        x25519.X25519PublicKey.from_public_bytes(b"\x01" + bytes(31)),
        x25519.X25519PublicKey.from_public_bytes((2**255 - 20).to_bytes(32, "little")),
        x25519.X25519PublicKey.from_public_bytes(
            bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
        ),
        x25519.X25519PublicKey.from_public_bytes((2**255 - 19 + 9).to_bytes(32, "little")),
        x25519.X25519PublicKey.from_public_bytes(b"\x09" + bytes(30) + b"\x80"),
        x448.X448PublicKey.from_public_bytes(bytes(56)),
        x448.X448PublicKey.from_public_bytes(b"\x01" + bytes(55)),
        x448.X448PublicKey.from_public_bytes((2**448 - 2**224 - 2).to_bytes(56, "little")),
        x448.X448PublicKey.from_public_bytes((2**448 - 2**224 + 4).to_bytes(56, "little")),
    ],
    ids=[
        "rsa-1024",
        "e=3",
        "small factor",
        "close factors",
        "roca",
        "secp256k1",
        "identity point",
        "order four",
        "ed448 identity",
        "x25519 zero",
        "x25519 one",
        "x25519 minus one",
        "x25519 order eight",
        "x25519 above the prime",
        "x25519 with its highest bit",
        "x448 zero",
        "x448 one",
        "x448 minus one",
        "x448 above the prime",
    ],
)
def test_security_C4_weak_and_unwanted_keys_are_refused(key: CertificatePublicKeyTypes) -> None:
    with pytest.raises(PolicyViolation) as refusal:
        check_public_key(key, ALL)

    assert refusal.value.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.value.field == "publicKey"


def test_a_key_that_the_profile_does_not_allow_is_refused() -> None:
    with pytest.raises(PolicyViolation, match="p-384"):
        check_public_key(GOOD_RSA, frozenset({KeyAlgorithm.P_384}))


def test_key_usages_that_a_key_cannot_serve_are_left_out() -> None:
    every = frozenset(KeyUsageBit)

    assert KeyUsageBit.KEY_AGREEMENT not in fitting_key_usage(KeyAlgorithm.RSA_2048, every)
    assert KeyUsageBit.KEY_ENCIPHERMENT not in fitting_key_usage(KeyAlgorithm.P_256, every)
    assert fitting_key_usage(KeyAlgorithm.ED25519, every) == {
        KeyUsageBit.DIGITAL_SIGNATURE,
        KeyUsageBit.NON_REPUDIATION,
    }


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("x25519", KeyUsageBit.KEY_AGREEMENT),
        ("x448", KeyUsageBit.KEY_AGREEMENT),
        ("ml-kem-768", KeyUsageBit.KEY_ENCIPHERMENT),
        ("ml-kem-1024", KeyUsageBit.KEY_ENCIPHERMENT),
    ],
)
def test_a_key_that_signs_nothing_has_the_one_usage_it_can_serve(
    name: str, usage: KeyUsageBit
) -> None:
    algorithm = KeyAlgorithm(name)

    assert fitting_key_usage(algorithm, frozenset(KeyUsageBit)) == {usage}
    assert least_key_usage(algorithm) == {usage}
    assert algorithm not in SIGNING


@pytest.mark.parametrize("name", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_an_ml_dsa_key_only_signs(name: str) -> None:
    """RFC 9881: neither keyEncipherment nor keyAgreement."""
    usage = fitting_key_usage(KeyAlgorithm(name), frozenset(KeyUsageBit))

    assert usage == {KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION}


def test_an_ml_dsa_key_is_refused_where_the_profile_does_not_name_it() -> None:
    key = mldsa.MLDSA65PrivateKey.generate().public_key()

    with pytest.raises(PolicyViolation, match="ml-dsa-87"):
        check_public_key(key, frozenset({KeyAlgorithm.ML_DSA_87, KeyAlgorithm.P_256}))
