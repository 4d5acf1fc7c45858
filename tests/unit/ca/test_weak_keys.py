"""Keys that anybody could break get no certificate, though their requests are rightly signed."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError
from enroll.policy.keys import check_public_key
from enroll.profiles import KeyAlgorithm
from enroll.result import Rejected
from protocols import pkcs10
from tests.support.csr import ED25519, RSA_SHA256, Key, a_key, raw_csr, rsa_spki, sequence, tlv
from tests.support.enrollment import a_request, by_code, open_site
from tests.support.openssl import openssl

ALL = frozenset(KeyAlgorithm)
CHANCE = random.Random(19)  # noqa: S311 - the same weak keys in every run
SMALL_PRIMES = [each for each in range(2, 702) if all(each % low for low in range(2, each))]
PRIMORIAL = math.prod(SMALL_PRIMES)


def is_prime(number: int) -> bool:
    if math.gcd(number, PRIMORIAL) != 1:
        return False
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5))


def a_prime(bits: int = 1024, exponent: int = 65537) -> int:
    """Give a prime of half an RSA key, with which the exponent can be used."""
    while True:
        number = rsa.generate_private_key(65537, bits * 2).private_numbers().p
        if math.gcd(number - 1, exponent) == 1:
            return number


def a_short_prime() -> int:
    """Give a prime of 256 bits, of which the library makes no keys any more."""
    return next_prime(CHANCE.getrandbits(256) | 3 << 254)


def next_prime(number: int) -> int:
    number |= 1
    while not is_prime(number) or math.gcd(number - 1, 65537) != 1:
        number += 2
    return number


def a_roca_prime() -> int:
    """Make a prime as Infineon's library made them (CVE-2017-15361): k*M + 65537^a mod M."""
    product = PRIMORIAL
    while True:
        residue = pow(65537, CHANCE.getrandbits(200), product)
        # Of 1024 bits, the highest two of them set.
        least = (3 << 1022) // product + 1
        number = (least + CHANCE.getrandbits(40)) * product + residue
        if number.bit_length() == 1024 and is_prime(number) and (number - 1) % 65537:
            return number


def made_of(p: int, q: int, exponent: int = 65537) -> rsa.RSAPrivateKey:
    private = pow(exponent, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private,
        dmp1=private % (p - 1),
        dmq1=private % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    ).private_key(unsafe_skip_rsa_key_validation=True)


def close_primes(distance: int) -> rsa.RSAPrivateKey:
    first = a_prime()
    return made_of(next_prime(first + distance), first)


WEAK: dict[str, Callable[[], Key]] = {
    "512 bits": lambda: made_of(a_short_prime(), a_short_prime()),
    "1024 bits": lambda: a_key("rsa-1024"),
    "2046 bits": lambda: made_of(a_prime(1023), a_prime(1023)),
    "2049 bits": lambda: made_of(a_prime(1025), a_prime()),
    "exponent 3": lambda: a_key("rsa-2048-e3"),
    "exponent 17": lambda: made_of(a_prime(1024, 17), a_prime(1024, 17), 17),
    "exponent of 2049 bits": lambda: made_of(
        a_prime(1024, 2**1000 + 7), a_prime(1024, 2**1000 + 7), 2**1000 + 7
    ),
    "primes side by side": lambda: close_primes(2),
    "primes near each other": lambda: close_primes(2**500),
    "ROCA": lambda: made_of(a_roca_prime(), a_roca_prime()),
    "a curve of cryptocurrencies": lambda: a_key("secp256k1"),
    "a small curve": lambda: a_key("p-224"),
}


def refused_by(key: CertificatePublicKeyTypes) -> bool:
    try:
        check_public_key(key, ALL)
    except EnrollmentError as refusal:
        return refusal.field == "publicKey"
    return False


async def finding_of(csr: bytes) -> str:
    """Send a request with a good code, and give why it was refused."""
    site = await open_site()
    await site.register()
    wish = by_code("pump-1", await site.code())
    try:
        asked = pkcs10.decode(csr)
    except EnrollmentError as refusal:
        return f"refused unread: {refusal.field}"
    result = await site.pipeline.handle(
        a_request(wish, certificate_request=asked, origin=site.origin(wish))
    )
    assert isinstance(result, Rejected), "a weak key got a certificate"
    assert not await site.certificates()
    assert result.field == "publicKey", result.detail
    return result.finding


@pytest.mark.parametrize("name", WEAK)
async def test_security_C4_a_weak_key_that_signed_its_request_gets_no_certificate(
    name: str,
) -> None:
    key = WEAK[name]()
    algorithm = RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else None

    finding = await finding_of(raw_csr(key=key, **({"algorithm": algorithm} if algorithm else {})))

    assert finding in {"key_weak", "key_not_allowed", "refused unread: publicKey"}


async def test_security_C4_an_rsa_key_of_twice_the_greatest_size_is_refused_unread() -> None:
    modulus = b"\0" + (1 << 8191 | 1).to_bytes(1024)

    finding = await finding_of(
        raw_csr(spki=rsa_spki(modulus), algorithm=RSA_SHA256, signature=bytes(1024))
    )

    assert finding == "refused unread: publicKey"


