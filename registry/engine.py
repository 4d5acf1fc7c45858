"""Opening a database: settings, migrations, and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
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


def check_revision(found: str | None) -> None:
    """Check that a database has the schema of this version. Raises RegistryUnavailable."""
    expected = _expected_revision()
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


@cache
def _expected_revision() -> str | None:
    return ScriptDirectory.from_config(_alembic()).get_current_head()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
