"""senderNonces of ours that need no memory: each says which exchange, and what may follow it."""

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocols.cmp.messages import BodyType

LEAST_OCTETS = 16
"""RFC 9483 §3.1: 128 bits."""

_RANDOM_OCTETS = 16
_MARK_OCTETS = 8
_SEAL_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an answer of ours leads to: a certConf, or a pollReq for what is `waiting`.

    `answer` is the type of the body that gives, or will give, the certificate; `by_mac` tells how
    the exchange is protected.
    """

    answer: BodyType
    cert_req_id: int
    by_mac: bool
    waiting: bool = False

    @property
    def octets(self) -> bytes:
        number = self.cert_req_id & 0xFF
        return bytes((self.answer, number, self.by_mac, self.waiting))


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderNonces:
    """Makes nonces, and knows those of every worker that has the key.

    A nonce is random octets, a mark of the nonce that it answers, and a seal over both, the
    transactionID and the turn. So a certConf or pollReq that carries it as recipNonce (RFC 9483
    §3.1) follows that answer and no other, and shows whether its own nonce is the one before.
    """

    key: bytes = field(repr=False)
    randomness: Callable[[int], bytes] = os.urandom

    def make(self, transaction_id: bytes, turn: Turn, answered: bytes | None) -> bytes:
        """Make the nonce of an answer; `answered` is the senderNonce of what it answers."""
        fresh = self.randomness(_RANDOM_OCTETS)
        head = fresh + self._mark(fresh, answered or b"")
        return head + self._seal(head, transaction_id, turn)

    def turn(
        self, nonce: bytes | None, transaction_id: bytes, turns: Iterable[Turn]
    ) -> Turn | None:
        """Tell at which of these turns the nonce was given; None if at none of them."""
        if nonce is None or len(nonce) != _RANDOM_OCTETS + _MARK_OCTETS + _SEAL_OCTETS:
            return None
        head, seal = nonce[:-_SEAL_OCTETS], nonce[-_SEAL_OCTETS:]
        found = [
            each
            for each in turns
            if hmac.compare_digest(seal, self._seal(head, transaction_id, each))
        ]
        return found[0] if found else None

    def answers(self, nonce: bytes, sender_nonce: bytes) -> bool:
        """Tell of a nonce of ours whether it was made for a message of this very senderNonce."""
        fresh, mark = nonce[:_RANDOM_OCTETS], nonce[_RANDOM_OCTETS:-_SEAL_OCTETS]
        return hmac.compare_digest(mark, self._mark(fresh, sender_nonce))

    def _mark(self, fresh: bytes, sender_nonce: bytes) -> bytes:
        return hmac.digest(self.key, b"answered" + fresh + sender_nonce, "sha256")[:_MARK_OCTETS]

    def _seal(self, head: bytes, transaction_id: bytes, turn: Turn) -> bytes:
        octets = head + turn.octets + transaction_id
        return hmac.digest(self.key, octets, "sha256")[:_SEAL_OCTETS]
