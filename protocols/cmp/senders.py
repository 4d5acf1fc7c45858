"""Who protected a message, as far as the message alone can tell (RFC 9483 §3.2, §3.5)."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.credentials import (
    Credential,
    SharedSecretMAC,
    SignerCertificate,
    UnshownCertificate,
)
from enroll.failures import EnrollmentError, FailureReason
from protocols.certificates import load_certificate
from protocols.cmp.macs import MACKey, is_pbmac1
from protocols.cmp.messages import PKIHeader, PKIMessage
from protocols.cmp.protection import (
    check_mac_algorithm,
    derive_mac_key,
    mac_holds,
    verify_signature,
)
from protocols.cms.identifiers import subject_key_identifier
from protocols.names import read_name

_REFERENCE_CHARACTERS = 128


@dataclass(slots=True, kw_only=True)
class ByMAC:
    """A MAC under a secret that is looked for where secrets are kept.

    `key` and `secret` are there as soon as a secret was tried that gives this MAC; to try one
    takes so many `rounds` of a hash.
    """

    message: PKIMessage
    rounds: int
    key: MACKey | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)

    @property
    def by_pbmac1(self) -> bool:
        return is_pbmac1(self.message.header.protection_alg or b"")

    @property
    def credential(self) -> Credential:
        header = self.message.header
        return SharedSecretMAC(
            username=reference_of(header),
            matches=self._matches,
            exact=True,
            rounds=self.rounds,
            references=references_of(header),
        )

    def _matches(self, secret: str) -> bool:
        key = derive_mac_key(self.message, secret.encode())
        if mac_holds(self.message, key):
            self.key, self.secret = key, secret.encode()
            return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class BySignature:
    """A signature, or the MAC of a KEM, that holds; whose certificate it is remains to be seen."""

    chain: tuple[x509.Certificate, ...]

    @property
    def key(self) -> None:
        """What protects the answer is a key of ours."""

    @property
    def credential(self) -> SignerCertificate:
        return SignerCertificate(chain=self.chain)


@dataclass(slots=True, kw_only=True)
class ByKeptCertificate:
    """A signature whose certificate did not come along: it began the exchange, and is kept.

    `chain` is that certificate, as soon as it was found.
    """

    message: PKIMessage
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def key(self) -> None:
        """What protects the answer is a key of ours."""

    @property
    def credential(self) -> Credential:
        return UnshownCertificate(matches=self._matches)

    def _matches(self, certificate: x509.Certificate) -> bool:
        try:
            if not _is_of(self.message.header, certificate) or not _may_sign(certificate):
                return False
            verify_signature(self.message, certificate)
        except EnrollmentError:
            return False
        self.chain = (certificate,)
        return True


Sender = ByMAC | BySignature | ByKeptCertificate


def by_mac(message: PKIMessage) -> ByMAC:
    """Judge the MAC's algorithm; whether it holds is found out with the secrets.

    Raises UNSUPPORTED_ALGORITHM, Malformed.
    """
    return ByMAC(message=message, rounds=check_mac_algorithm(message))


def by_signature(message: PKIMessage) -> BySignature:
    """Find the certificate in extraCerts, in any order, and verify the signature.

    Raises BAD_MESSAGE_CHECK, UNSUPPORTED_ALGORITHM.
    """
    chain = chain_of(message)
    if not _may_sign(chain[0]):
        raise _unchecked("the signer's certificate is not for digitalSignature", "signer_usage")
    verify_signature(message, chain[0])
    return BySignature(chain=chain)


def chain_of(message: PKIMessage) -> tuple[x509.Certificate, ...]:
    """Find the sender's certificate in extraCerts; it comes first. Raises BAD_MESSAGE_CHECK."""
    sent = [_read(each) for each in message.extra_certs]
    own = next((each for each in sent if _is_of(message.header, each)), None)
    if own is None:
        raise _unchecked(
            "extraCerts holds no certificate of this sender and senderKID", "signer_missing"
        )
    return (own, *(each for each in sent if each is not own))


def reference_of(header: PKIHeader) -> str:
    """Give the name that the secret goes by: senderKID, or else the sender's CN."""
    if header.sender_kid is not None:
        return header.sender_kid.decode("utf-8", "replace")[:_REFERENCE_CHARACTERS]
    return _common_name(_sender(header))[:_REFERENCE_CHARACTERS]


def references_of(header: PKIHeader) -> tuple[bytes, ...]:
    """Give the octets that the secret may go by: senderKID, or else the sender's CN, or its DN."""
    if header.sender_kid is not None:
        return (header.sender_kid,)
    name = _sender(header)
    if name is None:
        return ()
    return (_common_name(name).encode(), name.rfc4514_string().encode())


def is_named_by_reference(header: PKIHeader) -> bool:
    """Tell whether the sender's CN is the reference, as RFC 9483 §3.1 has it under a MAC."""
    return _common_name(_sender(header)) == reference_of(header)


def _sender(header: PKIHeader) -> x509.Name | None:
    try:
        return read_name(header.sender_name) if header.sender_name is not None else None
    except ValueError:
        return None


def _common_name(name: x509.Name | None) -> str:
    names = name.get_attributes_for_oid(NameOID.COMMON_NAME) if name is not None else []
    return str(names[0].value) if names else ""


def _read(octets: bytes) -> x509.Certificate:
    certificate = load_certificate(octets)
    if certificate is None:
        raise _unchecked("a certificate in extraCerts cannot be read", "extra_certs")
    return certificate


def _is_of(header: PKIHeader, certificate: x509.Certificate) -> bool:
    """Tell whether sender and senderKID, where both have it, mean this certificate.

    One whose names cannot be read is nobody's; only reading them tells.
    """
    try:
        certificate.issuer.public_bytes()
        if certificate.subject.public_bytes() != header.sender_name:
            return False
    except (ValueError, TypeError):
        return False
    found = subject_key_identifier(certificate)
    return header.sender_kid is None or found in {None, header.sender_kid}


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _unchecked(
            f"the extensions of the signer's certificate cannot be read: {error!s:.200}",
            "signer_extensions",
        ) from error
    return usage.digital_signature


def _unchecked(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding=finding)
