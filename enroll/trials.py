"""Which of some secrets an answer is made with; what takes long is found out off the event loop."""

from collections.abc import Sequence
from typing import Protocol

from enroll.credentials import HTTPDigest, SharedSecretMAC, answers_with

ROUNDS_AT_ONCE = 4_000
"""So many rounds of a hash, about a millisecond, are no more than handing them over would take."""


class Untried(Exception):  # noqa: N818 - what secrets are
    """The unit of work cannot go on before these secrets have been tried; nothing was stored.

    Have that done outside of it, for it may take a while, and run the whole unit again.
    """

    def __init__(self, answer: SharedSecretMAC, secrets: Sequence[str]) -> None:
        super().__init__(f"{len(secrets)} secrets have to be tried")
        self.answer = answer
        self.secrets = tuple(secrets)


class SecretTrier(Protocol):
    """Tries secrets off the event loop until one is right; the answer remembers what was found.

    Raises AuthorityUnavailable where too many are waiting already, and what the answer raises.
    """

    async def try_all(self, answer: SharedSecretMAC, secrets: Sequence[str]) -> None: ...


def first_right(answer: HTTPDigest | SharedSecretMAC, secrets: Sequence[str]) -> int | None:
    """Tell which secret the answer is made of: no other is tried once it was found.

    Raises Untried where that would keep the event loop.
    """
    if isinstance(answer, SharedSecretMAC) and not any(map(answer.tried.get, secrets)):
        new = [each for each in secrets if each not in answer.tried]
        if answer.rounds * len(new) > ROUNDS_AT_ONCE:
            raise Untried(answer, new)
    return next((place for place, each in enumerate(secrets) if answers_with(answer, each)), None)
