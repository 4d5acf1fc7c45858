"""Digest algorithms of CMS (RFC 5754 §2), by name, in DER and as cryptography has them."""

from collections.abc import Mapping
from enum import Enum

from cryptography.hazmat.primitives import hashes

from protocols import der


class Digest(Enum):
    """What may be named as a digest at all. MD5 is not among them, so nobody can allow it."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def hash(self) -> hashes.HashAlgorithm:
        return _HASHES[self]

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier, its parameters absent (RFC 5754 §2)."""
        return _ALGORITHMS[self]


STRONG = frozenset({Digest.SHA256, Digest.SHA384, Digest.SHA512})
"""What is accepted where nobody says that SHA-1 will do."""

_HASHES: Mapping[Digest, hashes.HashAlgorithm] = {
    Digest.SHA1: hashes.SHA1(),  # noqa: S303 - old SCEP clients; only where their profile says so
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}
_OIDS: Mapping[Digest, bytes] = {
    Digest.SHA1: bytes.fromhex("06052b0e03021a"),
    Digest.SHA256: bytes.fromhex("0609608648016503040201"),
    Digest.SHA384: bytes.fromhex("0609608648016503040202"),
    Digest.SHA512: bytes.fromhex("0609608648016503040203"),
}
_ALGORITHMS = {digest: der.encode(der.SEQUENCE, oid) for digest, oid in _OIDS.items()}
_NULL = b"\x05\x00"
_BY_ALGORITHM: Mapping[bytes, Digest] = {
    der.encode(der.SEQUENCE, oid, null): digest
    for digest, oid in _OIDS.items()
    for null in (b"", _NULL)
}


def find(algorithm: bytes) -> Digest | None:
    """Tell which digest an AlgorithmIdentifier names; parameters may be absent or NULL."""
    return _BY_ALGORITHM.get(algorithm)