@pytest.mark.parametrize("prime", SMALL_PRIMES[:1] + SMALL_PRIMES[1::9])
def test_security_C4_a_modulus_with_a_small_factor_is_refused(prime: int) -> None:
    modulus = prime * (((1 << 2048) - 1 - CHANCE.getrandbits(2000)) // prime)

    weak = rsa.RSAPublicNumbers(65537, modulus).public_key()

    assert refused_by(weak)


@pytest.mark.parametrize("how_far", [0, 20, 200, 500], ids=lambda bits: f"{bits} bits")
def test_security_C4_primes_that_are_close_are_found(how_far: int) -> None:
    first = a_prime()

    near = made_of(next_prime(first + (1 << how_far) + 1), first).public_key()

    assert refused_by(near)


def test_security_C4_primes_that_are_far_apart_are_not_taken_for_close_ones() -> None:
    first = a_prime()

    # Apart by more than their upper 100 bits, as FIPS 186-5 §A.1.3 demands.
    far = made_of(next_prime(first ^ 1 << 1000), first).public_key()

    assert not refused_by(far)


def test_security_C4_the_roca_keys_here_are_of_the_faulty_kind() -> None:
    """What is refused is the fingerprint, and nothing else about these keys."""
    key = made_of(a_roca_prime(), a_roca_prime())
    modulus = key.public_key().public_numbers().n

    with pytest.raises(EnrollmentError, match="ROCA"):
        check_public_key(key.public_key(), ALL)

    assert modulus.bit_length() == 2048
    assert all(modulus % prime for prime in SMALL_PRIMES)


@pytest.mark.parametrize(
    "options",
    [
        ("ec_paramgen_curve:P-256", "ec_param_enc:explicit"),
        ("ec_paramgen_curve:P-384", "ec_param_enc:explicit"),
        ("ec_paramgen_curve:sect283k1", "ec_param_enc:named_curve"),
        ("ec_paramgen_curve:sect283r1", "ec_param_enc:explicit"),
        ("ec_paramgen_curve:brainpoolP256r1", "ec_param_enc:named_curve"),
        ("ec_paramgen_curve:prime192v1", "ec_param_enc:named_curve"),
        ("ec_paramgen_curve:wap-wsg-idm-ecid-wtls1", "ec_param_enc:named_curve"),
    ],
    ids=lambda options: "-".join(each.partition(":")[2] for each in options),
)
async def test_security_C4_a_curve_that_is_explicit_binary_or_another_is_refused(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    key = tmp_path / "key.pem"
    chosen = [word for option in options for word in ("-pkeyopt", option)]
    openssl("genpkey", "-algorithm", "EC", *chosen, "-out", key)
    csr = openssl("req", "-new", "-key", key, "-subj", "/CN=pump-1", "-outform", "DER")

    finding = await finding_of(csr)

    assert finding == "refused unread: publicKey"


@pytest.mark.parametrize(
    "point",
    [
        b"\x04" + bytes(64),
        b"\x04" + bytes(63) + b"\x01",
        b"\x04" + b"\xff" * 64,
        b"\x00",
        b"\x04" + bytes(32),
        b"",
    ],
    ids=["origin", "off the curve", "beyond the field", "infinity", "half", "nothing"],
)
def test_security_C4_a_point_that_is_not_on_its_curve_is_refused(point: bytes) -> None:
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    csr = raw_csr(spki=sequence(algorithm, tlv(0x03, b"\0", point)))

    with pytest.raises(EnrollmentError):
        pkcs10.decode(csr)


def test_security_C4_a_good_point_given_compressed_is_refused() -> None:
    key = a_key("p-256", 700)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    csr = raw_csr(key=key, spki=sequence(algorithm, tlv(0x03, b"\0", point)))

    with pytest.raises(EnrollmentError) as refusal:
        pkcs10.decode(csr)

    assert refusal.value.field == "publicKey"


async def test_security_C4_the_identity_point_proves_possession_of_itself_and_is_refused() -> None:
    """Anybody can sign for it: R = B, s = 1 verifies under every message (RFC 8032 §5.1.7)."""
    spki = sequence(sequence(bytes.fromhex("06032b6570")), tlv(0x03, b"\0\x01", bytes(31)))
    base_point = b"\x58" + b"\x66" * 31
    csr = raw_csr(spki=spki, algorithm=ED25519, signature=base_point + b"\x01" + bytes(31))
    assert pkcs10.decode(csr).spki == spki  # It does prove possession.

    finding = await finding_of(csr)

    assert finding == "key_weak"


@pytest.mark.parametrize(
    "encoded",
    [
        # Every encoding of a point of order 1, 2, 4 and 8, the ones that are not canonical too.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ],
)
def test_security_C4_a_point_of_small_order_is_refused_however_it_is_written(encoded: str) -> None:
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(encoded))

    assert refused_by(key)


@pytest.mark.parametrize("y", [0, 1, 2**448 - 2**224 - 2, 2**448 - 2**224 - 1, 2**448 - 2**224])
@pytest.mark.parametrize("sign", [0, 0x80])
def test_security_C4_a_point_of_small_order_on_the_larger_curve_is_refused(
    y: int, sign: int
) -> None:
    encoded = y.to_bytes(56, "little") + bytes([sign])

    assert refused_by(ed448.Ed448PublicKey.from_public_bytes(encoded))


@pytest.mark.parametrize(
    ("make", "many"),
    [
        (lambda: rsa.generate_private_key(65537, 2048).public_key(), 20),
        (lambda: ec.generate_private_key(ec.SECP256R1()).public_key(), 400),
        (lambda: ec.generate_private_key(ec.SECP384R1()).public_key(), 200),
        (lambda: ec.generate_private_key(ec.SECP521R1()).public_key(), 100),
        (lambda: ed25519.Ed25519PrivateKey.generate().public_key(), 400),
        (lambda: ed448.Ed448PrivateKey.generate().public_key(), 200),
    ],
    ids=["rsa-2048", "p-256", "p-384", "p-521", "ed25519", "ed448"],
)
def test_security_S23_no_good_key_is_refused(
    make: Callable[[], CertificatePublicKeyTypes], many: int
) -> None:
    keys = [make() for _ in range(many)]

    assert not any(refused_by(key) for key in keys)
