"""Certification requests for tests: good ones, odd ones, and hostile ones made octet by octet."""

from collections.abc import Callable, Sequence
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import AttributeOID, NameOID

Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
RSA_SHA1 = bytes.fromhex("300d06092a864886f70d0101050500")
RSA_MD5 = bytes.fromhex("300d06092a864886f70d0101040500")
ED25519 = bytes.fromhex("300506032b6570")

EXTENSION_REQUEST = "2a864886f70d01090e"
CHALLENGE_PASSWORD = "2a864886f70d010907"  # an OBJECT IDENTIFIER
CHANGE_SUBJECT_NAME = "2b06010505070724"
SUBJECT_ALTERNATIVE_NAME = "551d11"
KEY_USAGE = "551d0f"
EXTENDED_KEY_USAGE = "551d25"
BASIC_CONSTRAINTS = "551d13"

_KINDS: dict[str, Callable[[], Key]] = {
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "p-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-2048-e3": lambda: rsa.generate_private_key(3, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}


@cache
def a_key(kind: str = "p-256", number: int = 0) -> Key:
    """Give a private key: the same one each time it is asked for by kind and number."""
    del number
    return _KINDS[kind]()


def a_csr(
    key: Key | None = None,
    *,
    subject: x509.Name | None = None,
    names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    challenge_password: str | None = None,
    rsa_padding: padding.PSS | None = None,
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None,
) -> bytes:
    """Make a good certification request, DER, by cryptography."""
    key = key or a_key()
    builder = x509.CertificateSigningRequestBuilder(a_name() if subject is None else subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if challenge_password is not None:
        builder = builder.add_attribute(
            AttributeOID.CHALLENGE_PASSWORD, challenge_password.encode()
        )
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        request = builder.sign(key, None)
    else:
        request = builder.sign(key, digest or hashes.SHA256(), rsa_padding=rsa_padding)
    return request.public_bytes(serialization.Encoding.DER)


def a_name(common_name: str = "pump-1") -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def some_key_usage(**allowed: bool) -> x509.KeyUsage:
    """Make a KeyUsage with only the named bits set."""
    bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: allowed.get(bit, False) for bit in bits})


def tlv(tag: int, *parts: bytes) -> bytes:
    """Make one DER element."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def oid(content: str) -> bytes:
    return tlv(0x06, bytes.fromhex(content))


def spki_of(key: Key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def attribute(kind: str, *values: bytes) -> bytes:
    return sequence(oid(kind), tlv(0x31, *values))


def extension(kind: str, value: bytes, *, critical: bool | None = None) -> bytes:
    flag = b"" if critical is None else tlv(0x01, b"\xff" if critical else b"\0")
    return sequence(oid(kind), flag, tlv(0x04, value))


def extension_request(*extensions: bytes) -> bytes:
    return attribute(EXTENSION_REQUEST, sequence(*extensions))


def raw_csr(
    *attributes: bytes,
    key: Key | None = None,
    subject: bytes | None = None,
    spki: bytes | None = None,
    version: bytes = b"\x02\x01\x00",
    algorithm: bytes = ECDSA_SHA256,
    signature: bytes | None = None,
) -> bytes:
    """Put a request together from parts that no builder would take, in the order given.

    The signature is an honest one of the key over what came out, unless another is given.
    """
    key = key or a_key()
    info = sequence(
        version,
        subject if subject is not None else a_name().public_bytes(),
        spki if spki is not None else spki_of(key),
        tlv(0xA0, *attributes),
    )
    signed = signature if signature is not None else sign(key, info)
    return sequence(info, algorithm, tlv(0x03, b"\0", signed))


def sign(key: Key, message: bytes) -> bytes:
    """Sign with SHA-256, or as the key's own scheme has it."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            return key.sign(message)


def rsa_spki(modulus: bytes, exponent: bytes = b"\x01\x00\x01") -> bytes:
    """Make a SubjectPublicKeyInfo of the contents of two INTEGERs."""
    numbers = sequence(tlv(0x02, modulus), tlv(0x02, exponent))
    return sequence(bytes.fromhex("300d06092a864886f70d0101010500"), tlv(0x03, b"\0", numbers))


def bombs() -> dict[str, bytes]:
    """Messages made to cost a parser more than they cost their sender, by what they do."""
    nested = b""
    for _ in range(9_000):
        nested = tlv(0x30, nested)
    indefinite = a_csr()
    return {
        "deep_nesting": nested,
        "deep_indefinite_nesting": b"\x30\x80" * 32_000,
        "long_oid": sequence(tlv(0x06, b"\xff" * 65_525 + b"\x01")),
        "many_nulls": sequence(b"\x05\x00" * 32_000),
        "giant_integer": sequence(tlv(0x02, b"\x7f" * 65_000)),
        "giant_modulus": raw_csr(spki=rsa_spki(b"\x7f" * 60_000), algorithm=RSA_SHA256),
        "many_names": raw_csr(
            extension_request(extension(SUBJECT_ALTERNATIVE_NAME, sequence(b"\x82\x01a" * 20_000)))
        ),
        "many_attributes": raw_csr(*[attribute("2a0304", b"\x05\x00")] * 5_000),
        "indefinite_length": b"\x30\x80" + indefinite[3:] + b"\x00\x00",
        "long_form_length": b"\x30\x84\x00\x00\x00" + indefinite[2:],
        "truncated_length": b"\x30\x84\xff\xff",
        "length_beyond_end": b"\x30\x84\x7f\xff\xff\xff\x02\x01\x00",
        "endless_tag": b"\x3f" + b"\xff" * 65_000,
    }
