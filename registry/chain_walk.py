"""Judging the rows of one chain of events, walked from its promised end to its beginning.

A sealed head promises the last row's hash, and each row that is as promised promises the one before
it. So a row is judged by what follows it, which nobody can forge who has only the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.chain import Head, entry_hash

EDITED = "edited"
DELETED = "deleted"
REORDERED = "reordered"
INSERTED = "inserted"
CUT = "cut"
SEAL_BROKEN = "seal_broken"
NEAR = 8
"""How far from its place an entry is looked for at once; one that went further leaves a gap."""
MOST_TRIED = 64
"""How many rows without a place are tried in gaps, and how many places of gaps."""
MOST_NAMED = 1_000
"""How many missing rows of one gap are named."""

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFault:
    """One row that is not as it was written: its stream, its number, and what was done to it."""

    stream: str
    number: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Promise:
    """What the entry of this number must be. `kept`: who says so is itself as promised."""

    number: int
    hash: object
    kept: bool = True


class ChainWalk:
    """Takes the rows of a stream from the last to the first, and tells what is wrong with them.

    `head` is the stream's head if its seal is good; `is_sealed` tells whether there is one at all.
    `marks` are the hashes that checkpoints signed, by number.
    """

    def __init__(
        self, stream: str, *, head: Head | None, is_sealed: bool, marks: Mapping[int, str]
    ) -> None:
        self._stream = stream
        self._is_sealed = is_sealed
        self._marks = marks
        self._faults: dict[int, tuple[str, str]] = {}
        self._gaps: list[range] = []
        self._moved: dict[int, tuple[int, Row]] = {}
        self._homeless: list[Row] = []
        self._end = self._place = 0
        self._promise = _Promise(number=0, hash=None)
        self._marked = max(marks, default=0)
        if head is not None and head.number < self._marked:
            words = f"the sealed head is older than the checkpoint of number {self._marked}"
            self._fault(head.number, SEAL_BROKEN, words)
        elif head is not None:
            self._begin(head.number, head.hash)

    def see(self, row: Row) -> None:
        """Judge the next row towards the beginning."""
        number, computed = row["number"], _hash_of(row)
        is_sound = computed == row["hash"]
        if not isinstance(number, int) or number < 1:
            place = int(number) if isinstance(number, int | float) else 0
            self._fault(place, INSERTED, f"no entry has the number {number!r}")
            return
        if not self._end and is_sound:
            self._begin_without_head(number, computed)
        if number > self._end:
            self._see_beyond(number, row)
            return
        if number + 1 < self._place:
            self._gaps.append(range(number + 1, self._place))
        self._place = number
        if is_sound or self._is_promised(number, computed):
            self._see_sound(number, row, computed)
        else:
            self._see_unsound(number, row)
        self._follow_moved()

    def finish(self) -> Sequence[AuditFault]:
        """Give all faults in the order of their numbers."""
        if not self._end and self._marked:
            self._begin(self._marked, self._marks[self._marked])
        if self._place > 1:
            self._gaps.append(range(1, self._place))
        self._find_homes()
        for gap in self._gaps:
            self._name_missing(gap)
        return [
            AuditFault(stream=self._stream, number=number, kind=kind, detail=detail)
            for number, (kind, detail) in sorted(self._faults.items())
        ]

    def _begin(self, number: int, promised: str) -> None:
        self._end, self._place = number, number + 1
        self._promise = _Promise(number=number, hash=promised)

    def _begin_without_head(self, number: int, computed: str) -> None:
        """Take the last sound row for the end, unless a checkpoint knows of a later one."""
        if not self._is_sealed:
            self._fault(number, SEAL_BROKEN, "the stream's sealed head is gone")
        if number < self._marked:
            self._begin(self._marked, self._marks[self._marked])
        else:
            self._begin(number, computed)

    def _fault(self, number: int, kind: str, detail: str) -> None:
        self._faults[number] = (kind, detail)

    def _is_promised(self, number: int, computed: str) -> bool:
        return self._promise.number == number and self._promise.hash == computed

    def _see_beyond(self, number: int, row: Row) -> None:
        home = _home_of(row)
        if home is not None:
            self._move(number, home, row)
            self._follow_moved()
        else:
            if not self._end and self._is_sealed:
                self._fault(number, EDITED, "its contents do not give its hash")
            elif not self._end:
                self._fault(number, INSERTED, "it belongs to no chain")
            else:
                self._fault(number, INSERTED, f"it lies beyond the chain's end, {self._end}")
            self._remember(row)

    def _see_unsound(self, number: int, row: Row) -> None:
        """Judge a row whose contents give neither its own hash nor the one promised."""
        home = _home_of(row)
        if home in self._moved:
            self._fault(number, INSERTED, f"it is a copy of entry {home}")
        elif home is not None:
            self._move(number, home, row)
        elif number in self._moved:
            self._fault(number, INSERTED, f"entry {number} is at {self._moved[number][0]}")
        else:
            self._edited(number, row, "its contents do not give its hash")
            self._remember(row)

    def _see_sound(self, number: int, row: Row, computed: str) -> None:
        place, moved = self._moved.get(number, (0, row))
        if moved["hash"] != row["hash"]:
            self._fault(number, INSERTED, f"entry {number} is at {place}")
            return
        if place:
            self._fault(place, INSERTED, f"it is a copy of entry {number}")
            del self._moved[number]
        promise, mark = self._promise, self._marks.get(number)
        if promise.number == number and promise.kept and promise.hash != computed:
            self._edited(number, row, "the next entry follows another row")
        elif mark is not None and mark != computed:
            self._edited(number, row, "a checkpoint signed another row here")
        else:
            if row["hash"] != computed:
                self._fault(number, EDITED, "its hash is not that of its contents")
            self._promise = _Promise(number=number - 1, hash=row["previous_hash"])

    def _edited(self, number: int, row: Row, detail: str) -> None:
        self._fault(number, EDITED, detail)
        self._promise = _Promise(number=number - 1, hash=row["previous_hash"], kept=False)

    def _move(self, place: int, entry: int, row: Row) -> None:
        self._fault(place, REORDERED, f"it is entry {entry}")
        self._moved[entry] = (place, row)

    def _follow_moved(self) -> None:
        """Let entries at others' places keep their promise, and make the next."""
        while self._promise.number in self._moved:
            _, row = self._moved[self._promise.number]
            if row["hash"] != self._promise.hash:
                return
            self._promise = _Promise(number=self._promise.number - 1, hash=row["previous_hash"])

    def _remember(self, row: Row) -> None:
        if len(self._homeless) < MOST_TRIED:
            self._homeless.append(row)

    def _find_homes(self) -> None:
        """Try rows whose contents do not give their hash in the places of others such and gaps."""
        places = {row["number"] for row in self._homeless}
        for gap in self._gaps:
            places.update(gap[: MOST_TRIED - min(MOST_TRIED, len(places))])
        for row in self._homeless:
            for place in places - {row["number"]}:
                if _hash_at(place, row) == row["hash"]:
                    self._move(row["number"], place, row)

    def _name_missing(self, gap: range) -> None:
        kind = CUT if gap.stop > self._end else DELETED
        words = f"the log ends before its promised end {self._end}"
        for number in gap[:MOST_NAMED]:
            if number in self._moved:
                self._fault(number, REORDERED, f"the row is at {self._moved[number][0]}")
            else:
                self._fault(number, kind, words if kind == CUT else "the row is gone")


def _home_of(row: Row) -> int | None:
    """Tell which other entry near its place a row is by its own hash."""
    number = row["number"]
    near = range(max(1, number - NEAR), number + NEAR + 1)
    others = (each for each in near if each != number)
    return next((each for each in others if _hash_at(each, row) == row["hash"]), None)


def _hash_at(number: int, row: Row) -> str:
    return _hash_of({**row, "number": number})


def _hash_of(row: Row) -> str:
    """Hash a row, whose columns may hold what we never write."""
    try:
        return entry_hash(row)
    except TypeError:
        return "no hash"
