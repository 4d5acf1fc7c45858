"""Key agreement in CMS: ephemeral-static ECDH (RFC 5753 §3.1) and X25519 (RFC 8418)."""

from collections.abc import Mapping
from enum import Enum

from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from protocols import der
from protocols.cms.digests import Digest
from protocols.cms.key_wrap import KeyWrap
from protocols.public_keys import unsupported

_CONTEXT_2 = 0xA2


class KeyAgreementScheme(Enum):
    """How a wrapping key is made of what both sides know; named after the object identifiers."""

    STD_DH_SHA256_KDF = "dhSinglePass-stdDH-sha256kdf-scheme"
    STD_DH_SHA384_KDF = "dhSinglePass-stdDH-sha384kdf-scheme"
    STD_DH_SHA512_KDF = "dhSinglePass-stdDH-sha512kdf-scheme"
    STD_DH_HKDF_SHA256 = "dhSinglePass-stdDH-hkdf-sha256-scheme"
    STD_DH_HKDF_SHA384 = "dhSinglePass-stdDH-hkdf-sha384-scheme"
    STD_DH_HKDF_SHA512 = "dhSinglePass-stdDH-hkdf-sha512-scheme"

    @property
    def oid(self) -> bytes:
        return _OIDS[self]

    def wrapping_key(self, secret: bytes, wrap: KeyWrap, ukm: bytes | None) -> bytes:
        """Derive the key-encryption key (RFC 5753 §7.2, RFC 8418 §2)."""
        digest = _DIGESTS[self].hash
        shared_info = der.encode(
            der.SEQUENCE,
            wrap.algorithm,
            b"" if ukm is None else der.encode(der.CONTEXT_0, der.encode(der.OCTET_STRING, ukm)),
            der.encode(_CONTEXT_2, der.encode(der.OCTET_STRING, (wrap.value * 8).to_bytes(4))),
        )
        if self in _HKDF:
            return HKDF(digest, wrap.value, salt=ukm, info=shared_info).derive(secret)
        return X963KDF(digest, wrap.value, shared_info).derive(secret)


_HKDF = frozenset(
    {
        KeyAgreementScheme.STD_DH_HKDF_SHA256,
        KeyAgreementScheme.STD_DH_HKDF_SHA384,
        KeyAgreementScheme.STD_DH_HKDF_SHA512,
    }
)
_DIGESTS: Mapping[KeyAgreementScheme, Digest] = {
    KeyAgreementScheme.STD_DH_SHA256_KDF: Digest.SHA256,
    KeyAgreementScheme.STD_DH_SHA384_KDF: Digest.SHA384,
    KeyAgreementScheme.STD_DH_SHA512_KDF: Digest.SHA512,
    KeyAgreementScheme.STD_DH_HKDF_SHA256: Digest.SHA256,
    KeyAgreementScheme.STD_DH_HKDF_SHA384: Digest.SHA384,
    KeyAgreementScheme.STD_DH_HKDF_SHA512: Digest.SHA512,
}
_OIDS: Mapping[KeyAgreementScheme, bytes] = {
    KeyAgreementScheme.STD_DH_SHA256_KDF: bytes.fromhex("06062b8104010b01"),
    KeyAgreementScheme.STD_DH_SHA384_KDF: bytes.fromhex("06062b8104010b02"),
    KeyAgreementScheme.STD_DH_SHA512_KDF: bytes.fromhex("06062b8104010b03"),
    KeyAgreementScheme.STD_DH_HKDF_SHA256: bytes.fromhex("060b2a864886f70d0109100313"),
    KeyAgreementScheme.STD_DH_HKDF_SHA384: bytes.fromhex("060b2a864886f70d0109100314"),
    KeyAgreementScheme.STD_DH_HKDF_SHA512: bytes.fromhex("060b2a864886f70d0109100315"),
}
_BY_OID = {oid: scheme for scheme, oid in _OIDS.items()}


def read_scheme(oid: bytes) -> KeyAgreementScheme:
    """Read an OBJECT IDENTIFIER, one element. Raises UNSUPPORTED_ALGORITHM."""
    scheme = _BY_OID.get(oid)
    if scheme is None:
        raise unsupported("keyEncryptionAlgorithm", "the key agreement is not in the list")
    return scheme
