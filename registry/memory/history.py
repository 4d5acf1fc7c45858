"""Rows that remember what they were, so that a view keeps seeing its moment."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Write = Callable[[], None]
PRESENT = float("inf")
"""The moment of guards: they see what is committed, and what their own unit has written."""


class View:
    """One reader's moment. What it can see is kept until it is closed."""

    __slots__ = ("is_open", "moment")

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Table(Protocol):
    """What a history asks of its tables."""

    def undo(self, key: Any, moment: int) -> None:
        """Take back what was written under the key at this moment."""
        ...

    def forget(self, key: Any, moment: int) -> None:
        """Let go of what no view sees that looks from this moment on."""
        ...


class History:
    """The moments of one registry: each commit makes the next, all of it or none."""

    def __init__(self) -> None:
        self.now = 0
        self._views: deque[View] = deque()
        self._touched: list[tuple[Table, object]] = []
        self._outdated: deque[tuple[int, Table, object]] = deque()

    @property
    def next(self) -> int:
        """The moment that the running commit makes."""
        return self.now + 1

    def view(self) -> View:
        made = View(self.now)
        self._views.append(made)
        return made

    def touch(self, table: Table, key: object) -> None:
        """Note that the running commit wrote under this key."""
        self._touched.append((table, key))

    def commit(self, writes: Sequence[Write]) -> None:
        """Do all these writes. If one of them raises, none was done."""
        try:
            for write in writes:
                write()
        except BaseException:
            for table, key in reversed(self._touched):
                table.undo(key, self.next)
            self._touched.clear()
            raise
        self.now = self.next
        self._outdated.extend((self.now, table, key) for table, key in self._touched)
        self._touched.clear()
        self._forget()

    def _forget(self) -> None:
        while self._views and not self._views[0].is_open:
            self._views.popleft()
        oldest = self._views[0].moment if self._views else self.now
        while self._outdated and self._outdated[0][0] <= oldest:
            moment, table, key = self._outdated.popleft()
            table.forget(key, moment)


class Rows(Generic[K, V]):
    """A table by primary key, in the order in which its rows were first written."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._versions: dict[K, list[tuple[int, V | None]]] = {}

    def get(self, key: K, moment: float = PRESENT) -> V | None:
        return _at(self._versions.get(key, ()), moment)

    def all(self, moment: float = PRESENT) -> Iterator[V]:
        return _visible(self._versions.values(), moment)

    def newest_first(self, moment: float = PRESENT) -> Iterator[V]:
        return _visible(reversed(self._versions.values()), moment)

    def put(self, key: K, value: V) -> None:
        self._write(key, value)

    def remove(self, key: K) -> None:
        self._write(key, None)

    def undo(self, key: K, moment: int) -> None:
        versions = self._versions[key]
        if versions[-1][0] == moment:
            versions.pop()
        if not versions:
            del self._versions[key]

    def forget(self, key: K, moment: int) -> None:
        versions = self._versions.get(key, [])
        while versions and versions[0][0] < moment:
            del versions[0]
        if len(versions) == 1 and versions[0][1] is None:
            del self._versions[key]

    def _write(self, key: K, value: V | None) -> None:
        moment = self._history.next
        versions = self._versions.setdefault(key, [])
        if versions and versions[-1][0] == moment:
            versions[-1] = (moment, value)
        else:
            versions.append((moment, value))
            self._history.touch(self, key)


class Lists(Generic[K, V]):
    """A list under each key that only grows: an index, or a log."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._entries: dict[K, list[tuple[int, V]]] = {}

    def of(self, key: K, moment: float = PRESENT) -> list[V]:
        return [value for since, value in self._entries.get(key, ()) if since <= moment]

    def add(self, key: K, value: V) -> None:
        self._entries.setdefault(key, []).append((self._history.next, value))
        self._history.touch(self, key)

    def undo(self, key: K, moment: int) -> None:
        entries = self._entries[key]
        if entries[-1][0] == moment:
            entries.pop()
        if not entries:
            del self._entries[key]

    def forget(self, key: K, moment: int) -> None:
        """Keep everything: a list only grows."""


def _at(versions: Sequence[tuple[int, V | None]], moment: float) -> V | None:
    for since, value in reversed(versions):
        if since <= moment:
            return value
    return None


def _visible(every: Iterable[Sequence[tuple[int, V | None]]], moment: float) -> Iterator[V]:
    for versions in every:
        value = _at(versions, moment)
        if value is not None:
            yield value
