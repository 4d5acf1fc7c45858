"""Good certification requests to damage, and their keys: the same octets in each run."""

from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.support.csr import (
    BASIC_CONSTRAINTS,
    CHALLENGE_PASSWORD,
    CHANGE_SUBJECT_NAME,
    ECDSA_SHA256,
    ED25519,
    KEY_USAGE,
    RSA_SHA256,
    SUBJECT_ALTERNATIVE_NAME,
    a_name,
    attribute,
    extension,
    extension_request,
    oid,
    sequence,
    spki_of,
    tlv,
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_P = int(
    "d547e03a9b2d1b4d5dd10012ce00b761d83653a7c9fff4a0bd5ab552fb946dd3fb119ce6d9258bbb7b9baa67"
    "addc52861a0fb3cb13eb4430ca0d2a3c12712ebce87e1a523043dad4fb66b749136c5897cc618a33d5c6bcb0"
    "bba32c18b61b37c03d8fbf51880aec7cc5cb9b18160f9c51332985cfa6a47f6196050f340ada02ef",
    16,
)
_Q = int(
    "c2664283aa419948f44ddc239e808969158d37265e4065acce1b24d2752d71530ee27ffb35a2cee2736f42e3"
    "439a9faa8a49723f7a9cd1de9827e0947055fb78c03726ab46700e90468db47b09f2244a24596f1d41e2c319"
    "41e4f76f21965c856126ed4680a973fc4060022330ad6def7380adebac3103dc44ab836365d50ccb",
    16,
)


@lru_cache
def seeds() -> tuple[tuple[Key, bytes], ...]:
    """Give requests of each kind of key, bare and with all attributes, and the keys.

    Those for keys to be made here come last: to a shared key, and to a certificate's.
    """
    keys: tuple[Key, ...] = (
        ec.derive_private_key(0xC0FFEE, ec.SECP256R1()),
        ec.derive_private_key(0xC0FFEE, ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
        _rsa_key(),
    )
    plain = [(key, _request(key, attributes)) for key in keys for attributes in ((), _ATTRIBUTES)]
    wanting = [(keys[0], _request(keys[0], attributes)) for attributes in _DELIVERIES]
    return (*plain, *wanting)


def sign(key: Key, message: bytes) -> bytes:
    """Sign as the seeds are signed: with SHA-256 or the key's own scheme, without randomness."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        case rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case ed25519.Ed25519PrivateKey():
            return key.sign(message)


def _request(key: Key, attributes: tuple[bytes, ...]) -> bytes:
    info = sequence(b"\x02\x01\x00", _NAME, spki_of(key), tlv(0xA0, *attributes))
    return sequence(info, _algorithm(key), tlv(0x03, b"\0", sign(key, info)))


def _algorithm(key: Key) -> bytes:
    match key:
        case ec.EllipticCurvePrivateKey():
            return ECDSA_SHA256
        case rsa.RSAPrivateKey():
            return RSA_SHA256
        case ed25519.Ed25519PrivateKey():
            return ED25519


def _rsa_key() -> rsa.RSAPrivateKey:
    """Give a key that is good for nothing but tests, since everybody knows its primes."""
    private = pow(65537, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=private,
        dmp1=private % (_P - 1),
        dmq1=private % (_Q - 1),
        iqmp=rsa.rsa_crt_iqmp(_P, _Q),
        public_numbers=rsa.RSAPublicNumbers(65537, _P * _Q),
    )
    return numbers.private_key()


SHARED_KEY_ID = b"\x0a\x0b"
_NAME = a_name().public_bytes()
_NAMES = sequence(tlv(0x82, b"pump-1.example"), tlv(0xA4, _NAME))
_ATTRIBUTES = (
    extension_request(
        extension(SUBJECT_ALTERNATIVE_NAME, _NAMES),
        extension(KEY_USAGE, b"\x03\x02\x07\x80", critical=True),
        extension(BASIC_CONSTRAINTS, sequence(), critical=True),
    ),
    attribute(CHALLENGE_PASSWORD, tlv(0x13, b"AAAA-BBBB-CCCC-DDDD-EEEE")),
    attribute(CHANGE_SUBJECT_NAME, sequence(_NAME, _NAMES)),
)
_AES_256_WRAP = bytes.fromhex("060960864801650304012d")
_SHA_256 = bytes.fromhex("300d06096086480165030402010500")
_OAEP = sequence(tlv(0xA0, _SHA_256), tlv(0xA1, sequence(oid("2a864886f70d010108"), _SHA_256)))
_CAPABILITIES = attribute(
    "2a864886f70d01090f",
    sequence(
        sequence(bytes.fromhex("060960864801650304012a")),
        sequence(_AES_256_WRAP),
        sequence(oid("2a864886f70d010107"), _OAEP),
        sequence(oid("2b8104010b01"), sequence(_AES_256_WRAP)),
    ),
)
_DELIVERIES = (
    (attribute("2a864886f70d0109100225", tlv(0x04, SHARED_KEY_ID)), _CAPABILITIES),
    (attribute("2a864886f70d0109100236", tlv(0x04, bytes(20))), _CAPABILITIES),
)
