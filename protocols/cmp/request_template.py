"""Writing CertReqTemplateContent: what a request should hold (RFC 9810 §5.3.19.16)."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat import asn1

from enroll.profiles import SIGNING, CertificateProfile, KeyAlgorithm, KeyUsageBit
from enroll.requirements import RequestRequirements, WantedAttribute
from protocols import der
from protocols.key_algorithms import CURVES, RSA_BITS, encode_algorithm
from protocols.wanted_extensions import encode_extensions

_SUBJECT = 0xA5
_EXTENSIONS = 0xA9
_NOTHING = b"\x0c\0"  # A UTF8String: the sender is to fill it in (RFC 9483 §4.3.3).
_ALG_ID = bytes.fromhex("06092b06010505070501 0b")
_RSA_KEY_LEN = bytes.fromhex("06092b06010505070501 0c")


def encode_request_template(wanted: RequestRequirements, allowed: Iterable[KeyAlgorithm]) -> bytes:
    """Write the names and extensions that are wanted, and a control for each key that may be."""
    parts = []
    if wanted.subject:
        subject = der.encode(der.SEQUENCE, *(_rdn(each) for each in wanted.subject))
        parts.append(der.encode(_SUBJECT, subject))
    extensions = encode_extensions(wanted, names=True)
    if extensions:
        parts.append(der.encode(_EXTENSIONS, *extensions))
    controls = [_control(each) for each in _in_order(allowed)]
    return der.encode(
        der.SEQUENCE,
        der.encode(der.SEQUENCE, *parts),
        der.encode(der.SEQUENCE, *controls) if controls else b"",
    )


def signing_algorithms(profile: CertificateProfile) -> tuple[bytes, ...]:
    """Give the AlgorithmIdentifiers of the keys that are certified for signatures."""
    return _identifiers(_in_order(profile.key_algorithms & SIGNING))


def encryption_algorithms(profile: CertificateProfile) -> tuple[bytes, ...]:
    """Give those of the keys that are certified for encryption or key agreement."""
    usage = profile.key_usage | profile.requestable_key_usage
    return _identifiers(
        each
        for each in _in_order(profile.key_algorithms)
        if each not in SIGNING
        or (each in RSA_BITS and KeyUsageBit.KEY_ENCIPHERMENT in usage)
        or (each in CURVES and KeyUsageBit.KEY_AGREEMENT in usage)
    )


def _identifiers(algorithms: Iterable[KeyAlgorithm]) -> tuple[bytes, ...]:
    """Write each once: RSA has one, whatever the length (RFC 9810 §5.3.19.2)."""
    return tuple(dict.fromkeys(encode_algorithm(each) for each in algorithms))


def _in_order(algorithms: Iterable[KeyAlgorithm]) -> tuple[KeyAlgorithm, ...]:
    found = set(algorithms)
    return tuple(each for each in KeyAlgorithm if each in found)


def _control(algorithm: KeyAlgorithm) -> bytes:
    if algorithm in RSA_BITS:
        return der.encode(der.SEQUENCE, _RSA_KEY_LEN, asn1.encode_der(RSA_BITS[algorithm]))
    return der.encode(der.SEQUENCE, _ALG_ID, encode_algorithm(algorithm))


def _rdn(wanted: WantedAttribute) -> bytes:
    if wanted.value is None:
        attribute = der.encode(der.SEQUENCE, asn1.encode_der(wanted.type), _NOTHING)
        return der.encode(der.SET, attribute)
    name = x509.Name([x509.NameAttribute(wanted.type, wanted.value)]).public_bytes()
    (sequence,) = der.split(name)
    return sequence.content
