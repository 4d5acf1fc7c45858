"""How protocols name the public keys that a certificate profile may allow (RFC 3279, RFC 5480)."""

from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat import asn1

from enroll.profiles import KeyAlgorithm
from protocols import der

EC_PUBLIC_KEY = "1.2.840.10045.2.1"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
CURVES: Mapping[KeyAlgorithm, str] = {
    KeyAlgorithm.P_256: "1.2.840.10045.3.1.7",
    KeyAlgorithm.P_384: "1.3.132.0.34",
    KeyAlgorithm.P_521: "1.3.132.0.35",
}
RSA_BITS: Mapping[KeyAlgorithm, int] = {
    KeyAlgorithm.RSA_2048: 2048,
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
}
SIGNATURES: Mapping[KeyAlgorithm, str] = {
    **dict.fromkeys(RSA_BITS, "1.2.840.113549.1.1.11"),
    KeyAlgorithm.P_256: "1.2.840.10045.4.3.2",
    KeyAlgorithm.P_384: "1.2.840.10045.4.3.3",
    KeyAlgorithm.P_521: "1.2.840.10045.4.3.4",
    KeyAlgorithm.ED25519: "1.3.101.112",
    KeyAlgorithm.ED448: "1.3.101.113",
    KeyAlgorithm.ML_DSA_44: "2.16.840.1.101.3.4.3.17",
    KeyAlgorithm.ML_DSA_65: "2.16.840.1.101.3.4.3.18",
    KeyAlgorithm.ML_DSA_87: "2.16.840.1.101.3.4.3.19",
}
"""What a key of each sort signs with; where one identifier says both, it is the key's."""

_OTHERS: Mapping[KeyAlgorithm, str] = {
    KeyAlgorithm.X25519: "1.3.101.110",
    KeyAlgorithm.X448: "1.3.101.111",
    KeyAlgorithm.ML_KEM_768: "2.16.840.1.101.3.4.4.2",
    KeyAlgorithm.ML_KEM_1024: "2.16.840.1.101.3.4.4.3",
}
_NAMES = {**SIGNATURES, **_OTHERS}
_NULL = b"\x05\0"


def encode_algorithm(algorithm: KeyAlgorithm) -> bytes:
    """Write the AlgorithmIdentifier that stands in such a key's SubjectPublicKeyInfo."""
    if algorithm in RSA_BITS:
        return der.encode(der.SEQUENCE, encode_oid(RSA_ENCRYPTION), _NULL)
    if algorithm in CURVES:
        return der.encode(der.SEQUENCE, encode_oid(EC_PUBLIC_KEY), encode_oid(CURVES[algorithm]))
    return der.encode(der.SEQUENCE, encode_oid(_NAMES[algorithm]))


def encode_oid(dotted: str) -> bytes:
    return asn1.encode_der(x509.ObjectIdentifier(dotted))
