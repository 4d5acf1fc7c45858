"""Private keys that leave: packed (RFC 5958), and signed by the party that made them."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from enroll.failures import AuthorityUnavailable
from enroll.key_generation import GeneratedKey
from protocols import der
from protocols.cms.content_info import unwrap
from protocols.cms.signed_data import Signer, encode_signed_data

ASYMMETRIC_KEY_PACKAGE = x509.ObjectIdentifier("2.16.840.1.101.2.1.2.78.5")
_VERSION_2 = der.encode(der.INTEGER, b"\x01")
_PUBLIC_KEY = 0x81


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPackageSigner:
    """The party that makes keys, and the certificates by which others know it, DER."""

    signer: Signer
    certificates: tuple[bytes, ...]


def no_signer() -> KeyPackageSigner:
    """Stand in for a signer where there is none. Raises AuthorityUnavailable."""
    raise AuthorityUnavailable("there is no certificate to sign keys with", retry_after=60)


def private_key_info(generated: GeneratedKey) -> bytes:
    """Write the PrivateKeyInfo (RFC 5958 §2), version 1."""
    return generated.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def one_asymmetric_key(generated: GeneratedKey) -> bytes:
    """Write the OneAsymmetricKey (RFC 5958 §2), version 2: with the public key beside it."""
    (info,) = der.split(private_key_info(generated))
    _, *fields = der.split(info.content)
    public_key = generated.private_key.public_key()
    (spki,) = der.split(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    _, bits = der.split(spki.content)
    return der.encode(
        der.SEQUENCE,
        _VERSION_2,
        *[each.whole for each in fields],
        der.encode(_PUBLIC_KEY, bits.content),
    )


def sign_key_package(key: bytes, signed_by: KeyPackageSigner) -> bytes:
    """Pack one key, PrivateKeyInfo or OneAsymmetricKey, and write it as SignedData, one element."""
    signed = encode_signed_data(
        ASYMMETRIC_KEY_PACKAGE,
        der.encode(der.SEQUENCE, key),
        signer=signed_by.signer,
        certificates=signed_by.certificates,
    )
    return unwrap(signed)[1]
