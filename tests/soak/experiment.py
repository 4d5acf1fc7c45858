"""What an experiment is given and gives: progress to tell, figures to judge."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went: each promise with whether it held, and the figures that were measured."""

    held: Mapping[str, bool]
    figures: Mapping[str, object]

    @property
    def passed(self) -> bool:
        return all(self.held.values())


class Progress:
    """Tells on a terminal how far an experiment is; elsewhere it is silent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = 0.0
        self._on = sys.stderr.isatty()

    def at(self, done: int, total: int, note: str = "") -> None:
        """Tell that so much of it is done."""
        now = time.monotonic()
        if self._on and (now - self._shown > 0.2 or done == total):
            self._shown = now
            share = f"{100 * done // max(1, total):3d} %"
            sys.stderr.write(f"\r{self._name}: {share}  {done} of {total}  {note}\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        if self._on:
            sys.stderr.write("\r\x1b[K")


class Experiment(Protocol):
    """All of it, or with `short` a slice that takes a minute."""

    def __call__(self, *, short: bool, progress: Progress) -> Outcome: ...
