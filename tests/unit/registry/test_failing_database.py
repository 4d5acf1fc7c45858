"""A database that fails: RegistryUnavailable while it does, nothing lost, and no restart needed."""

import asyncio
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enroll.failures import RegistryUnavailable
from registry.unit_of_work import SQLRegistry
from tests.support.builders import a_device, a_policy, an_attempt, stage_policy
from tests.support.registries import look, make_database, open_sqlite, store

TIMEOUT = 0.4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "registry.db")


@pytest.fixture
def registry(path: Path, runner: asyncio.Runner) -> Iterator[SQLRegistry]:
    """A registry with one device, on a database that another process may lock for a while."""
    opened = open_sqlite(path, busy_timeout=TIMEOUT)
    runner.run(prepare(opened))
    yield opened
    runner.run(opened.close())


async def prepare(registry: SQLRegistry, name: str = "pump-0") -> None:
    await store(registry, lambda uow: stage_policy(uow, a_policy()))
    await add(registry, name)


async def add(registry: SQLRegistry, name: str) -> None:
    await store(registry, lambda uow: uow.devices.add(a_device(name)))


async def note(registry: SQLRegistry, number: int) -> None:
    """Store an attempt of some size."""
    await store(registry, lambda uow: uow.attempts.add(an_attempt(number, detail="x" * 2_000)))


async def names(registry: SQLRegistry) -> list[str]:
    return [each.name for each in await look(registry, lambda uow: uow.devices.list())]


async def a_database_with(path: Path, name: str) -> Path:
    registry = open_sqlite(make_database(path))
    await prepare(registry, name)
    await registry.close()
    return path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the database's lock, as another process would."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def move(source: Path, target: Path) -> None:
    """Move a database with the files beside it."""
    for suffix in ("", "-wal", "-shm"):
        if (found := Path(f"{source}{suffix}")).exists():
            found.rename(f"{target}{suffix}")


def spoil(path: Path) -> None:
    """Overwrite the second half of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2].ljust(len(whole), b"\xff"))


def put_garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)


async def check_unavailable(registry: SQLRegistry) -> None:
    """Check that neither reads nor writes are answered."""
    with pytest.raises(RegistryUnavailable):
        await names(registry)
    with pytest.raises(RegistryUnavailable):
        await add(registry, "lost")


async def test_security_S6_a_locked_database_is_waited_for_and_then_given_up(
    registry: SQLRegistry, path: Path
) -> None:
    with held(path):
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            await add(registry, "lost")
        waited = time.monotonic() - began

    assert TIMEOUT * 0.9 <= waited < TIMEOUT + 5
    await add(registry, "pump-1")
    assert await names(registry) == ["pump-0", "pump-1"]


async def test_security_S6_a_lock_given_up_in_time_costs_no_answer(
    registry: SQLRegistry, path: Path
) -> None:
    with held(path):
        waiting = [
            asyncio.ensure_future(add(registry, f"pump-{number}")) for number in range(1, 30)
        ]
        await asyncio.wait(waiting, timeout=TIMEOUT / 4)
        assert not any(each.done() for each in waiting)

    await asyncio.gather(*waiting)

    assert len(await names(registry)) == 30


async def test_security_S6_all_that_wait_for_a_lock_are_given_up_together(
    registry: SQLRegistry, path: Path
) -> None:
    with held(path):
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *[add(registry, f"lost-{number}") for number in range(20)], return_exceptions=True
        )
        waited = time.monotonic() - began

    assert {type(each) for each in outcomes} == {RegistryUnavailable}
    assert waited < TIMEOUT + 5
    assert await names(registry) == ["pump-0"]


async def test_security_S6_reads_are_answered_while_the_database_is_locked(
    registry: SQLRegistry, path: Path
) -> None:
    with held(path):
        waiting = asyncio.ensure_future(add(registry, "lost"))
        await asyncio.sleep(0)
        reads = 0
        while not waiting.done():
            assert await names(registry) == ["pump-0"]
            await asyncio.sleep(0)
            reads += 1

    with pytest.raises(RegistryUnavailable):
        await waiting
    assert reads > 10


async def test_a_database_that_is_gone_is_not_made_anew_and_is_missed_until_it_is_back(
    registry: SQLRegistry, path: Path
) -> None:
    away = path.with_name("away.db")
    move(path, away)

    await check_unavailable(registry)

    assert not list(path.parent.glob(path.name))
    move(away, path)
    await add(registry, "pump-1")
    assert await names(registry) == ["pump-0", "pump-1"]


async def test_a_database_that_is_gone_is_missed_by_a_unit_that_has_begun(
    registry: SQLRegistry, path: Path
) -> None:
    async with registry.unit_of_work() as uow:
        await uow.devices.list()
        move(path, path.with_name("away.db"))
        uow.devices.add(a_device("lost"))

        with pytest.raises(RegistryUnavailable):
            await uow.commit()


async def test_a_database_put_in_place_of_another_is_the_one_read_and_written(
    registry: SQLRegistry, path: Path
) -> None:
    other = await a_database_with(path.with_name("other.db"), "other")
    move(path, path.with_name("away.db"))
    move(other, path)

    await add(registry, "pump-1")

    assert await names(registry) == ["other", "pump-1"]


async def test_a_view_of_the_database_of_before_serves_nobody_else(
    registry: SQLRegistry, path: Path
) -> None:
    other = await a_database_with(path.with_name("other.db"), "other")
    async with registry.unit_of_work() as uow:
        await uow.devices.list()
        move(path, path.with_name("away.db"))
        move(other, path)
        assert await names(registry) == ["other"]

        assert [each.name for each in await uow.devices.list()] == ["pump-0"]

    assert await names(registry) == ["other"]


async def test_a_database_replaced_while_a_unit_waits_for_its_lock_loses_nothing_acknowledged(
    registry: SQLRegistry, path: Path
) -> None:
    """The writer's connection must outlive what its thread does with it."""
    other = await a_database_with(path.with_name("other.db"), "other")
    away = path.with_name("away.db")
    with held(path):
        waiting = asyncio.ensure_future(add(registry, "pump-1"))
        await asyncio.wait([waiting], timeout=TIMEOUT / 4)
        move(path, away)
        move(other, path)
        assert await names(registry) == ["other"]

    with pytest.raises(RegistryUnavailable):
        await waiting

    await add(registry, "pump-2")
    assert await names(registry) == ["other", "pump-2"]


