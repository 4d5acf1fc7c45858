"""Core expressions compiled once for each dialect: what the request path runs."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg

SQLITE: sa.Dialect = sqlite.dialect()
POSTGRESQL: sa.Dialect = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy's

Values = Mapping[str, Any]
Place = Callable[..., sa.ColumnElement[Any]]
"""Called with a column, and a name if it is not the column's: where a value of that type goes."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One statement in a dialect: its text, how its arguments are laid out, and its rows."""

    text: str
    arguments: Callable[[Values], Sequence[Any]]
    to_row: Callable[[Sequence[Any]], Any]


class Query:
    """A SELECT; its values are named by its `bindparam`s."""

    __slots__ = ("_compiled", "_expression")

    def __init__(self, expression: sa.Executable) -> None:
        self._expression = expression
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: sa.Dialect) -> Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._expression, dialect)
        return found


class Change:
    """An INSERT or UPDATE of one row for each set of values; many sets can go through at once.

    It is written over places for values: parameters in its single form; in its form for a batch,
    on PostgreSQL, columns of one `unnest` of arrays.
    """

    __slots__ = ("_batch", "_single", "_write")

    def __init__(self, write: Callable[[Place, sa.Dialect], sa.Executable]) -> None:
        self._write = write
        self._single: dict[str, Compiled] = {}
        self._batch: dict[str, Compiled] = {}

    def compiled(self, dialect: sa.Dialect) -> Compiled:
        found = self._single.get(dialect.name)
        if found is None:
            expression = self._write(_parameter, dialect)
            found = self._single[dialect.name] = _compile(expression, dialect)
        return found

    def compiled_for_batch(self, dialect: sa.Dialect) -> Compiled:
        """Give the form whose every argument is an array, one element for each set of values."""
        found = self._batch.get(dialect.name)
        if found is None:
            found = self._batch[dialect.name] = _compile(self._unnested(dialect), dialect)
        return found

    def _unnested(self, dialect: sa.Dialect) -> sa.Executable:
        columns: dict[str, sa.ColumnClause[Any]] = {}

        def note(column: sa.Column[Any], name: str | None = None) -> sa.ColumnElement[Any]:
            key = name or column.name
            columns[key] = sa.column(key, _unbounded(column.type))
            return _parameter(column, name)

        self._write(note, dialect)
        arrays = [
            sa.bindparam(name, type_=postgresql.ARRAY(column.type))
            for name, column in columns.items()
        ]
        batch = sa.func.unnest(*arrays).table_valued(*columns.values()).render_derived()

        def take(column: sa.Column[Any], name: str | None = None) -> sa.ColumnElement[Any]:
            return batch.c[name or column.name]

        return self._write(take, dialect)


def inserting(table: sa.Table, *names: str) -> Change:
    """Make the insertion of one row with these columns."""

    def write(place: Place, dialect: sa.Dialect) -> sa.Executable:
        del dialect
        values = {name: place(table.c[name]) for name in names}
        if place is _parameter:
            return table.insert().values(values)
        return table.insert().from_select(list(names), sa.select(*values.values()))

    return Change(write)


def upserting(
    table: sa.Table,
    names: Sequence[str],
    key: str,
    then: Callable[[Any], tuple[Mapping[str, Any], sa.ColumnElement[bool]]],
) -> Change:
    """Make an insertion that updates the row of this key where it is there and a condition holds.

    `then` takes the row that could not be inserted and gives what to set, and that condition.
    """

    def write(place: Place, dialect: sa.Dialect) -> sa.Executable:
        values = {name: place(table.c[name]) for name in names}
        insert: Any = (postgresql if dialect is POSTGRESQL else sqlite).insert(table)
        assignments, condition = then(insert.excluded)
        if place is _parameter:
            statement = insert.values(values)
        else:
            statement = insert.from_select(list(names), sa.select(*values.values()))
        conflict = statement.on_conflict_do_update(
            index_elements=[key], set_=assignments, where=condition
        )
        assert isinstance(conflict, sa.Executable)  # noqa: S101 - the dialects' insert is untyped
        return conflict

    return Change(write)


def constants(*values: str) -> list[sa.ColumnElement[str]]:
    """Write values of ours into a statement, so that a partial index can be seen to serve it."""
    return [sa.literal_column(f"'{each}'", sa.String) for each in values]


def _parameter(column: sa.Column[Any], name: str | None = None) -> sa.ColumnElement[Any]:
    return sa.bindparam(name or column.name, type_=_unbounded(column.type))


def _unbounded(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Drop a string's length: PostgreSQL's cast to it would cut a value short without a word."""
    return sa.Text() if isinstance(kind, sa.String) else kind


def _compile(expression: sa.Executable, dialect: sa.Dialect) -> Compiled:
    compiled: Any = expression.compile(dialect=dialect)  # type: ignore[attr-defined]  # of ClauseElement
    names: Sequence[str] = compiled.positiontup or ()
    given = compiled.construct_params(_check=False)
    fixed = {name: given[name] for bind, name in compiled.bind_names.items() if not bind.required}
    columns = [each[0] for each in compiled._result_columns]  # noqa: SLF001 - its names, nowhere else
    row = namedtuple("Row", columns, rename=True) if columns else tuple  # noqa: PYI024 - of a run-time shape
    return Compiled(str(compiled), _layout(names, fixed), getattr(row, "_make", tuple))


def _layout(names: Sequence[str], fixed: Values) -> Callable[[Values], Sequence[Any]]:
    """Lay named values out by position, with the statement's own constants among them."""
    if not names:
        return lambda _: ()
    if any(name in fixed for name in names):
        return lambda values: [fixed[name] if name in fixed else values[name] for name in names]
    if len(names) == 1:
        (only,) = names
        return lambda values: (values[only],)
    return itemgetter(*names)
