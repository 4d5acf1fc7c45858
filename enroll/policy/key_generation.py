"""Which key is made for a device, and how it may leave."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.channel import Channel
from enroll.failures import FailureReason, NotAuthorized, PolicyViolation
from enroll.key_generation import NO_KEY
from enroll.options import ESTOptions, GeneratedKeyAlgorithm, ServerKeyGeneration
from enroll.policy.keys import algorithm_of
from enroll.profiles import KeyAlgorithm

STRENGTHS: Mapping[GeneratedKeyAlgorithm, int] = {
    # NIST SP 800-57 part 1, table 2; FIPS 203 and 204 by categories, which are those of AES.
    GeneratedKeyAlgorithm.RSA_2048: 112,
    GeneratedKeyAlgorithm.RSA_3072: 128,
    GeneratedKeyAlgorithm.RSA_4096: 128,
    GeneratedKeyAlgorithm.P_256: 128,
    GeneratedKeyAlgorithm.P_384: 192,
    GeneratedKeyAlgorithm.P_521: 256,
    GeneratedKeyAlgorithm.ED25519: 128,
    GeneratedKeyAlgorithm.ED448: 224,
    GeneratedKeyAlgorithm.ML_DSA_44: 128,
    GeneratedKeyAlgorithm.ML_DSA_65: 192,
    GeneratedKeyAlgorithm.ML_DSA_87: 256,
    GeneratedKeyAlgorithm.X25519: 128,
    GeneratedKeyAlgorithm.X448: 224,
    GeneratedKeyAlgorithm.ML_KEM_768: 192,
    GeneratedKeyAlgorithm.ML_KEM_1024: 256,
}
"""The bits of a key's strength, which the cipher that it travels under has to have too."""


_NO_BITS = bytes.fromhex("030100")
# The AlgorithmIdentifiers of keys, as DER writes them: RFC 3279, 5480, 8410, 9881 and 9935.
_BY_IDENTIFIER: Mapping[bytes, frozenset[KeyAlgorithm]] = {
    bytes.fromhex("300d06092a864886f70d0101010500"): frozenset(
        {KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096}
    ),
    **{
        bytes.fromhex(identifier): frozenset({algorithm})
        for algorithm, identifier in {
            KeyAlgorithm.P_256: "301306072a8648ce3d020106082a8648ce3d030107",
            KeyAlgorithm.P_384: "301006072a8648ce3d020106052b81040022",
            KeyAlgorithm.P_521: "301006072a8648ce3d020106052b81040023",
            KeyAlgorithm.X25519: "300506032b656e",
            KeyAlgorithm.X448: "300506032b656f",
            KeyAlgorithm.ED25519: "300506032b6570",
            KeyAlgorithm.ED448: "300506032b6571",
            KeyAlgorithm.ML_DSA_44: "300b0609608648016503040311",
            KeyAlgorithm.ML_DSA_65: "300b0609608648016503040312",
            KeyAlgorithm.ML_DSA_87: "300b0609608648016503040313",
            KeyAlgorithm.ML_KEM_768: "300b0609608648016503040402",
            KeyAlgorithm.ML_KEM_1024: "300b0609608648016503040403",
        }.items()
    },
}


def chosen_algorithm(
    spki: bytes, options: ESTOptions, allowed: frozenset[KeyAlgorithm]
) -> KeyAlgorithm:
    """Choose what to make: a key of the request's sort where that is made here, else the first.

    `spki` is the key in the request; nothing else of it counts (RFC 7030 §4.4.1). Raises
    NotAuthorized where no keys are made, PolicyViolation where none of them could be certified.
    """
    if options.server_key_generation is ServerKeyGeneration.OFF:
        raise NotAuthorized("no keys are made for this profile", finding="key_generation_off")
    made = [KeyAlgorithm(each.value) for each in options.key_generation_algorithms]
    possible = [each for each in made if each in allowed]
    if not possible:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "the certificate profile allows none of est.key_generation_algorithms; change either",
            finding="key_not_allowed",
            field="publicKey",
        )
    wished = _algorithms_in(spki)
    return next((each for each in possible if each in wished), possible[0])


