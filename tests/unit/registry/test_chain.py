"""The hash chain as it is written: every column counts, and only our own head is built upon."""

import asyncio
import itertools

import pytest

from enroll.failures import RegistryUnavailable
from registry.chain import COLUMNS, Head, entry_hash, seal
from registry.unit_of_work import SQLRegistry
from tests.support.audit_log import CLI, LENGTHS, MAIN, AuditLog
from tests.support.builders import a_device, a_hash, an_event
from tests.support.registries import look, open_sqlite, store

LAST = LENGTHS[MAIN]
ROW: dict[str, object] = {
    "stream": "main",
    "number": 12,
    "occurred_at": "2026-11-24T12:00:00.000000+00:00",
    "name": "device.registered",
    "device_id": None,
    "actor": "cli:operator",
    "correlation_id": "c0ffee",
    "facts": '{"a":1}',
    "previous_hash": a_hash("before"),
}


async def append(registry: SQLRegistry) -> None:
    await store(registry, lambda uow: uow.events.append(an_event()))


async def check_nothing_is_sealed(log: AuditLog) -> None:
    """Check that an event is refused, and what needs no event as well: the log is not whole."""
    registry = open_sqlite(log.database, stream=MAIN)
    try:
        with pytest.raises(RegistryUnavailable, match="audit verify") as refusal:
            await append(registry)
        with pytest.raises(RegistryUnavailable):
            await store(registry, lambda uow: uow.devices.add(a_device("lost")))
        assert refusal.value.retry_after == 60
        assert await look(registry, lambda uow: uow.devices.list()) == []
    finally:
        await registry.close()


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_counts_for_the_hash_of_an_entry(column: str) -> None:
    others = [
        {**ROW, column: value} for value in ("another", "", None, 13, "12") if ROW[column] != value
    ]

    hashes = {entry_hash(row) for row in (ROW, *others)}

    assert len(hashes) == 1 + len(others)


def test_what_moves_from_one_column_to_the_next_changes_the_hash() -> None:
    text = [name for name in COLUMNS if name != "number"]
    rows = [
        {**ROW, one: f"{ROW[one]}{ROW[other]}", other: ""}
        for one, other in itertools.pairwise(text)
    ]

    assert len({entry_hash(row) for row in (ROW, *rows)}) == 1 + len(rows)


def test_columns_that_are_not_of_the_chain_do_not_count() -> None:
    assert entry_hash({**ROW, "hash": "another", "more": 1}) == entry_hash(ROW)


def test_a_seal_is_of_one_head_of_one_stream_by_one_key() -> None:
    head = Head(number=7, hash=a_hash("7"))

    seals = {
        seal(b"key", "main", head),
        seal(b"another key", "main", head),
        seal(b"key", "cli", head),
        seal(b"key", "main", Head(number=8, hash=head.hash)),
        seal(b"key", "main", Head(number=7, hash=a_hash("8"))),
        seal(b"key", "main7", Head(number=7, hash=head.hash)),
    }

    assert len(seals) == 6


async def test_security_S25_a_head_that_was_moved_to_hide_a_cut_is_not_sealed_anew(
    log: AuditLog,
) -> None:
    log.delete(MAIN, LAST)
    with log.tamper() as database:
        database.execute(
            "UPDATE event_streams SET number = ?, hash = ? WHERE stream = 'main'",
            (LAST - 1, log.row(MAIN, LAST - 1)["hash"]),
        )

    await check_nothing_is_sealed(log)

    assert (MAIN, LAST - 1, "seal_broken") in log.faults()


@pytest.mark.parametrize("value", [a_hash("another"), "", "ä", b"\xff", 7])
async def test_security_S25_what_follows_a_broken_seal_is_not_sealed(
    log: AuditLog, value: object
) -> None:
    with log.tamper() as database:
        database.execute("UPDATE event_streams SET seal = ? WHERE stream = 'main'", (value,))

    await check_nothing_is_sealed(log)


async def test_security_S25_rows_behind_the_head_are_not_taken_into_the_chain(
    log: AuditLog,
) -> None:
    log.insert({**log.row(MAIN, LAST), "number": LAST + 1})
    registry = open_sqlite(log.database, stream=MAIN)

    with pytest.raises(RegistryUnavailable):
        await append(registry)

    await registry.close()
    assert log.faults() == [(MAIN, LAST + 1, "inserted")]


async def test_a_head_put_right_again_is_built_upon(log: AuditLog) -> None:
    with log.tamper() as database:
        (before,) = database.execute(
            "SELECT seal FROM event_streams WHERE stream = 'main'"
        ).fetchone()
        database.execute("UPDATE event_streams SET seal = '' WHERE stream = 'main'")
    registry = open_sqlite(log.database, stream=MAIN)
    with pytest.raises(RegistryUnavailable):
        await append(registry)

    with log.tamper() as database:
        database.execute("UPDATE event_streams SET seal = ? WHERE stream = 'main'", (before,))
    await append(registry)

    await registry.close()
    assert log.faults() == []


async def test_another_stream_goes_on_beside_a_broken_one(log: AuditLog) -> None:
    with log.tamper() as database:
        database.execute("UPDATE event_streams SET seal = '' WHERE stream = 'main'")
    registry = open_sqlite(log.database, stream=CLI)

    await append(registry)

    await registry.close()
    assert log.faults() == [(MAIN, LAST, "seal_broken")]


async def test_two_processes_that_write_one_stream_make_one_chain(log: AuditLog) -> None:
    registries = [open_sqlite(log.database, stream=MAIN) for _ in range(2)]

    await asyncio.gather(*[append(registry) for _ in range(30) for registry in registries])

    for registry in registries:
        await registry.close()
    report = log.verify()
    assert report.faults == []
    assert report.events == sum(LENGTHS.values()) + 60
