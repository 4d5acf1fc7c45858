"""One registry, in each of its homes in turn."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path

import psycopg
import pytest

from enroll.ports import Registry
from registry.memory import MemoryRegistry
from registry.tables import METADATA
from registry.versions import POLICY, REVOCATION
from tests.support.builders import a_policy, stage_policy
from tests.support.coroutines import pytest_pyfunc_call, runner
from tests.support.postgresql import USER, shared_cluster
from tests.support.registries import make_database, open_registry, open_sqlite, store

__all__ = ["pytest_pyfunc_call", "runner"]

Home = Callable[[asyncio.Runner, Path], AbstractContextManager[Registry]]


@contextmanager
def _memory(runner: asyncio.Runner, folder: Path) -> Iterator[Registry]:
    del runner, folder
    yield MemoryRegistry()


@contextmanager
def _sqlite(runner: asyncio.Runner, folder: Path) -> Iterator[Registry]:
    opened = open_sqlite(make_database(folder / "registry.db"))
    try:
        yield opened
    finally:
        runner.run(opened.close())


@contextmanager
def _postgresql(runner: asyncio.Runner, folder: Path) -> Iterator[Registry]:
    del folder
    opened = open_registry(_emptied())
    try:
        yield opened
    finally:
        runner.run(opened.close())


@lru_cache
def _database() -> str:
    """Make one database for all tests: making one takes longer than most of them."""
    return shared_cluster().create(template=USER)


def _emptied() -> str:
    url = _database()
    emptying = [f'DELETE FROM "{table.name}"' for table in reversed(METADATA.sorted_tables)]  # noqa: S608 - names of our tables
    counting = f"INSERT INTO versions (name, value) VALUES ('{POLICY}', 0), ('{REVOCATION}', 0)"  # noqa: S608 - as above
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("; ".join([*emptying, counting]).encode())
    return url


HOMES: dict[str, Home] = {"memory": _memory, "sqlite": _sqlite, "postgresql": _postgresql}


@pytest.fixture(params=HOMES)
def empty(
    request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path: Path
) -> Iterator[Registry]:
    """A registry that holds nothing, not even policy."""
    with HOMES[request.param](runner, tmp_path) as opened:
        yield opened


@pytest.fixture
def registry(empty: Registry, runner: asyncio.Runner) -> Registry:
    """A registry with a new installation's policy: what else there is refers to it."""
    runner.run(store(empty, lambda uow: stage_policy(uow, a_policy())))
    return empty
