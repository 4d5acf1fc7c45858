"""Failed authentications slow their own address down, and nobody else."""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

ADDRESSES = 50_000
"""How many addresses are remembered; the longest silent is forgotten first."""

_SUBSCRIBER_BITS = 64


class Backoff:
    """A bucket of failures per address that empties steadily; a full one refuses for a while.

    A success takes one failure out of it, so a factory behind one address is not in its own way
    for some wrong codes among many good ones. A burst of zero switches it off.
    """

    def __init__(self, *, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str) -> None:
        """Count one failed authentication."""
        source = source_of(address)
        if not self._burst or not source:
            return
        level = min(self._level(source) + 1, float(self._burst))
        self._levels[source] = (level, self._monotonic())
        self._levels.move_to_end(source)
        if len(self._levels) > ADDRESSES:
            self._levels.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Count one good authentication."""
        if not self._levels:
            return
        source = source_of(address)
        if source in self._levels:
            level = max(0.0, self._level(source) - 1)
            self._levels[source] = (level, self._monotonic())

    def wait(self, address: str) -> int:
        """Tell how many seconds the address has to wait: zero while its bucket has room."""
        if not self._levels:
            return 0
        source = source_of(address)
        if source not in self._levels:
            return 0
        over = self._level(source) - (self._burst - 1)
        return math.ceil(over / self._per_second) if over > 0 else 0

    def _level(self, source: str) -> float:
        level, at = self._levels.get(source, (0.0, 0.0))
        return max(0.0, level - (self._monotonic() - at) * self._per_second)


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Name what one caller controls: an IPv4 address, or the /64 of an IPv6 address.

    An IPv4 address that is written as IPv6 is the same caller. Who comes by other ways than the
    network (the unix socket) has no source: the proxy there knows its callers, we do not.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, _SUBSCRIBER_BITS), strict=False))
