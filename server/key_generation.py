"""Keys made for devices: off the event loop, bounded, and kept nowhere."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec, ed448, mlkem, x448, x25519

from ca.keys.software import KeyKind, make_private_key
from enroll.failures import AuthorityUnavailable, RateLimited
from enroll.key_generation import MadePrivateKey
from enroll.profiles import KeyAlgorithm

THREADS = 1
"""RSA keys take a processor for 50 ms to half a second each; the others are there at once."""
HOUR = 3600.0
DEVICES = 50_000
"""How many devices are remembered; the longest silent is forgotten first."""


class ThreadedKeyGenerator:
    """Implements `enroll.ports.KeyGenerator` by OpenSSL, whose randomness is the system's.

    OpenSSL lets go of the interpreter while it works, so a thread is enough. `waiting` is how many
    keys may be under way at once, `per_hour` how many a device may have: so many at once, and
    again as the hour goes on. Zero takes a limit off.
    """

    def __init__(
        self,
        *,
        waiting: int,
        per_hour: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = waiting
        self._per_hour = per_hour
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="keys")
        self._under_way = 0
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def make(self, algorithm: KeyAlgorithm, device_id: str) -> MadePrivateKey:
        """Make a key. Raises RateLimited, AuthorityUnavailable."""
        if self._waiting and self._under_way >= self._waiting:
            raise AuthorityUnavailable(
                f"{self._under_way} keys are being made already",
                finding="key_generation_busy",
                retry_after=2,
            )
        self._count(device_id)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _make, algorithm)
        finally:
            self._under_way -= 1

    def _count(self, device_id: str) -> None:
        """Count a key against its device: a bucket that empties in an hour. Raises RateLimited."""
        if not self._per_hour:
            return
        now = self._monotonic()
        level, at = self._spent.get(device_id, (0.0, now))
        level = max(0.0, level - (now - at) * self._per_hour / HOUR)
        if level + 1 > self._per_hour:
            raise RateLimited(
                f"{self._per_hour} keys an hour are made for a device, and no more",
                finding="key_generation_limit",
                retry_after=math.ceil((level + 1 - self._per_hour) * HOUR / self._per_hour),
            )
        self._spent[device_id] = (level + 1, now)
        self._spent.move_to_end(device_id)
        if len(self._spent) > DEVICES:
            self._spent.popitem(last=False)


# What no CA is made with here.
_FOR_DEVICES: Mapping[KeyAlgorithm, Callable[[], MadePrivateKey]] = {
    KeyAlgorithm.P_521: partial(ec.generate_private_key, ec.SECP521R1()),
    KeyAlgorithm.ED448: ed448.Ed448PrivateKey.generate,
    KeyAlgorithm.X25519: x25519.X25519PrivateKey.generate,
    KeyAlgorithm.X448: x448.X448PrivateKey.generate,
    KeyAlgorithm.ML_KEM_768: mlkem.MLKEM768PrivateKey.generate,
    KeyAlgorithm.ML_KEM_1024: mlkem.MLKEM1024PrivateKey.generate,
}


def _make(algorithm: KeyAlgorithm) -> MadePrivateKey:
    make = _FOR_DEVICES.get(algorithm)
    return make() if make is not None else make_private_key(KeyKind(algorithm.value))
