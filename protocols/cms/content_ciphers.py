"""Content encryption of CMS (RFC 3565 §2, RFC 3370 §5): AES, 3DES and DES in CBC mode."""

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from protocols import der
from protocols.public_keys import unsupported


class ContentEncryption(Enum):
    """What encrypts a content. What of it is accepted is for the caller to say."""

    AES_128_CBC = "aes-128-cbc"
    AES_192_CBC = "aes-192-cbc"
    AES_256_CBC = "aes-256-cbc"
    DES_EDE3_CBC = "des-ede3-cbc"
    DES_CBC = "des-cbc"

    @property
    def oid(self) -> bytes:
        return _OIDS[self]

    @property
    def key_octets(self) -> int:
        return _KEY_OCTETS[self]

    @property
    def block_octets(self) -> int:
        return _DES_BLOCK if self in _DES else _AES_BLOCK

    def algorithm(self, initialization_vector: bytes) -> bytes:
        """Write the AlgorithmIdentifier."""
        vector = der.encode(der.OCTET_STRING, initialization_vector)
        return der.encode(der.SEQUENCE, _OIDS[self], vector)

    def cipher(self, key: bytes, initialization_vector: bytes) -> Cipher[CBC]:
        # With three equal keys 3DES is single DES.
        algorithm = (
            TripleDES(key * 3 if self is ContentEncryption.DES_CBC else key)
            if self in _DES
            else AES(key)
        )
        return Cipher(algorithm, CBC(initialization_vector))

    def encrypt(self, key: bytes, content: bytes) -> tuple[bytes, bytes]:
        """Give the AlgorithmIdentifier, with a fresh vector, and the encrypted content.

        It is padded as RFC 5652 §6.3 says: always, and each added octet says how many there are.
        """
        vector = os.urandom(self.block_octets)
        padding_octets = self.block_octets - len(content) % self.block_octets
        encryptor = self.cipher(key, vector).encryptor()
        encrypted = encryptor.update(content + bytes((padding_octets,)) * padding_octets)
        return self.algorithm(vector), encrypted + encryptor.finalize()

    def decrypt(self, key: bytes, initialization_vector: bytes, encrypted: bytes) -> bytes:
        """Give the content. Raises ValueError when length or padding are not those of one."""
        decryptor = self.cipher(key, initialization_vector).decryptor()
        padded = decryptor.update(encrypted) + decryptor.finalize()
        unpadder = padding.PKCS7(self.block_octets * 8).unpadder()
        return unpadder.update(padded) + unpadder.finalize()


def read_algorithm(
    algorithm: bytes, allowed: AbstractSet[ContentEncryption]
) -> tuple[ContentEncryption, bytes]:
    """Read an AlgorithmIdentifier, one element: the cipher and its initialization vector.

    Raises UNSUPPORTED_ALGORITHM.
    """
    (outer,) = der.split(algorithm)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if [part.tag for part in parts] == [der.OBJECT_IDENTIFIER, der.OCTET_STRING]:
        oid, vector = parts
        cipher = _BY_OID.get(oid.whole)
        if cipher is not None and cipher in allowed and len(vector.content) == cipher.block_octets:
            return cipher, vector.content
    raise unsupported("contentEncryptionAlgorithm", "the content cipher is not in the list")


_AES_BLOCK = 16
_DES_BLOCK = 8
_DES = frozenset({ContentEncryption.DES_EDE3_CBC, ContentEncryption.DES_CBC})
_KEY_OCTETS: Mapping[ContentEncryption, int] = {
    ContentEncryption.AES_128_CBC: 16,
    ContentEncryption.AES_192_CBC: 24,
    ContentEncryption.AES_256_CBC: 32,
    ContentEncryption.DES_EDE3_CBC: 24,
    ContentEncryption.DES_CBC: 8,
}
_OIDS: Mapping[ContentEncryption, bytes] = {
    ContentEncryption.AES_128_CBC: bytes.fromhex("0609608648016503040102"),
    ContentEncryption.AES_192_CBC: bytes.fromhex("0609608648016503040116"),
    ContentEncryption.AES_256_CBC: bytes.fromhex("060960864801650304012a"),
    ContentEncryption.DES_EDE3_CBC: bytes.fromhex("06082a864886f70d0307"),
    ContentEncryption.DES_CBC: bytes.fromhex("06052b0e030207"),
}
_BY_OID = {oid: cipher for cipher, oid in _OIDS.items()}
AES_CBC = frozenset(
    {
        ContentEncryption.AES_128_CBC,
        ContentEncryption.AES_192_CBC,
        ContentEncryption.AES_256_CBC,
    }
)
"""What is accepted where nobody says that older ciphers will do."""
