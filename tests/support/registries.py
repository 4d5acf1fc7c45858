"""Registries for tests: opened fast, and written to and read from in one line."""

import tempfile
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from enroll.ports import Registry, UnitOfWork
from registry.engine import migrate
from registry.unit_of_work import SQLRegistry

T = TypeVar("T")
SEAL_KEY = b"the key that seals heads in tests"


@lru_cache
def _empty_database() -> bytes:
    """Make a SQLite database of the present schema, once; a copy of it is as good."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.db"
        migrate(sqlite_url(path))
        return path.read_bytes()


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_database(path: Path) -> Path:
    """Write an empty database of the present schema."""
    path.write_bytes(_empty_database())
    return path


def open_sqlite(path: Path, *, stream: str = "main", busy_timeout: float = 5) -> SQLRegistry:
    """Open a database; close the registry after that."""
    return open_registry(sqlite_url(path), stream=stream, busy_timeout=busy_timeout)


def open_registry(url: str, *, stream: str = "main", busy_timeout: float = 5) -> SQLRegistry:
    return SQLRegistry(url, stream=stream, seal_key=SEAL_KEY, busy_timeout=busy_timeout)


async def store(registry: Registry, stage: Callable[[UnitOfWork], None]) -> None:
    """Stage writes in a unit of their own, and commit it."""
    async with registry.unit_of_work() as uow:
        stage(uow)
        await uow.commit()


async def look(registry: Registry, read: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Read in a unit of its own."""
    async with registry.unit_of_work() as uow:
        return await read(uow)
