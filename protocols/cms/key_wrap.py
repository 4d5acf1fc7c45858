"""AES key wrap (RFC 3394, RFC 3565 §2.3) as CMS writes it."""

from collections.abc import Mapping
from enum import Enum

from protocols import der


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
