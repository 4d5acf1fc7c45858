"""One-time nonces for HTTP Digest, which every worker knows for its own (RFC 7616 §3.3)."""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta

LIFETIME = timedelta(minutes=5)
SKEW = timedelta(seconds=5)
"""How far a nonce may come from the future: workers of one machine have one clock."""

MOST_USED = 50_000
"""How many used nonces are remembered."""

KEY_OCTETS = 32
_TIME_OCTETS = 8
_RANDOM_OCTETS = 9
_SEAL_OCTETS = 16
_HEAD_OCTETS = _TIME_OCTETS + _RANDOM_OCTETS
_CHARACTERS = (_HEAD_OCTETS + _SEAL_OCTETS) * 4 // 3


class Nonces:
    """Makes nonces, and takes each of them once.

    A nonce is the time of its making, random octets, and a seal over both, so it needs no memory
    until it is used. Workers that share the key take each other's; that a nonce was used, each
    knows for itself.
    """

    def __init__(
        self, key: bytes, randomness: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._key = key
        self._randomness = randomness
        self._used: dict[bytes, int] = {}
        self._forgotten_until = 0

    def make(self, at: datetime) -> str:
        head = _microseconds(at).to_bytes(_TIME_OCTETS) + self._randomness(_RANDOM_OCTETS)
        return urlsafe_b64encode(head + self._seal(head)).decode("ascii")

    def take(self, nonce: str, at: datetime) -> bool:
        """Tell whether a nonce is one of ours, not too old, and used for the first time."""
        head = self._opened(nonce)
        if head is None:
            return False
        made, now = int.from_bytes(head[:_TIME_OCTETS]), _microseconds(at)
        oldest = max(now - LIFETIME // timedelta(microseconds=1), self._forgotten_until + 1)
        if not oldest <= made <= now + SKEW // timedelta(microseconds=1) or head in self._used:
            return False
        self._used[head] = made
        self._forget(oldest)
        return True

    def _opened(self, nonce: str) -> bytes | None:
        if len(nonce) != _CHARACTERS or not nonce.isascii():
            return None
        try:
            octets = urlsafe_b64decode(nonce)
        except binascii.Error:
            return None
        head, seal = octets[:_HEAD_OCTETS], octets[_HEAD_OCTETS:]
        return head if hmac.compare_digest(seal, self._seal(head)) else None

    def _seal(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:_SEAL_OCTETS]

    def _forget(self, oldest: int) -> None:
        """Let go of what is too old; of what is not, only with all that were made before it.

        So a nonce that was used is never taken again, however many are used at once.
        """
        while self._used:
            first = next(iter(self._used))
            made = self._used[first]
            if made >= oldest:
                if len(self._used) <= MOST_USED:
                    return
                self._forgotten_until = max(self._forgotten_until, made)
            del self._used[first]


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
