"""senderNonces of ours that need no memory: each says which exchange, and what may follow it."""

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocols.cmp.messages import BodyType

LEAST_OCTETS = 16
"""RFC 9483 §3.1: 128 bits."""

_RANDOM_OCTETS = 16
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

    A nonce is random octets and a seal over them, the transactionID and the turn. So a certConf or
    pollReq that carries it as recipNonce (RFC 9483 §3.1) follows that answer and no other.
    """

    key: bytes = field(repr=False)
    randomness: Callable[[int], bytes] = os.urandom

    def make(self, transaction_id: bytes, turn: Turn) -> bytes:
        head = self.randomness(_RANDOM_OCTETS)
        return head + self._seal(head, transaction_id, turn)

    def turn(
        self, nonce: bytes | None, transaction_id: bytes, turns: Iterable[Turn]
    ) -> Turn | None:
        """Tell at which of these turns the nonce was given; None if at none of them."""
        if nonce is None or len(nonce) != _RANDOM_OCTETS + _SEAL_OCTETS:
            return None
        head, seal = nonce[:_RANDOM_OCTETS], nonce[_RANDOM_OCTETS:]
        found = [
            each
            for each in turns
            if hmac.compare_digest(seal, self._seal(head, transaction_id, each))
        ]
        return found[0] if found else None

    def _seal(self, head: bytes, transaction_id: bytes, turn: Turn) -> bytes:
        octets = head + turn.octets + transaction_id
        return hmac.digest(self.key, octets, "sha256")[:_SEAL_OCTETS]
