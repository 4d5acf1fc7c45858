"""Passwords that open and close envelopes: PBKDF2 (RFC 8018 §5.2) and PWRI-KEK (RFC 3211 §2.3)."""

import hashlib
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from enroll.failures import Malformed
from protocols import der
from protocols.cms import content_ciphers, key_wrap
from protocols.cms.content_ciphers import AES_CBC, ContentEncryption
from protocols.cms.digests import Digest
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipient_info_form import PWRI, ContentKey, fields_of
from protocols.public_keys import unsupported

MOST_ITERATIONS = 100_000
"""More we do not compute for anybody who merely asks."""
ITERATIONS = 10_000
_SALT_OCTETS = 16
_MOST_SALT_OCTETS = 64
_CHECK_OCTETS = 3
_HEAD_OCTETS = 1 + _CHECK_OCTETS

_NULL = b"\x05\x00"
_VERSION_0 = der.encode(der.INTEGER, b"\x00")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_PWRI_KEK = bytes.fromhex("060b2a864886f70d0109100309")
_PRFS: Mapping[Digest, bytes] = {
    digest: der.encode(der.SEQUENCE, bytes.fromhex(f"06082a864886f70d02{last}"), _NULL)
    for digest, last in (
        (Digest.SHA1, "07"),
        (Digest.SHA256, "09"),
        (Digest.SHA384, "0a"),
        (Digest.SHA512, "0b"),
    )
}
_BY_PRF = {algorithm: digest for digest, algorithm in _PRFS.items()}
_PWRI_FIELDS = (der.INTEGER, der.CONTEXT_0, der.SEQUENCE, der.OCTET_STRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """Whoever knows a password: PasswordRecipientInfo, closed and opened.

    It has no name in the message, so an envelope is opened with the one password that it can mean.
    """

    password: bytes = field(repr=False)
    key_encryption: ContentEncryption = ContentEncryption.AES_256_CBC
    iterations: int = ITERATIONS
    wrap: KeyWrap | None = None
    """AES key wrap in place of PWRI-KEK, as RFC 9483 §4.1.6.3 has it; to close with only."""
    allowed: AbstractSet[ContentEncryption] = AES_CBC
    """What may have encrypted the key in envelopes that are opened."""
    envelope_version = 3

    def encode(self, content_key: bytes) -> bytes:
        salt = os.urandom(_SALT_OCTETS)
        parameters = der.encode(
            der.SEQUENCE,
            der.encode(der.OCTET_STRING, salt),
            der.encode(der.INTEGER, _octets(self.iterations)),
            _PRFS[Digest.SHA256],
        )
        algorithm, encrypted_key = self._encrypt(salt, content_key)
        return der.encode(
            PWRI,
            _VERSION_0,
            der.encode(der.CONTEXT_0, _PBKDF2, parameters),
            algorithm,
            der.encode(der.OCTET_STRING, encrypted_key),
        )

    def _encrypt(self, salt: bytes, content_key: bytes) -> tuple[bytes, bytes]:
        octets = self.key_encryption.key_octets if self.wrap is None else self.wrap.value
        key = _derive(self.password, Digest.SHA256, salt, self.iterations, octets)
        if self.wrap is not None:
            return self.wrap.algorithm, key_wrap.wrap(key, content_key)
        vector = os.urandom(self.key_encryption.block_octets)
        algorithm = der.encode(der.SEQUENCE, _PWRI_KEK, self.key_encryption.algorithm(vector))
        return algorithm, _wrap(self.key_encryption, key, vector, content_key)

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to decrypt the content key, if the RecipientInfo is for a password.

        Raises UNSUPPORTED_ALGORITHM, Malformed.
        """
        if recipient_info.tag != PWRI:
            return None
        _, derivation, algorithm, encrypted_key = fields_of(recipient_info, _PWRI_FIELDS)
        oid, inner = fields_of(algorithm, (der.OBJECT_IDENTIFIER, der.SEQUENCE))
        if oid.whole != _PWRI_KEK:
            raise unsupported("keyEncryptionAlgorithm", "the key is not encrypted by PWRI-KEK")
        cipher, vector = content_ciphers.read_algorithm(inner.whole, self.allowed)
        digest, salt, iterations = _read_pbkdf2(derivation, cipher.key_octets)

        def unwrap() -> bytes:
            key = _derive(self.password, digest, salt, iterations, cipher.key_octets)
            return _unwrap(cipher, key, vector, encrypted_key.content)

        return ContentKey(unwrap)


def _read_pbkdf2(derivation: der.Element, key_octets: int) -> tuple[Digest, bytes, int]:
    """Read PBKDF2-params (RFC 8018 §A.2): pseudorandom function, salt and iterations."""
    oid, parameters = fields_of(derivation, (der.OBJECT_IDENTIFIER, der.SEQUENCE))
    if oid.whole != _PBKDF2:
        raise unsupported("keyDerivationAlgorithm", "the key is not derived by PBKDF2")
    fields = der.split(parameters.content)
    if [each.tag for each in fields[:2]] != [der.OCTET_STRING, der.INTEGER]:
        raise Malformed("the parameters of PBKDF2 cannot be read")
    salt, iterations = fields[0].content, int.from_bytes(fields[1].content, signed=True)
    more = fields[2:]
    if more and more[0].tag == der.INTEGER:
        if int.from_bytes(more[0].content, signed=True) != key_octets:
            raise Malformed("PBKDF2 gives a key of another length than its cipher takes")
        more = more[1:]
    digest = Digest.SHA1 if not more else _BY_PRF.get(b"".join([each.whole for each in more]))
    if digest is None:
        raise unsupported("keyDerivationAlgorithm", "the function of PBKDF2 is not in the list")
    if not 0 < iterations <= MOST_ITERATIONS or len(salt) > _MOST_SALT_OCTETS:
        raise unsupported(
            "keyDerivationAlgorithm",
            f"PBKDF2 may have 1 to {MOST_ITERATIONS} iterations and a salt of at most"
            f" {_MOST_SALT_OCTETS} octets",
        )
    return digest, salt, iterations


def _derive(
    password: bytes, digest: Digest, salt: bytes, iterations: int, key_octets: int
) -> bytes:
    return hashlib.pbkdf2_hmac(digest.value, password, salt, iterations, key_octets)


def _wrap(cipher: ContentEncryption, key: bytes, vector: bytes, content_key: bytes) -> bytes:
    """Encrypt a key twice, the second time on from the first (RFC 3211 §2.3.1).

    Before it stand its length and the complement of its first octets; random octets fill up to
    whole blocks, two at least.
    """
    check = bytes(each ^ 0xFF for each in content_key[:_CHECK_OCTETS])
    formatted = bytes((len(content_key),)) + check + content_key
    block = cipher.block_octets
    whole = max(2 * block, -(-len(formatted) // block) * block)
    formatted += os.urandom(whole - len(formatted))
    encryptor = cipher.cipher(key, vector).encryptor()
    once = encryptor.update(formatted)
    return encryptor.update(once) + encryptor.finalize()


def _unwrap(cipher: ContentEncryption, key: bytes, vector: bytes, wrapped: bytes) -> bytes:
    """Undo that (RFC 3211 §2.3.2). Raises ValueError when it was not made with this key."""
    block = cipher.block_octets
    if len(wrapped) < 2 * block or len(wrapped) % block:
        raise ValueError("what PWRI-KEK gives are whole blocks, two at least")
    last = _decrypt(cipher, key, wrapped[-2 * block : -block], wrapped[-block:])
    once = _decrypt(cipher, key, last, wrapped[:-block]) + last
    formatted = _decrypt(cipher, key, vector, once)
    content_key = formatted[_HEAD_OCTETS : _HEAD_OCTETS + formatted[0]]
    check = bytes(each ^ 0xFF for each in content_key[:_CHECK_OCTETS])
    if len(content_key) != formatted[0] or check != formatted[1:_HEAD_OCTETS]:
        raise ValueError("the key was encrypted with another password")
    return content_key


def _decrypt(cipher: ContentEncryption, key: bytes, vector: bytes, octets: bytes) -> bytes:
    decryptor = cipher.cipher(key, vector).decryptor()
    return decryptor.update(octets) + decryptor.finalize()


def _octets(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)
