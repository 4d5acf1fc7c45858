"""Protection of messages (RFC 9810 §5.1.3): verified over the octets that came, and made anew."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cmp.macs import KEM_BASED_MAC, MACKey, derive_key, names_a_mac, read_mac_algorithm
from protocols.cmp.messages import PKIMessage
from protocols.cms.chains import is_by_itself
from protocols.cms.digests import Digest
from protocols.cms.signatures import Scheme, Sign, scheme_of, signing
from protocols.public_keys import unsupported
from protocols.signatures import verify_own_signature


class Protection(Protocol):
    """Protects messages that go out: a `MACKey`, which is of a request, or a `Signer`.

    `algorithm` is the AlgorithmIdentifier of protectionAlg.
    """

    @property
    def algorithm(self) -> bytes: ...

    def protect(self, octets: bytes) -> bytes: ...


def check_protection(message: PKIMessage) -> None:
    """Demand protection and its algorithm (RFC 9810 §5.1.1). Raises BAD_MESSAGE_CHECK.

    Finding `protection_missing` is a message with neither.
    """
    algorithm, protection = message.header.protection_alg, message.protection
    if algorithm is None and protection is None:
        raise _not_protected("the message is not protected", "protection_missing")
    if algorithm is None or protection is None:
        raise _not_protected(
            "protection and protectionAlg must be there together", "protection_incomplete"
        )


def is_mac(message: PKIMessage) -> bool:
    """Tell whether the message says to be protected by a MAC, of whatever kind."""
    algorithm = message.header.protection_alg
    return algorithm is not None and names_a_mac(algorithm)


def is_kem_based(message: PKIMessage) -> bool:
    """Tell whether the message says to be protected by a KEM-based MAC (RFC 9810 §5.1.3.4)."""
    algorithm = message.header.protection_alg
    return algorithm is not None and der.split(der.split(algorithm)[0].content)[0].whole == (
        KEM_BASED_MAC
    )


def check_mac_algorithm(message: PKIMessage) -> int:
    """Judge the MAC and its bounds before any secret is looked for; give the rounds for a key.

    Raises UNSUPPORTED_ALGORITHM, Malformed, and BAD_MESSAGE_CHECK where there is no protection.
    """
    return read_mac_algorithm(_algorithm_of(message)).rounds


def derive_mac_key(message: PKIMessage, secret: bytes) -> MACKey:
    """Derive the key of a message's MAC, which takes time.

    It verifies the message, protects the answer and serves as long as the parameters stay
    (RFC 9483 §4.1.5). Raises as `check_mac_algorithm`.
    """
    return derive_key(_algorithm_of(message), secret)


def mac_holds(message: PKIMessage, key: MACKey) -> bool:
    """Tell, in constant time, whether the message's MAC was made with this key."""
    return message.protection is not None and key.verifies(
        message.protected_part, message.protection
    )


def verify_signature(message: PKIMessage, certificate: x509.Certificate) -> None:
    """Verify that the key of this certificate signed the message, and nothing else about it.

    Raises BAD_MESSAGE_CHECK, UNSUPPORTED_ALGORITHM.
    """
    (algorithm,) = der.split(_algorithm_of(message))
    assert message.protection is not None  # noqa: S101 - checked above; for the type checker
    try:
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        (key,) = der.split(spki)
        verify_own_signature(key, algorithm, message.protection, message.protected_part)
    except EnrollmentError as error:
        if error.reason is FailureReason.UNSUPPORTED_ALGORITHM:
            raise unsupported("protectionAlg", error.detail) from error
        if error.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE:
            raise unsupported("protectionAlg", f"the signer's key: {error.detail}") from error
        raise _signature_fails(error.detail) from error
    except Exception as error:
        # Loading keys and parameters raises many kinds of exception. They all mean the same.
        raise _signature_fails(f"the signature cannot be verified: {error!s:.200}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whoever signs messages: a Protection with a certificate, and its issuers without a root.

    The key may be anywhere. Make it once and keep it.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    algorithm: bytes
    sign: Sign = field(repr=False)

    @classmethod
    def holding(
        cls,
        certificate: x509.Certificate,
        private_key: PrivateKeyTypes,
        *,
        chain: Sequence[x509.Certificate] = (),
        digest: Digest = Digest.SHA256,
    ) -> "Signer":
        """Sign with a key that this process holds. Raises UNSUPPORTED_ALGORITHM."""
        scheme = scheme_of(private_key)
        return cls(
            certificate=certificate,
            chain=tuple(each for each in chain if not is_by_itself(each)),
            algorithm=signature_algorithm(scheme, digest),
            sign=signing(private_key, scheme, digest),
        )

    @property
    def extra_certs(self) -> tuple[bytes, ...]:
        """Its certificate, then the chain (RFC 9483 §3.3)."""
        return tuple(each.public_bytes(Encoding.DER) for each in (self.certificate, *self.chain))

    @property
    def key_identifier(self) -> bytes | None:
        """The subjectKeyIdentifier, which is senderKID (RFC 9483 §3.1)."""
        try:
            return self.certificate.extensions.get_extension_for_class(
                x509.SubjectKeyIdentifier
            ).value.digest
        except x509.ExtensionNotFound:
            return None

    def protect(self, octets: bytes) -> bytes:
        return self.sign(octets)


def signature_algorithm(scheme: Scheme, digest: Digest) -> bytes:
    """Write the AlgorithmIdentifier of a signature (RFC 9481 §3). Raises UNSUPPORTED_ALGORITHM."""
    try:
        return _SIGNATURES[scheme, digest]
    except KeyError:
        raise unsupported("protectionAlg", "messages are not signed so") from None


def _algorithm_of(message: PKIMessage) -> bytes:
    check_protection(message)
    assert message.header.protection_alg is not None  # noqa: S101 - checked above; for the type checker
    return message.header.protection_alg


def _signature_fails(detail: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_MESSAGE_CHECK, detail, finding="message_signature", field="protection"
    )


def _not_protected(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding=finding)


_STRONG = (Digest.SHA256, Digest.SHA384, Digest.SHA512)
_SIGNATURES = {
    **{
        (Scheme.RSA_PKCS1, digest): bytes.fromhex(f"300d 06092a864886f70d0101{last} 0500")
        for digest, last in zip(_STRONG, ("0b", "0c", "0d"), strict=True)
    },
    **{
        (Scheme.ECDSA, digest): bytes.fromhex(f"300a 06082a8648ce3d0403{last}")
        for digest, last in zip(_STRONG, ("02", "03", "04"), strict=True)
    },
    **{(Scheme.ED25519, digest): bytes.fromhex("3005 06032b6570") for digest in _STRONG},
}
