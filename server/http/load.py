"""Load shedding: what cannot be answered soon is told so at once."""

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """How much may be under way. Zero is no limit.

    `exchanges` counts requests that have no answer yet; `queue_seconds` is how long one may have
    waited for its turn before anything was done for it.
    """

    exchanges: int = 1_000
    queue_seconds: float = 2.0


class Load:
    """Counts exchanges under way over all listeners of one kind, and says when it is enough."""

    def __init__(self, limits: LoadLimits) -> None:
        self._limits = limits
        self.exchanges = 0

    def takes(self, waited: float) -> bool:
        """Tell whether one more exchange, which has waited so long, can be begun."""
        limits = self._limits
        if limits.exchanges and self.exchanges >= limits.exchanges:
            return False
        return not limits.queue_seconds or waited <= limits.queue_seconds

    def retry_after(self) -> int:
        """Give seconds after which to try again, spread so that not all come back at once."""
        return 1 + secrets.randbelow(4)