def is_as_wished(spki: bytes, made: KeyAlgorithm) -> bool:
    """Tell whether the key is of the sort of the one in the request, if there is one."""
    return spki == NO_KEY or made in _algorithms_in(spki)


def check_cipher(algorithm: KeyAlgorithm, channel: Channel | None, *, encrypted: bool) -> None:
    """Demand a cipher as strong as the key that is to travel under it (RFC 7030 §4.4).

    Of a connection that ends at a proxy nothing is known: a key goes there encrypted, or not at
    all. Raises NotAuthorized.
    """
    if channel is None:
        if encrypted:
            return
        raise NotAuthorized(
            "the cipher of the client's connection is not known here; only an encrypted key "
            "may leave by a proxy",
            finding="cipher_unknown",
        )
    needed, offered = STRENGTHS[GeneratedKeyAlgorithm(algorithm.value)], channel.strength()
    if offered < needed:
        raise NotAuthorized(
            f"a cipher of {offered} bits is too weak for a key of {needed} ({algorithm})",
            finding="cipher_too_weak",
        )


def check_encryption_asked_for(options: ESTOptions, *, asked_for: bool) -> None:
    """Demand a key to encrypt with where the profile lets none leave without (est-K7)."""
    if options.key_encryption_required and not asked_for:
        raise refused_recipient(
            "the profile demands encryption, and the request names no key for it",
            "key_encryption_required",
        )


def recipient_among(
    records: Iterable[CertificateRecord], key_identifier: bytes, now: datetime
) -> x509.Certificate:
    """Find the certificate whose key has this identifier and may be encrypted to (est-K10).

    Raises PolicyViolation.
    """
    named = [
        each.certificate
        for each in sorted(records, key=lambda each: each.issued_at, reverse=True)
        if _is_good(each, now) and _has_identifier(each.certificate, key_identifier)
    ]
    if not named:
        raise refused_recipient(
            "no certificate of the device has a key of this identifier", "recipient_unknown"
        )
    for each in named:
        if _may_be_encrypted_to(each):
            return each
    raise refused_recipient(
        "the certificate of the key that was named lets nothing be encrypted to it",
        "recipient_key_usage",
    )


def refused_recipient(detail: str, finding: str) -> PolicyViolation:
    return PolicyViolation(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        detail,
        finding=finding,
        field="decryptKeyIdentifier",
    )


def _algorithms_in(spki: bytes) -> frozenset[KeyAlgorithm]:
    """Tell of which sort the key is: of several where there is but its AlgorithmIdentifier."""
    if spki.endswith(_NO_BITS):
        return _BY_IDENTIFIER.get(spki[2 : -len(_NO_BITS)], frozenset())
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return frozenset()
    # Keys that no certificate may hold have no name there.
    found = algorithm_of(cast("CertificatePublicKeyTypes", key))
    return frozenset() if found is None else frozenset({found})


def _is_good(record: CertificateRecord, now: datetime) -> bool:
    unrevoked = record.status not in {CertificateStatus.REVOKED, CertificateStatus.ON_HOLD}
    return (
        unrevoked
        and not record.awaits_owner
        and record.not_valid_before <= now <= record.not_valid_after
    )


def _has_identifier(certificate: x509.Certificate, key_identifier: bytes) -> bool:
    """Tell whether the key is so named: by the certificate, or else by its SHA-1 (RFC 5280)."""
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return own.digest == key_identifier


def _may_be_encrypted_to(certificate: x509.Certificate) -> bool:
    """Tell whether key transport or key agreement is permitted, or use unrestricted."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    match certificate.public_key():
        case rsa.RSAPublicKey():
            return usage.key_encipherment
        case ec.EllipticCurvePublicKey():
            return usage.key_agreement
        case _:
            return False
