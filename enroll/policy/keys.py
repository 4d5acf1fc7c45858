"""Which public keys a certificate may hold: allowed kinds, and none that is known to be weak."""

import math
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives import serialization
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
from enroll.profiles import AGREEMENT_ONLY, ENCAPSULATION_ONLY, KeyAlgorithm, KeyUsageBit

RSA_PUBLIC_EXPONENT = 65537
_P_25519 = 2**255 - 19
_P_448 = 2**448 - 2**224 - 1
FERMAT_ROUNDS = 100


def algorithm_of(key: CertificatePublicKeyTypes) -> KeyAlgorithm | None:
    """Name the key's algorithm and size, or give None for one that no profile may allow."""
    match key:
        case ec.EllipticCurvePublicKey():
            return _CURVES.get(key.curve.name)
        case rsa.RSAPublicKey():
            return _RSA_SIZES.get(key.key_size)
        case _:
            return next((each for kind, each in _OF_ONE_STRENGTH if isinstance(key, kind)), None)


def check_public_key(
    key: CertificatePublicKeyTypes, allowed: frozenset[KeyAlgorithm]
) -> KeyAlgorithm:
    """Give the key's algorithm if the profile allows it and the key is not known to be weak.

    Weak: RSA with an exponent other than 65537, small or close factors, or the ROCA fingerprint;
    points of small order of Edwards and Montgomery curves. Raises PolicyViolation, field publicKey.
    """
    algorithm = algorithm_of(key)
    if algorithm is None or algorithm not in allowed:
        names = ", ".join(sorted(allowed))
        raise _refused(f"the key is none of those allowed here: {names}", "key_not_allowed")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return algorithm  # A named curve has been checked to hold its point when the key was read.
    match key:
        case rsa.RSAPublicKey():
            _check_rsa(key.public_numbers())
        case ed25519.Ed25519PublicKey():
            _check_edwards(key.public_bytes_raw(), _P_25519, _ED25519_SMALL_ORDER)
        case ed448.Ed448PublicKey():
            _check_edwards(key.public_bytes_raw(), _P_448, _ED448_SMALL_ORDER)
        case x25519.X25519PublicKey():
            _check_montgomery(key.public_bytes_raw(), _P_25519)
            _check_order(lambda: x25519.X25519PrivateKey.generate().exchange(key))
        case x448.X448PublicKey():
            _check_montgomery(key.public_bytes_raw(), _P_448)
            _check_order(lambda: x448.X448PrivateKey.generate().exchange(key))
        case _:
            pass
    return algorithm


