"""A PostgreSQL cluster of the tests' own: an unprivileged user, its own port, gone afterwards."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

from registry.engine import migrate

USER = "postgres"
DATABASES = ("sqlite", "postgresql")
_numbers = count(1)


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A running server. Its databases are for one test each."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    settings: tuple[str, ...]

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, *, template: str = "template1") -> str:
        """Make a database and give its address."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url(USER), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url(USER), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def stop(self, *, kill: bool = False) -> None:
        """End the server: its clients are cut off, what was committed stays."""
        self.process.send_signal(signal.SIGQUIT if kill else signal.SIGINT)
        self.process.wait(30)

    def start(self) -> None:
        self.process = _start(self.folder, self.port, self.settings)


@lru_cache
def shared_cluster() -> Cluster:
    """Run one cluster for all tests of this process that need none of their own.

    It does not wait for the disk: what it holds need not outlive the tests.
    """
    kept = ExitStack()
    atexit.register(kept.close)
    made = kept.enter_context(
        cluster("fsync=off", "synchronous_commit=off", "full_page_writes=off")
    )
    migrate(made.url(USER))
    return made


@contextmanager
def database_options(kind: str) -> Iterator[tuple[str, ...]]:
    """Give what `enroll init` needs to make an installation's database of this kind."""
    if kind == "sqlite":
        yield ()
        return
    running = shared_cluster()
    url = running.create()
    try:
        yield ("--database", url)
    finally:
        running.drop(url)


@contextmanager
def empty_database() -> Iterator[str]:
    """Give the address of a database of the present schema, in the shared cluster."""
    running = shared_cluster()
    url = running.create(template=USER)
    try:
        yield url
    finally:
        running.drop(url)


def require_postgresql() -> Path:
    """Give the folder of the server's programs, or skip, naming the package."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("postgresql is not installed (Debian package postgresql)")
    return found[-1].parent


@contextmanager
def cluster(*settings: str) -> Iterator[Cluster]:
    """Run a cluster; `settings` are `name=value`, as in postgresql.conf."""
    programs = require_postgresql()
    folder = Path(tempfile.mkdtemp(prefix="enroll-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        subprocess.run(
            [
                programs / "initdb",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                f"--username={USER}",
                "--no-sync",
                "-D",
                folder / "data",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=_user(),
        )
        made = Cluster(
            folder=folder,
            port=(port := _free_port()),
            process=_start(folder, port, settings),
            settings=settings,
        )
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.stop()
    finally:
        shutil.rmtree(folder)


def _start(folder: Path, port: int, settings: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    words = [str(require_postgresql() / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
    fixed = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
    for setting in (*fixed, *settings):
        words += ["-c", setting]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, user=_user()
        )
    subprocess.run(
        [
            require_postgresql() / "pg_isready",
            "--quiet",
            "--timeout=30",
            f"--port={port}",
            "--host=127.0.0.1",
        ],
        check=False,
    )
    while process.poll() is None:
        try:
            psycopg.connect(f"postgresql://{USER}@127.0.0.1:{port}/{USER}").close()
        except psycopg.OperationalError:
            continue
        return process
    raise AssertionError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")


def _user() -> str | None:
    """Name whom the server runs as: it refuses to be root's."""
    return USER if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
