"""Which public keys and signatures are worth a verification: judged by their octets, cheaply."""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from itertools import product

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.limits import check_der

RSA_MODULUS_BITS = range(2048, 4096 + 1)
_RSA_PUBLIC_EXPONENT = 65537
_RSA_KEY_OCTETS = 600
_UNCOMPRESSED = 0x04
P_256_POINT = bytes.fromhex("3059 3013 06072a8648ce3d0201 06082a8648ce3d030107 034200 04")
"""What the SubjectPublicKeyInfo of every key on P-256 begins with, its point uncompressed."""
P_256_SPKI_OCTETS = 91


class KeyKind(Enum):
    """The public keys that can be certified; the last four sign nothing."""

    RSA = auto()
    EC = auto()
    ED25519 = auto()
    ED448 = auto()
    ML_DSA_44 = auto()
    ML_DSA_65 = auto()
    ML_DSA_87 = auto()
    X25519 = auto()
    X448 = auto()
    ML_KEM_768 = auto()
    ML_KEM_1024 = auto()


def check_signature_algorithm(algorithm: der.Element, *, sha1: bool = False) -> KeyKind:
    """Give the kind of key that makes such signatures, if they are allowed. Takes a SEQUENCE.

    Raises UNSUPPORTED_ALGORITHM, field signatureAlgorithm.
    """
    kind = _SIGNATURE_ALGORITHMS.get(algorithm.content)
    if sha1 and algorithm.content == _SHA1_WITH_RSA:
        return KeyKind.RSA
    if kind is None and algorithm.content.startswith(_RSASSA_PSS):
        parameters = der.split(algorithm.content)[-1]
        if parameters.tag == der.SEQUENCE and parameters.content.startswith(_PSS_HASHES):
            kind = KeyKind.RSA
    if kind is None:
        raise unsupported("signatureAlgorithm", "the signature algorithm is not in the list")
    return kind


def check_key(spki: der.Element) -> KeyKind:
    """Give the kind of a SubjectPublicKeyInfo that may be loaded; more only loading tells.

    Takes a SEQUENCE. One key has one encoding here, so that its hash names it: parameters as the
    RFCs have them (RFC 3279 §2.3.1, RFC 5480 §2.1.1, RFC 8410 §3, RFC 9881, RFC 9935), points
    uncompressed.

    Raises UNSUPPORTED_ALGORITHM or BAD_CERTIFICATE_TEMPLATE, field publicKey; Malformed.
    """
    parts = der.split(spki.content)
    if [part.tag for part in parts] != [der.SEQUENCE, der.BIT_STRING]:
        raise Malformed("the public key is no SubjectPublicKeyInfo")
    algorithm, bits = parts
    kind = _KEY_ALGORITHMS.get(algorithm.content)
    if kind is None:
        raise unsupported("publicKey", "the key's algorithm, curve or parameters are not allowed")
    if bits.content[0] != 0:
        raise Malformed("the public key is not made of whole octets")
    if kind is KeyKind.RSA:
        _check_rsa(bits.content[1:])
    elif kind is KeyKind.EC and bits.content[1:2] != bytes((_UNCOMPRESSED,)):
        raise unsupported("publicKey", "the point of an EC key must be given uncompressed")
    return kind


def unsupported(field: str, detail: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.UNSUPPORTED_ALGORITHM, detail, field=field)


def _check_rsa(key: bytes) -> None:
    if len(key) > _RSA_KEY_OCTETS:
        raise _weak(f"the RSA modulus is longer than {RSA_MODULUS_BITS[-1]} bits")
    check_der(key)
    (sequence,) = der.split(key)
    numbers = der.split(sequence.content) if sequence.tag == der.SEQUENCE else []
    if [number.tag for number in numbers] != [der.INTEGER, der.INTEGER]:
        raise Malformed("the public key is no RSAPublicKey")
    modulus, exponent = (int.from_bytes(each.content, signed=True) for each in numbers)
    if modulus <= 0 or modulus.bit_length() not in RSA_MODULUS_BITS:
        raise _weak(
            f"an RSA modulus must have {RSA_MODULUS_BITS[0]} to {RSA_MODULUS_BITS[-1]} bits"
        )
    if exponent != _RSA_PUBLIC_EXPONENT:
        raise _weak(f"the RSA public exponent must be {_RSA_PUBLIC_EXPONENT}")