def spki_of(key: CertificatePublicKeyTypes) -> bytes:
    """Give the SubjectPublicKeyInfo in DER."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fitting_key_usage(
    algorithm: KeyAlgorithm, usage: frozenset[KeyUsageBit]
) -> frozenset[KeyUsageBit]:
    """Leave out what a key of this algorithm cannot do.

    RFC 3279, RFC 8410 §5, RFC 8813, RFC 9881, RFC 9935.
    """
    return usage - _IMPOSSIBLE[algorithm]


def least_key_usage(algorithm: KeyAlgorithm) -> frozenset[KeyUsageBit]:
    """Give the key usage of a key to which nothing that was wished for fits."""
    if algorithm in AGREEMENT_ONLY:
        return frozenset({KeyUsageBit.KEY_AGREEMENT})
    if algorithm in ENCAPSULATION_ONLY:
        return frozenset({KeyUsageBit.KEY_ENCIPHERMENT})
    return frozenset({KeyUsageBit.DIGITAL_SIGNATURE})


def _check_rsa(numbers: rsa.RSAPublicNumbers) -> None:
    if numbers.e != RSA_PUBLIC_EXPONENT:
        raise _refused("the RSA public exponent must be 65537", "key_weak")
    modulus = numbers.n
    if math.gcd(modulus, _PRIMORIAL) != 1:
        raise _refused("the RSA modulus has a small factor", "key_weak")
    if _has_roca_fingerprint(modulus):
        raise _refused("the RSA key was made by a faulty generator (ROCA)", "key_weak")
    if _has_close_factors(modulus):
        raise _refused("the RSA modulus has two factors close together", "key_weak")


def _has_close_factors(modulus: int) -> bool:
    """Try Fermat's factorization for a few rounds: enough for primes made side by side.

    What is no square modulo a small number is none at all, and that is told much faster.
    """
    root = math.isqrt(modulus)
    root += root * root < modulus
    rest = root * root - modulus
    for _ in range(FERMAT_ROUNDS):
        if rest % _SQUARES_MODULUS in _SQUARES and math.isqrt(rest) ** 2 == rest:
            return True
        rest += 2 * root + 1
        root += 1
    return False


def _has_roca_fingerprint(modulus: int) -> bool:
    """Test for CVE-2017-15361: the modulus is a power of 65537 modulo every small prime."""
    return all(modulus % prime in powers for prime, powers in _ROCA_SUBGROUPS.items())


def _check_edwards(encoded: bytes, prime: int, small_order: frozenset[int]) -> None:
    bits = prime.bit_length()
    y = int.from_bytes(encoded, "little") & ((1 << bits) - 1)
    if y % prime in small_order:
        raise _refused("the public key is a point of small order", "key_weak")


def _check_montgomery(encoded: bytes, prime: int) -> None:
    """Demand the one encoding that a coordinate has (RFC 7748 §5 takes others for the same)."""
    if int.from_bytes(encoded, "little") >= prime:
        raise _refused("the public key is not encoded as its number is", "key_weak")


def _check_order(agree: Callable[[], bytes]) -> None:
    """Try the key: with a point of small order every secret is zero (RFC 7748 §6)."""
    try:
        agree()
    except ValueError:
        raise _refused("the public key is a point of small order", "key_weak") from None


def _refused(detail: str, finding: str) -> PolicyViolation:
    return PolicyViolation(
        FailureReason.BAD_CERTIFICATE_TEMPLATE, detail, finding=finding, field="publicKey"
    )


def _primes(limit: int) -> list[int]:
    sieve = bytearray([1]) * limit
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number in range(limit) if sieve[number]]


def _powers(prime: int) -> frozenset[int]:
    found = set()
    value = 1
    while value not in found:
        found.add(value)
        value = value * RSA_PUBLIC_EXPONENT % prime
    return frozenset(found)


_RSA_SIZES: Mapping[int, KeyAlgorithm] = {
    2048: KeyAlgorithm.RSA_2048,
    3072: KeyAlgorithm.RSA_3072,
    4096: KeyAlgorithm.RSA_4096,
}
_CURVES: Mapping[str, KeyAlgorithm] = {
    "secp256r1": KeyAlgorithm.P_256,
    "secp384r1": KeyAlgorithm.P_384,
    "secp521r1": KeyAlgorithm.P_521,
}
_OF_ONE_STRENGTH: tuple[tuple[type[CertificatePublicKeyTypes], KeyAlgorithm], ...] = (
    (ed25519.Ed25519PublicKey, KeyAlgorithm.ED25519),
    (ed448.Ed448PublicKey, KeyAlgorithm.ED448),
    (mldsa.MLDSA44PublicKey, KeyAlgorithm.ML_DSA_44),
    (mldsa.MLDSA65PublicKey, KeyAlgorithm.ML_DSA_65),
    (mldsa.MLDSA87PublicKey, KeyAlgorithm.ML_DSA_87),
    (x25519.X25519PublicKey, KeyAlgorithm.X25519),
    (x448.X448PublicKey, KeyAlgorithm.X448),
    (mlkem.MLKEM768PublicKey, KeyAlgorithm.ML_KEM_768),
    (mlkem.MLKEM1024PublicKey, KeyAlgorithm.ML_KEM_1024),
)
_ALL = frozenset(KeyUsageBit)
_SIGNING_ONLY = frozenset({KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.KEY_AGREEMENT})
_IMPOSSIBLE: Mapping[KeyAlgorithm, frozenset[KeyUsageBit]] = {
    **dict.fromkeys(_RSA_SIZES.values(), frozenset({KeyUsageBit.KEY_AGREEMENT})),
    **dict.fromkeys(_CURVES.values(), frozenset({KeyUsageBit.KEY_ENCIPHERMENT})),
    **{algorithm: _SIGNING_ONLY for _, algorithm in _OF_ONE_STRENGTH},
    **dict.fromkeys(AGREEMENT_ONLY, _ALL - {KeyUsageBit.KEY_AGREEMENT}),
    **dict.fromkeys(ENCAPSULATION_ONLY, _ALL - {KeyUsageBit.KEY_ENCIPHERMENT}),
}
_SQUARES_MODULUS = 5_040
_SQUARES = frozenset(number * number % _SQUARES_MODULUS for number in range(_SQUARES_MODULUS))
_PRIMORIAL = math.prod(_primes(2_000))
_ROCA_SUBGROUPS = {prime: _powers(prime) for prime in _primes(168) if prime > 2}  # noqa: PLR2004 - odd primes
_ED25519_SMALL_ORDER = frozenset(
    {
        0,
        1,
        2**255 - 20,
        # The two y of the points of order eight.
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "little",
        ),
    }
)
_ED448_SMALL_ORDER = frozenset({0, 1, 2**448 - 2**224 - 2})