async def test_a_file_that_is_no_database_is_refused_until_it_is_one_again(
    registry: SQLRegistry, path: Path
) -> None:
    away = path.with_name("away.db")
    move(path, away)
    put_garbage(path)

    await check_unavailable(registry)

    move(path, path.with_name("garbage"))
    move(away, path)
    await add(registry, "pump-1")
    assert await names(registry) == ["pump-0", "pump-1"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version SET version_num = '9999'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
    ids=["newer", "none", "no table"],
)
async def test_a_database_of_another_schema_is_not_touched(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    registry = open_sqlite(path)

    with pytest.raises(RegistryUnavailable, match="enroll db migrate") as reading:
        await names(registry)
    with pytest.raises(RegistryUnavailable, match="enroll db migrate"):
        await add(registry, "lost")

    assert reading.value.retry_after == 60
    await registry.close()


async def test_an_empty_file_is_not_taken_for_a_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    registry = open_sqlite(path)

    await check_unavailable(registry)

    await registry.close()


async def test_a_database_brought_to_the_schema_is_used_without_reopening(path: Path) -> None:
    with sqlite3.connect(path) as database:
        (right,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    registry = open_sqlite(path)
    await check_unavailable(registry)

    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (right,))
    database.close()

    await prepare(registry)
    assert await names(registry) == ["pump-0"]
    await registry.close()


async def test_a_broken_page_is_an_unavailable_registry(registry: SQLRegistry, path: Path) -> None:
    for number in range(100):
        await note(registry, number)
    await registry.close()
    spoil(path)
    reopened = open_sqlite(path)

    with pytest.raises(RegistryUnavailable):
        await look(reopened, lambda uow: uow.attempts.list())

    await reopened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs a file system of its own, which only root can mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def fill(registry: SQLRegistry) -> int:
    """Store attempts until the disk is full, and tell how many were acknowledged."""
    stored = 0
    while stored < 10_000:
        try:
            await note(registry, stored)
        except RegistryUnavailable:
            return stored
        stored += 1
    raise AssertionError("the disk is not small")


async def test_security_S4_a_full_disk_is_survived_without_a_restart(small_disk: Path) -> None:
    registry = open_sqlite(make_database(small_disk / "registry.db"))
    await prepare(registry)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))

    stored = await fill(registry)
    with pytest.raises(RegistryUnavailable):
        await add(registry, "x" * 60_000)

    assert await names(registry) == ["pump-0"]
    assert len(await look(registry, lambda uow: uow.attempts.list())) == stored > 0
    ballast.unlink()
    await add(registry, "pump-1")
    assert await names(registry) == ["pump-0", "pump-1"]
    await registry.close()


async def test_security_S4_a_disk_that_fills_up_under_many_units_loses_none_acknowledged(
    small_disk: Path,
) -> None:
    registry = open_sqlite(make_database(small_disk / "registry.db"))
    await prepare(registry)

    outcomes = await asyncio.gather(
        *[note(registry, number) for number in range(1_000)],
        return_exceptions=True,
    )

    acknowledged = {number for number, each in enumerate(outcomes) if each is None}
    assert {type(each) for each in outcomes if each is not None} == {RegistryUnavailable}
    found = await look(registry, lambda uow: uow.attempts.list())
    assert {int(each.attempt_id, 16) for each in found} == acknowledged
    await registry.close()


async def test_a_disk_that_cannot_be_written_is_used_again_once_it_can(small_disk: Path) -> None:
    registry = open_sqlite(make_database(small_disk / "registry.db"))
    await prepare(registry)
    await registry.close()
    remount(small_disk, "ro")
    reopened = open_sqlite(small_disk / "registry.db")

    with pytest.raises(RegistryUnavailable):
        await add(reopened, "lost")

    remount(small_disk, "rw")
    await add(reopened, "pump-1")
    assert await names(reopened) == ["pump-0", "pump-1"]
    await reopened.close()


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)
