"""How verbs print: data as one JSON document on standard output, or as text for a person."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.cells import cell_len

from server.times import rfc3339

Data = Mapping[str, object]


class Format(StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[
    Format,
    typer.Option("--output", "-o", metavar="FORMAT", help="text for people, or json for programs."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def when(at: datetime | None) -> str | None:
    """Write a time, if there is one, as every verb does."""
    return rfc3339(at) if at else None


def show(data: Data, output: Format, tables: Mapping[str, Sequence[str]] | None = None) -> None:
    """Print one object; `tables` gives the columns that people see of the lists in it."""
    if output is Format.JSON:
        print_json(data)
        return
    width = max((len(key) for key in data), default=0)
    for key, value in data.items():
        for index, line in enumerate(_lines(value, (tables or {}).get(key)) or [""]):
            label = key if index == 0 else ""
            sys.stdout.write(f"{label:<{width}}  {line}".rstrip() + "\n")


def show_all(rows: Sequence[Data], columns: Sequence[str], output: Format) -> None:
    """Print objects: a complete JSON array, or a table of the named columns, a row a line."""
    if output is Format.JSON:
        print_json(list(rows))
    elif not rows:
        say("none")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _table(rows, columns))


def print_json(data: object) -> None:
    """Print one JSON document, in ASCII: no octet of it can steer a terminal."""
    json.dump(data, sys.stdout, indent=2)
    sys.stdout.write("\n")


def say(words: str) -> None:
    """Tell a person something, on standard error."""
    sys.stderr.write(f"{words}\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `--yes` was given; exit 2 if nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        say(f"{question} Nobody is here to answer: give --yes to do it without being asked.")
        raise typer.Exit(2)
    if not typer.confirm(question, err=True):
        say("Nothing was done.")
        raise typer.Exit(1)


def _lines(value: object, columns: Sequence[str] | None) -> list[str]:
    """Lay out a value beside its key."""
    if isinstance(value, Mapping):
        pairs = [{"key": key, "value": each} for key, each in value.items()]
        return _table(pairs, ("key", "value"))[1:]
    if columns is not None and isinstance(value, list) and value:
        return _table(value, columns)
    if isinstance(value, str):
        return [_printable(line) for line in value.splitlines()]
    return [_cell(value)]


def _table(rows: Sequence[Data], columns: Sequence[str]) -> list[str]:
    """Align cells below their columns' names. Nothing is folded: terminals wrap, programs read."""
    cells = [list(columns)]
    cells += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(cell_len(row[index]) for row in cells) for index in range(len(columns))]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return ", ".join(_cell(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{_cell(key)}={_cell(each)}" for key, each in value.items())
    return _printable(str(value))


def _printable(text: str) -> str:
    """Escape what could steer a terminal: strangers choose some of what operators look at."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
