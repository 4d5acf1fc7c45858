"""senderNonces of ours that need no memory: each says which exchange, and what may follow it."""

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Self

from protocols.cmp.messages import BodyType, PKIHeader

LEAST_OCTETS = 16
"""RFC 9483 §3.1: 128 bits."""

_RANDOM_OCTETS = 16
_MARK_OCTETS = 8
_SEAL_OCTETS = 16
_HINT_OCTETS = 4
_OCTETS = _RANDOM_OCTETS + _HINT_OCTETS + 3 * _MARK_OCTETS + _SEAL_OCTETS
_PROFILE = slice(_RANDOM_OCTETS, _RANDOM_OCTETS + _HINT_OCTETS)
_KEY = slice(_PROFILE.stop, _PROFILE.stop + _MARK_OCTETS)
_FIRST = slice(_KEY.stop, _KEY.stop + _MARK_OCTETS)
_LAST = slice(_FIRST.stop, -_SEAL_OCTETS)
_HEAD, _SEAL = slice(-_SEAL_OCTETS), slice(-_SEAL_OCTETS, None)
_CHALLENGE_OCTETS = 16
# Before the octets of a challenge: so they are an INTEGER in its shortest form.
_POSITIVE = b"\x40"


class Possession(IntEnum):
    """How possession of a key is proven (RFC 9810 §5.2.8).

    SIGNED: by the request, or vouched for in it. ENCRYPTED: for its own key, certConf proves it.
    CHALLENGED: popdecr has to prove it first; ANSWERED: it has.
    """

    SIGNED = 0
    ENCRYPTED = 1
    CHALLENGED = 2
    ANSWERED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an answer of ours leads to: a certConf, a pollReq for what is `waiting`, or a popdecr.

    `answer` is the type of the body that gives, or will give, the certificate; `by_mac` and
    `by_pbmac1` tell how the exchange is protected, and behind a challenge whether what was issued
    is `modified`.
    What is given again may be `known`: its owner gave word of it in another exchange.
    """

    answer: BodyType
    cert_req_id: int
    by_mac: bool
    by_pbmac1: bool = False
    waiting: bool = False
    possession: Possession = Possession.SIGNED
    modified: bool = False
    known: bool = False

    @property
    def octets(self) -> bytes:
        number = self.cert_req_id & 0xFF
        flags = self.waiting, self.possession, self.modified, self.known
        return bytes((self.answer, number, self.by_mac + self.by_pbmac1, *flags))

    @property
    def proven(self) -> Self:
        """The same, once the challenge was answered."""
        return replace(self, possession=Possession.ANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderNonces:
    """Makes nonces, and knows those of every worker that has the key.

    A nonce is random octets, marks of the key that is asked for and of the client's first and last
    nonce in the transaction, and a seal over all that, the transactionID and the turn. So a
    certConf or pollReq that carries it as recipNonce (RFC 9483 §3.1) follows that answer and no
    other, gets no other key's certificate, and shows whether its own nonce has been used before.
    A hint tells the profile that the first message named, which those that follow it do not.
    """

    key: bytes = field(repr=False)
    randomness: Callable[[int], bytes] = os.urandom

    def make(
        self,
        request: PKIHeader,
        turn: Turn,
        key: str | None = None,
        profile: str | None = None,
    ) -> bytes:
        """Make the nonce of an answer to this request, which began with this key, or follows one.

        What follows is about the key of what it follows. `profile` is the one that it is for.
        """
        last = self._mark(request)
        before = request.recip_nonce
        is_ours = before is not None and len(before) == _OCTETS
        first = before[_FIRST] if before is not None and is_ours else last
        own = self._key_mark(request, key or "")
        if key is None and before is not None and is_ours:
            own = before[_KEY]
        hint = self._hint(request, profile)
        head = self.randomness(_RANDOM_OCTETS) + hint + own + first + last
        return head + self._seal(head, request, turn)

    def turn(self, request: PKIHeader, turns: Iterable[Turn]) -> Turn | None:
        """Tell which of these turns a request follows; None if none of them."""
        nonce = request.recip_nonce
        if nonce is None or len(nonce) != _OCTETS:
            return None
        head, seal = nonce[_HEAD], nonce[_SEAL]
        return next(
            (each for each in turns if hmac.compare_digest(seal, self._seal(head, request, each))),
            None,
        )

    def challenge(self, nonce: bytes, transaction_id: bytes) -> bytes:
        """Give the number that goes with a nonce of ours: the content of an INTEGER, positive.

        Whoever sees the nonce cannot tell the number, and nobody has to remember it.
        """
        octets = b"".join((b"challenge", nonce, transaction_id))
        return _POSITIVE + hmac.digest(self.key, octets, "sha256")[:_CHALLENGE_OCTETS]

    def profile(self, request: PKIHeader, profiles: Iterable[str]) -> str | None:
        """Tell which of these profiles what a request follows was for; None for none of them.

        No more than who sends it could name itself: nothing is verified here.
        """
        hint = (request.recip_nonce or b"")[_PROFILE]
        return next((each for each in profiles if self._hint(request, each) == hint), None)

    def is_about(self, request: PKIHeader, key: str) -> bool:
        """Tell whether what a request follows was asked for this key, named by its SHA-256.

        Another credential may have the transactionID too, and ask with a key that is not its own.
        """
        before = request.recip_nonce or b""
        return hmac.compare_digest(before[_KEY], self._key_mark(request, key))

    def is_used(self, request: PKIHeader) -> bool:
        """Tell whether a request that follows a turn has the nonce of an earlier one again."""
        before, own = request.recip_nonce or b"", self._mark(request)
        return any(hmac.compare_digest(before[each], own) for each in (_FIRST, _LAST))

    def _mark(self, request: PKIHeader) -> bytes:
        octets = b"".join(
            (b"mark", request.transaction_id or b"", b"\0", request.sender_nonce or b"")
        )
        return hmac.digest(self.key, octets, "sha256")[:_MARK_OCTETS]

    def _key_mark(self, request: PKIHeader, key: str) -> bytes:
        octets = b"".join((b"key", request.transaction_id or b"", b"\0", key.encode()))
        return hmac.digest(self.key, octets, "sha256")[:_MARK_OCTETS]

    def _hint(self, request: PKIHeader, profile: str | None) -> bytes:
        octets = b"".join(
            (b"profile", request.transaction_id or b"", b"\0", (profile or "").encode())
        )
        return hmac.digest(self.key, octets, "sha256")[:_HINT_OCTETS]

    def _seal(self, head: bytes, request: PKIHeader, turn: Turn) -> bytes:
        octets = b"".join((b"seal", head, turn.octets, request.transaction_id or b""))
        return hmac.digest(self.key, octets, "sha256")[:_SEAL_OCTETS]
