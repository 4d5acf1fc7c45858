"""Keys that are made for devices: what a request asks for, and what was made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mlkem, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

MadePrivateKey = (
    CertificateIssuerPrivateKeyTypes
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
    | mlkem.MLKEM768PrivateKey
    | mlkem.MLKEM1024PrivateKey
)
"""The private keys that are made for devices."""

NO_KEY = bytes.fromhex("3008 3003060100 030100")
"""A SubjectPublicKeyInfo that stands for none: its algorithm is nobody's, its bits are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionKey:
    """A symmetric key that a device holds, as the registry keeps it: wrapped, never in the clear.

    A device names it by `key_identifier` (RFC 4108 §2.2.5), lower-case hex here.
    """

    device_id: str
    key_identifier: str
    wrapped: bytes = field(repr=False)
    octets: int
    created_at: datetime


def wrapping_id(device_id: str, key_identifier: str) -> str:
    """Name what a wrapped decryption key is bound to; no code has such an id."""
    return f"decryption key {key_identifier} of {device_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKey:
    """A decryption key unwrapped, to encrypt one answer with."""

    key_identifier: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestSender:
    """Who sent the request: its protocol knows the key or the secret that protects it."""


KeyRecipient = SharedKey | x509.Certificate | RequestSender
"""To whom a generated key is encrypted: the holder of a shared key, or of a certificate's key."""


class RecipientKind(StrEnum):
    """How a request names the key to encrypt with.

    RFC 7030 §4.4.1.1 and §4.4.1.2; SENDER is with what protects the request (RFC 9483 §4.1.6).
    """

    SHARED_KEY = "shared_key"
    CERTIFICATE = "certificate"
    SENDER = "sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRecipient:
    """A request's word for a recipient.

    `check` is the protocol's: it raises UNSUPPORTED_ALGORITHM where the sender takes no encryption
    to this recipient that can be done here.
    """

    kind: RecipientKind
    key_identifier: bytes
    check: Callable[[KeyRecipient], None] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """That a key is to be made; `spki` is the key in the request, of which only the sort counts.

    Its bits may be none (RFC 9483 §4.1.6).
    """

    spki: bytes = field(repr=False)
    recipient: WantedRecipient | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedKey:
    """A private key for one answer, in memory only; encrypted to the recipient if there is one.

    `as_wished`: it is of a sort that was asked for, or none was.
    """

    private_key: MadePrivateKey = field(repr=False)
    recipient: KeyRecipient | None = None
    as_wished: bool = True
