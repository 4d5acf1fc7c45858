"""Whatever is done to rows without our keys is found, and only what was touched is named."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from registry.chain import COLUMNS, GENESIS, Head
from registry.chain_walk import ChainWalk
from tests.support.audit_log import LENGTHS, MAIN, an_audit_log, rehashed

LAST = LENGTHS[MAIN]
Rows = dict[int, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """What is done to the rows, which of them it touches, and one that has to be named."""

    words: str
    touched: range | tuple[int, ...]
    named: int
    do: Callable[[Rows], Rows]

    def __repr__(self) -> str:
        return self.words


def clean_rows() -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        log = an_audit_log(Path(folder))
        return {number: log.row(MAIN, number) for number in range(1, LAST + 1)}


CLEAN = clean_rows()
PLACES = st.integers(1, LAST)
COLUMN = st.sampled_from(sorted({*COLUMNS, "hash"} - {"stream", "number"}))
VALUE = st.one_of(st.text(max_size=5), st.none(), st.binary(max_size=3), st.integers())


def at(rows: Rows, number: int) -> dict[str, Any]:
    return rows.get(number, CLEAN[min(number, LAST)])


def placed(row: dict[str, Any], number: int) -> dict[str, Any]:
    return {**row, "number": number}


@st.composite
def edits(draw: st.DrawFn) -> Tampering:
    number, column, value = draw(PLACES), draw(COLUMN), draw(VALUE)
    return Tampering(
        words=f"edit {column} of {number} to {value!r}",
        touched=(number,),
        named=number,
        do=lambda rows: {**rows, number: {**at(rows, number), column: value}},
    )


@st.composite
def forgeries(draw: st.DrawFn) -> Tampering:
    number, actor = draw(PLACES), draw(st.text(max_size=5))
    return Tampering(
        words=f"forge {number} by {actor!r}",
        touched=(number,),
        named=number,
        do=lambda rows: {**rows, number: rehashed(CLEAN[number], actor=actor)},
    )


@st.composite
def deletions(draw: st.DrawFn) -> Tampering:
    number = draw(PLACES)
    return Tampering(
        words=f"delete {number}",
        touched=(number,),
        named=number,
        do=lambda rows: {each: row for each, row in rows.items() if each != number},
    )


@st.composite
def swaps(draw: st.DrawFn) -> Tampering:
    one, other = draw(PLACES), draw(PLACES)
    return Tampering(
        words=f"swap {one} and {other}",
        touched=(one, other),
        named=one,
        do=lambda rows: {
            **rows,
            one: placed(at(rows, other), one),
            other: placed(at(rows, one), other),
        },
    )


@st.composite
def insertions(draw: st.DrawFn) -> Tampering:
    number = draw(st.integers(1, LAST + 1))
    actor = draw(st.one_of(st.none(), st.text(max_size=5)))
    is_linked = draw(st.booleans())

    def do(rows: Rows) -> Rows:
        below = at(rows, number - 1) if number > 1 else {**at(rows, 1), "hash": GENESIS}
        row = placed(below, number)
        if actor is not None and is_linked:
            row = rehashed(row, actor=actor, previous_hash=below["hash"])
        elif actor is not None:
            row = {**row, "actor": actor}
        shifted = {
            each + (each >= number): placed(old, each + (each >= number))
            for each, old in rows.items()
        }
        return {**shifted, number: row}

    return Tampering(
        words=f"insert at {number} by {actor!r}{' linked' * is_linked}",
        touched=range(number, LAST + 2),
        named=number,
        do=do,
    )


@st.composite
def removals(draw: st.DrawFn) -> Tampering:
    """Deletions that are hidden by moving all that follows."""
    number = draw(PLACES)
    return Tampering(
        words=f"remove {number} and close the gap",
        touched=range(number, LAST + 1),
        named=number,
        do=lambda rows: {
            each - (each > number): placed(row, each - (each > number))
            for each, row in rows.items()
            if each != number
        },
    )


@st.composite
def renumberings(draw: st.DrawFn) -> Tampering:
    number = draw(PLACES)
    other = draw(st.one_of(st.integers(LAST + 1, 2**63), st.integers(-(2**63), 0)))
    return Tampering(
        words=f"move {number} to {other}",
        touched=(number, other),
        named=number,
        do=lambda rows: {
            each if each != number else other: row if each != number else placed(row, other)
            for each, row in rows.items()
        },
    )


ANYTHING = st.one_of(
    edits(), forgeries(), deletions(), swaps(), insertions(), removals(), renumberings()
)
MARKS = st.frozensets(PLACES, max_size=3)


def faults(rows: Rows, marks: frozenset[int]) -> set[int]:
    """Verify rows under the clean log's head, and give the numbers at fault."""
    walk = ChainWalk(
        MAIN,
        head=Head(number=LAST, hash=CLEAN[LAST]["hash"]),
        is_sealed=True,
        marks={number: CLEAN[number]["hash"] for number in marks},
    )
    for number in sorted(rows, reverse=True):
        walk.see(rows[number])
    return {each.number for each in walk.finish()}


@given(tampering=ANYTHING, marks=MARKS)
def test_security_S25_what_was_touched_is_named_and_nothing_else(
    tampering: Tampering, marks: frozenset[int]
) -> None:
    rows = tampering.do(CLEAN)
    assume(rows != CLEAN)

    found = faults(rows, marks)

    assert tampering.named in found
    assert found <= set(tampering.touched)


@given(tamperings=st.lists(ANYTHING, min_size=2, max_size=6), marks=MARKS)
def test_security_S25_however_much_is_done_it_is_found(
    tamperings: list[Tampering], marks: frozenset[int]
) -> None:
    rows = CLEAN
    for each in tamperings:
        rows = each.do(rows)
    assume(rows != CLEAN)

    assert faults(rows, marks)
