"""Opening a database: settings, migrations, and what its failures mean."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from enroll.failures import RegistryUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str, busy_timeout: float) -> sa.Engine:
    """Open a SQLite database: WAL, every commit on disk before it returns, keys enforced.

    The statements decide when a transaction begins (`BEGIN IMMEDIATE`); reads are autocommitted.
    """
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": busy_timeout},
    )

    def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        cursor = connection.cursor()
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
        ):
            cursor.execute(statement)
        cursor.close()

    sa.event.listen(engine, "connect", configure)
    return engine


def migrate(url: str, busy_timeout: float = 5.0) -> None:
    """Bring a database to the present schema, making it if it is not there."""
    engine = open_engine(url, busy_timeout)
    try:
        with engine.connect() as connection:
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def check_revision(connection: sa.Connection) -> None:
    """Check that the database has the schema of this version. Raises RegistryUnavailable."""
    expected = ScriptDirectory.from_config(_alembic()).get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found != expected:
        raise RegistryUnavailable(
            f"the database has schema {found or 'none'}, this version needs {expected}; "
            "run 'enroll db migrate'",
            retry_after=60,
        )


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what a database says when it cannot serve into RegistryUnavailable."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError) as error:
        words = str(getattr(error, "orig", None) or error)
        raise RegistryUnavailable(f"the database cannot serve: {words}") from error


class Place:
    """Where a SQLite database lies, and whether it is still the file that was opened."""

    def __init__(self, url: str) -> None:
        self._path = sa.make_url(url).database or ""
        self._identity = self._look()

    def check(self) -> bool:
        """Tell whether the file is another one than before; raise RegistryUnavailable if gone."""
        found = self._look()
        if found is None:
            raise RegistryUnavailable(f"the database {self._path} is gone; put it back")
        changed = found != self._identity
        self._identity = found
        return changed

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on every request's path
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
