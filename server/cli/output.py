"""How verbs print: data as one JSON document on standard output, or as text for a person."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Data = Mapping[str, object]


class Format(StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[
    Format, typer.Option("--output", "-o", help="How to print: text for people, json for programs.")
]


def rfc3339(at: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def show(data: Data, output: Format) -> None:
    """Print one object."""
    if output is Format.JSON:
        _print_json(data)
        return
    width = max((len(key) for key in data), default=0)
    for key, value in data.items():
        for index, line in enumerate(_lines(value)):
            label = key.replace("_", " ") if index == 0 else ""
            sys.stdout.write(f"{label:<{width}}  {line}\n")


def show_all(rows: Sequence[Data], columns: Sequence[str], output: Format) -> None:
    """Print objects: a complete JSON array, or a table of the named columns."""
    if output is Format.JSON:
        _print_json(list(rows))
        return
    if not rows:
        say("none")
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row.get(column))) for column in columns))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def say(words: str) -> None:
    """Tell a person something, on standard error."""
    sys.stderr.write(f"{words}\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `--yes` was given; exit 2 if nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        say(f"{question} Give --yes to do it without being asked.")
        raise typer.Exit(2)
    if not typer.confirm(question, err=True):
        say("Nothing was done.")
        raise typer.Exit(1)


def _print_json(data: object) -> None:
    json.dump(data, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return ", ".join(_cell(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_cell(each)}" for key, each in value.items())
    return str(value)


def _lines(value: object) -> Iterable[str]:
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return (_cell(each) for each in value)
    return (_cell(value),)
