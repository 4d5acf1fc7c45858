"""Secrets that must not lie in the database, and what is made with them."""

import hashlib
import hmac
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_OCTETS = 32
NONCE_OCTETS = 12


class RegistrySecrets:
    """The pepper, the wrapping key and the seal, all derived from one key kept in a file.

    Implements `enroll.ports.CodeVault`. Raises ValueError for a key of another length.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != MASTER_OCTETS:
            raise ValueError(f"the registry key must be {MASTER_OCTETS} octets long")
        self._pepper = _derive(master, b"one-time codes")
        self._wrapping = AESGCM(_derive(master, b"wrapped codes"))
        self._access = _derive(master, b"access keys")
        self.seal_key = _derive(master, b"audit seal")
        self.nonce_key = _derive(master, b"HTTP nonces")

    def digest(self, code: str) -> bytes:
        """Give HMAC-SHA-256 of the code, hyphens, spaces and case taken off."""
        normal = code.replace("-", "").replace(" ", "").upper()
        return hmac.digest(self._pepper, normal.encode("utf-8", "surrogatepass"), "sha256")

    def wrap(self, code_id: str, code: str) -> bytes:
        """Encrypt a code, bound to its id: nonce and AES-256-GCM ciphertext."""
        nonce = os.urandom(NONCE_OCTETS)
        return nonce + self._wrapping.encrypt(nonce, code.encode("utf-8"), code_id.encode("utf-8"))

    def unwrap(self, code_id: str, wrapped: bytes) -> str:
        """Decrypt a code. Raises cryptography.exceptions.InvalidTag for another id or key."""
        nonce, sealed = wrapped[:NONCE_OCTETS], wrapped[NONCE_OCTETS:]
        return self._wrapping.decrypt(nonce, sealed, code_id.encode("utf-8")).decode("utf-8")

    def access_digest(self, secret: str) -> bytes:
        """Give the keyed digest under which an access key's secret is stored."""
        return hmac.new(
            self._access, secret.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).digest()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"enrollment-server " + purpose).derive(master)
