"""Waiting for the thing itself, and not for longer than it may take."""

import time
from collections.abc import Callable

PAUSE = 0.05


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Look again and again until it has happened, or the time is over."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True
