"""Secrets tried off the event loop: a thread of their own, and so many messages at once only."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from enroll.credentials import SharedSecretMAC
from enroll.failures import AuthorityUnavailable

THREADS = 1
"""PasswordBasedMac holds the interpreter, which changes hands every 5 ms: one is enough."""
WAITING = 64
"""A message costs 50 ms at the very most; nobody waits longer than a few seconds."""


class ThreadedSecretTrier:
    """Implements `enroll.trials.SecretTrier`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="secrets")
        self._under_way = 0

    async def try_all(self, answer: SharedSecretMAC, secrets: Sequence[str]) -> None:
        """Try them, one after another until one is right. Raises AuthorityUnavailable."""
        if self._under_way >= WAITING:
            raise AuthorityUnavailable(
                f"{self._under_way} messages wait for a key to be derived already",
                finding="derivations_busy",
                retry_after=2,
            )
        self._under_way += 1
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._threads, _try_all, answer, tuple(secrets)
            )
        finally:
            self._under_way -= 1


def _try_all(answer: SharedSecretMAC, secrets: Sequence[str]) -> None:
    for each in secrets:
        if answer.is_of(each):
            return
