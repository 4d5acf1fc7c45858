"""What SCEP says: operations, message types, statuses, and what a server must know to be asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.options import SCEPOptions
from protocols.cms.digests import Digest
from protocols.cms.private_keys import TransportKey
from protocols.cms.signed_data import Signer
from protocols.scep.decoy import Decoy

PKI_MESSAGE = "application/x-pki-message"
CA_CERTIFICATE = "application/x-x509-ca-cert"
CA_CERTIFICATES = "application/x-x509-ca-ra-cert"
NEXT_CA_CERTIFICATES = "application/x-x509-next-ca-cert"

NONCE_OCTETS = 16
LONGEST_NONCE = 64
TRANSACTION_ID_CHARACTERS = 255


class SCEPOperation(StrEnum):
    """What a query may ask for (RFC 8894 §4), in these very letters."""

    GET_CA_CAPS = "GetCACaps"
    GET_CA_CERT = "GetCACert"
    GET_NEXT_CA_CERT = "GetNextCACert"
    PKI_OPERATION = "PKIOperation"


class MessageType(IntEnum):
    """What a pkiMessage is (RFC 8894 §3.2.1.2); every other number is refused."""

    CERT_REP = 3
    RENEWAL_REQ = 17
    PKCS_REQ = 19
    CERT_POLL = 20
    GET_CERT = 21
    GET_CRL = 22

    @property
    def rfc_name(self) -> str:
        return _NAMES[self]


_NAMES: Mapping[MessageType, str] = {
    MessageType.CERT_REP: "CertRep",
    MessageType.RENEWAL_REQ: "RenewalReq",
    MessageType.PKCS_REQ: "PKCSReq",
    MessageType.CERT_POLL: "CertPoll",
    MessageType.GET_CERT: "GetCert",
    MessageType.GET_CRL: "GetCRL",
}


class PKIStatus(IntEnum):
    """What became of a request (RFC 8894 §3.2.1.3)."""

    SUCCESS = 0
    FAILURE = 2
    PENDING = 3


class FailInfo(IntEnum):
    """Why a request failed, as far as SCEP has words for it (RFC 8894 §3.2.1.4)."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERT_ID = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationAuthority:
    """Who takes the messages in and signs the answers, so that no CA key decrypts (RFC 8894 §7.2).

    `opener` decrypts; `signers` signs, by digest; `decoy` is read where a request cannot be. What
    is sealed to the RA of the next CA is issued by that, which `issuer` names (RFC 8894 §5.1).
    """

    certificate: x509.Certificate
    der: bytes
    opener: TransportKey
    signers: Mapping[Digest, Signer]
    decoy: Decoy
    issuer: str | None = None

    @classmethod
    def holding(
        cls, certificate: x509.Certificate, key: rsa.RSAPrivateKey, issuer: str | None = None
    ) -> Self:
        """Open and sign with a key that this process holds."""
        return cls(
            certificate=certificate,
            der=certificate.public_bytes(Encoding.DER),
            opener=TransportKey.holding(certificate, key),
            signers={each: Signer.holding(certificate, key, digest=each) for each in Digest},
            decoy=Decoy.made_with(certificate.subject, key),
            issuer=issuer,
        )


class Services(Protocol):
    """What a server has under SCEP; from memory."""

    def options(self, label: str | None) -> SCEPOptions | None:
        """Give what is said of the profile that a label means; None if SCEP does not reach it."""
        ...

    def registration_authorities(self) -> tuple[RegistrationAuthority, ...]:
        """Give those whose messages are taken in, the present one first; none before the first."""
        ...

    def ca_certificates(self) -> tuple[bytes, ...]:
        """Give the issuing CA's certificate and all above it, DER."""
        ...

    def next_ca(self) -> bytes | None:
        """Give the message that makes the next CA known, signed by the present one, if it can be.

        RFC 8894 §4.7.1.
        """
        ...

    def revocation_list(self, issuer: bytes) -> bytes | None:
        """Give the published list of the CA of this name, both DER."""
        ...


Nonces = Callable[[int], bytes]