def _weak(detail: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_CERTIFICATE_TEMPLATE, detail, finding="key_weak", field="publicKey"
    )


# Of these the key and its signatures bear one and the same AlgorithmIdentifier, without parameters.
_OF_ONE_ALGORITHM: Mapping[bytes, KeyKind] = {
    bytes.fromhex("06032b6570"): KeyKind.ED25519,
    bytes.fromhex("06032b6571"): KeyKind.ED448,
    bytes.fromhex("0609608648016503040311"): KeyKind.ML_DSA_44,
    bytes.fromhex("0609608648016503040312"): KeyKind.ML_DSA_65,
    bytes.fromhex("0609608648016503040313"): KeyKind.ML_DSA_87,
}
# The contents of AlgorithmIdentifier: an OBJECT IDENTIFIER and the parameters that belong to it.
_KEY_ALGORITHMS: Mapping[bytes, KeyKind] = {
    bytes.fromhex("06092a864886f70d010101 0500"): KeyKind.RSA,
    bytes.fromhex("06072a8648ce3d0201 06082a8648ce3d030107"): KeyKind.EC,  # P-256
    bytes.fromhex("06072a8648ce3d0201 06052b81040022"): KeyKind.EC,  # P-384
    bytes.fromhex("06072a8648ce3d0201 06052b81040023"): KeyKind.EC,  # P-521
    **_OF_ONE_ALGORITHM,
    bytes.fromhex("06032b656e"): KeyKind.X25519,
    bytes.fromhex("06032b656f"): KeyKind.X448,
    bytes.fromhex("0609608648016503040402"): KeyKind.ML_KEM_768,
    bytes.fromhex("0609608648016503040403"): KeyKind.ML_KEM_1024,
}
_SIGNATURE_ALGORITHMS: Mapping[bytes, KeyKind] = {
    bytes.fromhex("06092a864886f70d01010b 0500"): KeyKind.RSA,  # sha256WithRSAEncryption
    bytes.fromhex("06092a864886f70d01010c 0500"): KeyKind.RSA,
    bytes.fromhex("06092a864886f70d01010d 0500"): KeyKind.RSA,  # sha512WithRSAEncryption
    bytes.fromhex("06082a8648ce3d040302"): KeyKind.EC,  # ecdsa-with-SHA256
    bytes.fromhex("06082a8648ce3d040303"): KeyKind.EC,
    bytes.fromhex("06082a8648ce3d040304"): KeyKind.EC,  # ecdsa-with-SHA512
    **_OF_ONE_ALGORITHM,
}
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105 0500")
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")


def _pss_hashes() -> Iterator[bytes]:
    """Give how RFC 4055 §3.1 RSASSA-PSS-params may begin: one hash for the message and the mask.

    Before the salt's length, that is. The NULL after a hash may be left out (RFC 4055 §2.1).
    """
    mgf1 = bytes.fromhex("06092a864886f70d010108")
    for sha2 in ("0609608648016503040201", "0609608648016503040202", "0609608648016503040203"):
        forms = [der.encode(der.SEQUENCE, bytes.fromhex(sha2), null) for null in (b"\x05\x00", b"")]
        for message, mask in product(forms, forms):
            yield der.encode(der.CONTEXT_0, message) + der.encode(
                der.CONTEXT_1, der.encode(der.SEQUENCE, mgf1, mask)
            )


_PSS_HASHES = tuple(_pss_hashes())
