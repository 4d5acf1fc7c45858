"""AES key wrap (RFC 3394, RFC 3565 §2.3) as CMS writes it."""

from collections.abc import Mapping
from enum import Enum

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from protocols import der
from protocols.public_keys import unsupported


class KeyWrap(Enum):
    """What wraps a content-encryption key. The value is the octets of the wrapping key."""

    AES_128 = 16
    AES_192 = 24
    AES_256 = 32

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier: its parameters are absent (RFC 3565 §2.3.2)."""
        return _ALGORITHMS[self]


_ALGORITHMS: Mapping[KeyWrap, bytes] = {
    KeyWrap.AES_128: der.encode(der.SEQUENCE, bytes.fromhex("0609608648016503040105")),
    KeyWrap.AES_192: der.encode(der.SEQUENCE, bytes.fromhex("0609608648016503040119")),
    KeyWrap.AES_256: der.encode(der.SEQUENCE, bytes.fromhex("060960864801650304012d")),
}
_SHORTEST_OCTETS = 16
_BY_ALGORITHM = {algorithm: wrap for wrap, algorithm in _ALGORITHMS.items()}


def read_algorithm(algorithm: bytes) -> KeyWrap:
    """Read an AlgorithmIdentifier, one element. Raises UNSUPPORTED_ALGORITHM."""
    wrap = _BY_ALGORITHM.get(algorithm)
    if wrap is None:
        raise unsupported("keyEncryptionAlgorithm", "the key wrap algorithm is not in the list")
    return wrap


def wrap(wrapping_key: bytes, key: bytes) -> bytes:
    """Wrap a key. Raises UNSUPPORTED_ALGORITHM for one shorter than AES key wrap takes: DES's."""
    if len(key) < _SHORTEST_OCTETS:
        raise unsupported("contentEncryptionAlgorithm", "AES key wrap takes no key that short")
    return aes_key_wrap(wrapping_key, key)


def unwrap(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """Give the key. Raises ValueError when it was wrapped with another one, or not at all."""
    try:
        return aes_key_unwrap(wrapping_key, wrapped)
    except InvalidUnwrap as error:
        raise ValueError("nothing that was wrapped with this key") from error
