"""Key encapsulation in CMS (RFC 9629, RFC 9936): keys wrapped with what ML-KEM gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enroll.failures import Malformed
from protocols import der
from protocols.cms import key_wrap
from protocols.cms.identifiers import names_of, tagged_key_identifier
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipient_info_form import ORI, ContentKey, fields_of
from protocols.public_keys import unsupported

Decapsulate = Callable[[bytes], bytes]
"""Gives the secret out of what ML-KEM made of it; raises ValueError for what has another length."""
KEMKey = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey

ORI_KEM = bytes.fromhex("060b2a864886f70d0109100d03")
ML_KEM_768 = der.encode(der.SEQUENCE, bytes.fromhex("0609608648016503040402"))
ML_KEM_1024 = der.encode(der.SEQUENCE, bytes.fromhex("0609608648016503040403"))
_FIELDS = (
    der.INTEGER,
    der.SEQUENCE,  # kem
    der.OCTET_STRING,  # kemct
    der.SEQUENCE,  # kdf
    der.INTEGER,  # kekLength
    der.SEQUENCE,  # wrap
    der.OCTET_STRING,  # encryptedKey
)
_UKM_AT = 5


class KeyDerivation(Enum):
    """HKDF (RFC 8619), without a salt: what makes the wrapping key out of the secret."""

    HKDF_SHA256 = "hkdf-with-sha256"
    HKDF_SHA384 = "hkdf-with-sha384"
    HKDF_SHA512 = "hkdf-with-sha512"

    @property
    def algorithm(self) -> bytes:
        return _ALGORITHMS[self]

    def wrapping_key(self, secret: bytes, wrap: KeyWrap, ukm: bytes | None) -> bytes:
        """Derive the key-encryption key; its context is CMSORIforKEMOtherInfo (RFC 9629 §5)."""
        context = der.encode(der.SEQUENCE, wrap.algorithm, kek_length(wrap), _tagged(ukm))
        return HKDF(_HASHES[self], wrap.value, salt=None, info=context).derive(secret)


def kek_length(wrap: KeyWrap) -> bytes:
    """Write kekLength: the octets of the wrapping key."""
    return der.encode(der.INTEGER, bytes((wrap.value,)))


def encapsulate(key: KEMKey) -> tuple[bytes, bytes, bytes]:
    """Give the AlgorithmIdentifier of the KEM, what to send, and the secret."""
    secret, ciphertext = key.encapsulate()
    return algorithm_of(key), ciphertext, secret


def algorithm_of(key: KEMKey) -> bytes:
    return ML_KEM_768 if isinstance(key, mlkem.MLKEM768PublicKey) else ML_KEM_1024


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationKey:
    """An ML-KEM key with its certificate: opens what KEMRecipientInfo closes."""

    certificate: x509.Certificate
    decapsulate: Decapsulate
    kem: bytes
    """The AlgorithmIdentifier of the key's KEM."""
    _names: frozenset[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", names_of(self.certificate, tagged_key_identifier))

    @classmethod
    def holding(
        cls,
        certificate: x509.Certificate,
        private_key: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey,
    ) -> Self:
        return cls(
            certificate=certificate,
            decapsulate=private_key.decapsulate,
            kem=algorithm_of(private_key.public_key()),
        )

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to decapsulate the content key, if the RecipientInfo names this certificate.

        Raises UNSUPPORTED_ALGORITHM, Malformed.
        """
        if recipient_info.tag != ORI:
            return None
        parts = der.split(recipient_info.content)
        if [each.tag for each in parts[:1]] != [der.OBJECT_IDENTIFIER]:
            raise Malformed("the envelope's recipient is no OtherRecipientInfo")
        if parts[0].whole != ORI_KEM or len(parts) != 2:  # noqa: PLR2004 - a type and a value
            return None
        identifier, fields, ukm = _read(parts[1])
        if identifier not in self._names:
            return None
        _, kem, ciphertext, derivation, length, wrapping, encrypted_key = fields
        if kem.whole != self.kem:
            raise unsupported("keyEncryptionAlgorithm", "the KEM is not that of the key")
        kdf = _BY_ALGORITHM.get(derivation.whole)
        if kdf is None:
            raise unsupported("keyDerivationAlgorithm", "the key derivation is not in the list")
        wrap = key_wrap.read_algorithm(wrapping.whole)
        if length.whole != kek_length(wrap):
            raise Malformed("kekLength is not the length of the key that wraps")

        def unwrap() -> bytes:
            secret = self.decapsulate(ciphertext.content)
            return key_wrap.unwrap(kdf.wrapping_key(secret, wrap, ukm), encrypted_key.content)

        return ContentKey(unwrap)


def _read(value: der.Element) -> tuple[bytes, list[der.Element], bytes | None]:
    """Read KEMRecipientInfo (RFC 9629 §3): rid, the other fields but ukm, and ukm."""
    fields = der.split(value.content) if value.tag == der.SEQUENCE else []
    if len(fields) < 2:  # noqa: PLR2004 - the version and rid
        raise Malformed("the envelope's recipient is no KEMRecipientInfo")
    identifier = fields.pop(1)
    ukm = None
    if len(fields) > len(_FIELDS) and fields[_UKM_AT].tag == der.CONTEXT_0:
        ukm = fields_of(fields.pop(_UKM_AT), (der.OCTET_STRING,))[0].content
    if tuple([each.tag for each in fields]) != _FIELDS:
        raise Malformed("the envelope's recipient is no KEMRecipientInfo")
    return identifier.whole, fields, ukm


def _tagged(ukm: bytes | None) -> bytes:
    if ukm is None:
        return b""
    return der.encode(der.CONTEXT_0, der.encode(der.OCTET_STRING, ukm))


_HASHES: Mapping[KeyDerivation, hashes.HashAlgorithm] = {
    KeyDerivation.HKDF_SHA256: hashes.SHA256(),
    KeyDerivation.HKDF_SHA384: hashes.SHA384(),
    KeyDerivation.HKDF_SHA512: hashes.SHA512(),
}
_ALGORITHMS: Mapping[KeyDerivation, bytes] = {
    KeyDerivation.HKDF_SHA256: der.encode(
        der.SEQUENCE, bytes.fromhex("060b2a864886f70d010910031c")
    ),
    KeyDerivation.HKDF_SHA384: der.encode(
        der.SEQUENCE, bytes.fromhex("060b2a864886f70d010910031d")
    ),
    KeyDerivation.HKDF_SHA512: der.encode(
        der.SEQUENCE, bytes.fromhex("060b2a864886f70d010910031e")
    ),
}
_BY_ALGORITHM = {algorithm: derivation for derivation, algorithm in _ALGORITHMS.items()}
