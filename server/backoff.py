"""Failed authentications slow their own address down, and nobody else."""

import math
from collections import OrderedDict
from collections.abc import Callable

ADDRESSES = 50_000
"""How many addresses are remembered; the longest silent is forgotten first."""


class Backoff:
    """A bucket of failures per address that empties steadily; a full one refuses for a while.

    Successes cost nothing, so a factory behind one address is never in its own way. A burst of
    zero switches it off.
    """

    def __init__(self, *, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str) -> None:
        """Count one failed authentication."""
        if not self._burst:
            return
        level = min(self._level(address) + 1, float(self._burst))
        self._levels[address] = (level, self._monotonic())
        self._levels.move_to_end(address)
        if len(self._levels) > ADDRESSES:
            self._levels.popitem(last=False)

    def wait(self, address: str) -> int:
        """Tell how many seconds the address has to wait: zero while its bucket has room."""
        if address not in self._levels:
            return 0
        over = self._level(address) - (self._burst - 1)
        return math.ceil(over / self._per_second) if over > 0 else 0

    def _level(self, address: str) -> float:
        level, at = self._levels.get(address, (0.0, 0.0))
        return max(0.0, level - (self._monotonic() - at) * self._per_second)
