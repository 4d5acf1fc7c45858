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
SQLITE = "sqlite"
POSTGRESQL = "postgresql"
DRIVERS = {SQLITE: "sqlite+pysqlite", POSTGRESQL: "postgresql+psycopg"}
SQLITE_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # A commit is on disk when it returns.
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)


def normal_url(url: str) -> sa.URL:
    """Read a database's address, with the driver that we use. Raises ValueError."""
    try:
        found = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ValueError(
            "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    kind = found.get_backend_name()
    if kind not in DRIVERS:
        raise ValueError(f"expected a sqlite or postgresql database, not {kind}")
    return found.set(drivername=DRIVERS[kind])


def open_engine(url: str, busy_timeout: float) -> sa.Engine:
    """Open a database for what is rare and reads much: migrations, verification, checkpoints.

    Statements decide when a transaction begins; reads are autocommitted.
    """
    address = normal_url(url)
    if address.get_backend_name() == POSTGRESQL:
        return sa.create_engine(
            address,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            connect_args={"connect_timeout": max(2, int(busy_timeout))},
        )
    engine = sa.create_engine(
        address,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": busy_timeout},
    )
    sa.event.listen(engine, "connect", _configure_sqlite)
    return engine


def migrate(url: str, busy_timeout: float = 5.0) -> None:
    """Bring a database to the present schema, making it if it is not there; all or nothing."""
    engine = open_engine(url, busy_timeout)
    try:
        with database_errors(), engine.connect() as connection:
            config = _alembic()
            config.attributes["connection"] = connection
            sqlite = engine.dialect.name == SQLITE
            connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
            try:
                command.upgrade(config, "head")
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


def _configure_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    cursor = connection.cursor()
    for setting in SQLITE_SETTINGS:
        cursor.execute(setting)
    cursor.close()


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
