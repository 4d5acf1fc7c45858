"""The world's time and randomness, behind the ground's ports."""

import os
from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemRandomness:
    """The operating system's generator (RFC 4086)."""

    def octets(self, count: int) -> bytes:
        return os.urandom(count)
