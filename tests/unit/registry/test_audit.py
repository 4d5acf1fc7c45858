"""The audit verifier: what was done to a row is found, and named by stream and number."""

import threading
from typing import Any

import pytest

from enroll.failures import RegistryUnavailable
from registry.audit import CHECKPOINT_BROKEN
from registry.chain import COLUMNS, Head, seal
from registry.chain_walk import CUT, DELETED, EDITED, INSERTED, REORDERED, SEAL_BROKEN
from tests.support.audit_log import CHECKPOINTED, CLI, LENGTHS, MAIN, WORKER, AuditLog, rehashed
from tests.support.builders import a_hash, an_event
from tests.support.registries import SEAL_KEY, open_sqlite, store

LAST = LENGTHS[MAIN]
TEXT_COLUMNS = sorted({*COLUMNS, "hash"} - {"stream", "number"})
OTHER_VALUES: dict[str, tuple[object, ...]] = {
    "occurred_at": ("2026-11-24T12:03:00.000001+00:00", ""),
    "name": ("device.reset", "device.registered "),
    "device_id": ("00000000-0000-0000-0000-000000000000", ""),
    "actor": ("cli:nobody", b"\x00\xff", 7),
    "correlation_id": (None, "", "main-0"),
    "facts": ("{}", '{"number":1}', 1.5),
    "previous_hash": (a_hash("another"), "", b"\xff"),
    "hash": (a_hash("another"), "", 0),
}


def everywhere(*numbers: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("number", numbers)


@pytest.mark.parametrize("column", TEXT_COLUMNS)
@everywhere(1, 2, 5, LAST - 1, LAST)
def test_security_S25_an_edited_column_is_found_and_nothing_else(
    log: AuditLog, column: str, number: int
) -> None:
    for value in OTHER_VALUES[column]:
        before = log.row(MAIN, number)
        if before[column] == value:
            continue

        log.change(MAIN, number, **{column: value})

        assert log.faults() == [(MAIN, number, EDITED)], value
        log.change(MAIN, number, **{column: before[column]})


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_security_S25_a_column_that_is_no_text_any_more_is_found(
    log: AuditLog, column: str
) -> None:
    with log.tamper() as database:
        database.execute(
            f"UPDATE events SET {column} = CAST(x'ff00fe' AS TEXT) "  # noqa: S608 - one of our columns
            "WHERE stream = 'main' AND number = 5"
        )

    assert log.faults() == [(MAIN, 5, EDITED)]


@everywhere(1, 2, 5, LAST - 1, LAST)
def test_security_S25_an_edited_row_with_a_hash_to_match_is_found(
    log: AuditLog, number: int
) -> None:
    forged = rehashed(log.row(MAIN, number), actor="cli:nobody")

    log.change(MAIN, number, **forged)

    assert log.faults() == [(MAIN, number, EDITED)]


def test_security_S25_an_edit_with_all_later_hashes_to_match_is_found(log: AuditLog) -> None:
    """Who has only the database can make all hashes anew; the seal and the checkpoints remain."""
    previous = log.row(MAIN, 2)["hash"]
    for number in range(3, LAST + 1):
        forged = rehashed(log.row(MAIN, number), previous_hash=previous, actor="cli:nobody")
        log.change(MAIN, number, **forged)
        previous = forged["hash"]

    faults = log.faults()

    assert (MAIN, LAST, EDITED) in faults
    assert (MAIN, CHECKPOINTED[MAIN], EDITED) in faults
    assert {(stream, kind) for stream, _, kind in faults} == {(MAIN, EDITED)}
    assert min(number for _, number, _ in faults) >= 3


@everywhere(1, 2, 5, LAST - 1)
def test_security_S25_a_deleted_row_is_found(log: AuditLog, number: int) -> None:
    log.delete(MAIN, number)

    assert log.faults() == [(MAIN, number, DELETED)]


def test_security_S25_several_deleted_rows_are_each_found(log: AuditLog) -> None:
    log.delete(MAIN, 1, 2, 5, 7, 8)

    assert log.faults() == [(MAIN, number, DELETED) for number in (1, 2, 5, 7, 8)]


@pytest.mark.parametrize("count", [1, 2, LAST - 1, LAST])
def test_security_S25_a_cut_tail_is_found(log: AuditLog, count: int) -> None:
    numbers = range(LAST - count + 1, LAST + 1)

    log.delete(MAIN, *numbers)

    assert log.faults() == [(MAIN, number, CUT) for number in numbers]


def test_security_S25_a_deletion_hidden_by_new_numbers_is_found(log: AuditLog) -> None:
    log.delete(MAIN, 5)
    log.shift(MAIN, 6, -1)

    assert log.faults() == [
        *[(MAIN, number, REORDERED) for number in range(5, LAST)],
        (MAIN, LAST, REORDERED),
    ]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 2), (5, 6), (LAST - 1, LAST), (3, 5), (1, LAST), (2, LAST - 1)]
)
def test_security_S25_swapped_rows_are_found(log: AuditLog, one: int, other: int) -> None:
    first, second = log.row(MAIN, one), log.row(MAIN, other)
    log.change(MAIN, one, **{**second, "number": -1})
    log.change(MAIN, other, **{**first, "number": other})
    log.change(MAIN, -1, number=one)

    assert log.faults() == [(MAIN, one, REORDERED), (MAIN, other, REORDERED)]


def test_security_S25_rows_in_opposite_order_are_found(log: AuditLog) -> None:
    with log.tamper() as database:
        database.execute("UPDATE events SET number = -number WHERE stream = 'main'")
        database.execute("UPDATE events SET number = ? + number WHERE stream = 'main'", (LAST + 1,))

    assert log.faults() == [(MAIN, number, REORDERED) for number in range(1, LAST + 1)]


@pytest.mark.parametrize("other", [-1, 0, LAST + 1, LAST + 100, 2**62])
def test_security_S25_a_row_under_another_number_is_found(log: AuditLog, other: int) -> None:
    log.change(MAIN, 5, number=other)

    faults = log.faults()

    assert {number for _, number, _ in faults} == {5, other}
    assert (MAIN, 5, DELETED if other < 1 else REORDERED) in faults


def test_security_S25_a_row_under_another_stream_is_found(log: AuditLog) -> None:
    log.change(MAIN, 5, stream=CLI)

    assert log.faults() == [(CLI, 5, INSERTED), (MAIN, 5, DELETED)]


def test_security_S25_a_row_under_a_stream_of_its_own_is_found(log: AuditLog) -> None:
    log.change(MAIN, 5, stream="another")

    assert log.faults() == [("another", 5, INSERTED), (MAIN, 5, DELETED)]


@pytest.mark.parametrize("forgery", ["garbage", "copy", "chained"])
def test_security_S25_a_row_inserted_at_the_end_is_found(log: AuditLog, forgery: str) -> None:
    log.insert(forged_row(log, forgery, LAST + 1))

    assert log.faults() == [(MAIN, LAST + 1, INSERTED)]


@pytest.mark.parametrize("forgery", ["garbage", "copy", "chained"])
@everywhere(1, 2, 5, LAST)
def test_security_S25_a_row_inserted_between_others_is_found(
    log: AuditLog, forgery: str, number: int
) -> None:
    row = forged_row(log, forgery, number)
    log.shift(MAIN, number, 1)

    log.insert(row)

    faults = log.faults()
    assert (MAIN, number, INSERTED) in faults
    assert {each for _, each, _ in faults} == set(range(number, LAST + 2))
    assert {(stream, kind) for stream, each, kind in faults if each > number} == {(MAIN, REORDERED)}


def test_security_S25_several_rows_inserted_between_others_are_each_found(log: AuditLog) -> None:
    first = forged_row(log, "chained", 5)
    second = rehashed(first, number=6, previous_hash=first["hash"])
    log.shift(MAIN, 5, 2)

    log.insert(first)
    log.insert(second)

    faults = log.faults()
    assert [(number, kind) for _, number, kind in faults if kind == INSERTED] == [
        (5, INSERTED),
        (6, INSERTED),
    ]
    assert {number for _, number, _ in faults} == set(range(5, LAST + 3))


@pytest.mark.parametrize("number", [2.5, "five", b"\xff", LAST + 0.5])
def test_security_S25_a_row_inserted_under_no_number_is_found(
    log: AuditLog, number: object
) -> None:
    row = {**log.row(MAIN, 5), "number": number}

    log.insert(row)

    (fault,) = log.faults()
    assert fault == (MAIN, int(number) if isinstance(number, float) else 0, INSERTED)


def test_security_S25_a_chain_of_rows_that_nobody_sealed_is_found(log: AuditLog) -> None:
    row = rehashed(log.row(MAIN, 1), stream="another")

    log.insert(row)

    assert log.faults() == [("another", 1, SEAL_BROKEN)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hash", a_hash("another")),
        ("number", LAST - 1),
        ("number", LAST + 5),
        ("seal", a_hash("another")),
        ("seal", "ä"),
        ("seal", b"\xff"),
        ("hash", b"\xff"),
        ("number", "many"),
    ],
)
def test_security_S25_an_edited_head_is_found(log: AuditLog, column: str, value: object) -> None:
    with log.tamper() as database:
        database.execute(
            f"UPDATE event_streams SET {column} = ? WHERE stream = 'main'",  # noqa: S608 - one of our columns
            (value,),
        )

    number = LAST if column != "number" else value if isinstance(value, int) else 0
    assert log.faults() == [(MAIN, number, SEAL_BROKEN)]


def test_security_S25_a_head_that_is_gone_is_found(log: AuditLog) -> None:
    with log.tamper() as database:
        database.execute("DELETE FROM event_streams WHERE stream = 'cli'")
        database.execute("DELETE FROM event_streams WHERE stream = 'main'")

    assert log.faults() == [(CLI, LENGTHS[CLI], SEAL_BROKEN), (MAIN, LAST, SEAL_BROKEN)]


def test_security_S25_a_head_of_another_stream_is_found(log: AuditLog) -> None:
    with log.tamper() as database:
        database.execute(
            "UPDATE event_streams SET (number, hash, seal) = "
            "(SELECT number, hash, seal FROM event_streams WHERE stream = 'cli') "
            "WHERE stream = 'main'"
        )

    assert (MAIN, LENGTHS[CLI], SEAL_BROKEN) in log.faults()


def test_security_S25_a_cut_tail_with_a_head_from_before_is_found(log: AuditLog) -> None:
    """The older head is well sealed: only the checkpoints know better."""
    put_back_head(log, 8)
    log.delete(MAIN, *range(9, LAST + 1))

    assert log.faults() == [(MAIN, 8, SEAL_BROKEN), (MAIN, 9, CUT)]


def test_security_S25_a_head_from_before_is_found_where_the_rows_are_left(log: AuditLog) -> None:
    put_back_head(log, 8)

    assert log.faults() == [(MAIN, 8, SEAL_BROKEN)]


def test_security_S25_a_whole_stream_that_is_gone_is_found(log: AuditLog) -> None:
    log.delete(CLI, *range(1, LENGTHS[CLI] + 1))
    with log.tamper() as database:
        database.execute("DELETE FROM event_streams WHERE stream = 'cli'")

    assert log.faults() == [(CLI, number, CUT) for number in range(1, CHECKPOINTED[CLI] + 1)]


def test_security_S25_a_log_begun_anew_by_who_has_the_seal_key_is_found(log: AuditLog) -> None:
    """The key of the seal may be known: the checkpoints' key still is not."""
    forged = rehashed(log.row(MAIN, 1), actor="cli:nobody")
    log.delete(MAIN, *range(1, LAST + 1))
    log.insert(forged)
    head = Head(number=1, hash=forged["hash"])
    with log.tamper() as database:
        database.execute(
            "UPDATE event_streams SET number = ?, hash = ?, seal = ? WHERE stream = 'main'",
            (head.number, head.hash, seal(SEAL_KEY, MAIN, head)),
        )

    faults = log.faults()

    assert {number for _, number, _ in faults} == set(range(1, CHECKPOINTED[MAIN] + 1))


def test_security_S25_faults_in_several_streams_are_each_named(log: AuditLog) -> None:
    log.change(CLI, 2, actor="cli:nobody")
    log.delete(MAIN, 3)
    log.delete(WORKER, 1)

    assert log.faults() == [(CLI, 2, EDITED), (MAIN, 3, DELETED), (WORKER, 1, CUT)]


def test_security_S25_several_faults_in_one_stream_are_each_named(log: AuditLog) -> None:
    log.change(MAIN, 2, actor="cli:nobody")
    log.delete(MAIN, 4)
    log.change(MAIN, 6, hash=a_hash("another"))
    log.change(MAIN, 7, **rehashed(log.row(MAIN, 7), facts="{}"))
    log.delete(MAIN, LAST)

    assert log.faults() == [
        (MAIN, 2, EDITED),
        (MAIN, 4, DELETED),
        (MAIN, 6, EDITED),
        (MAIN, 7, EDITED),
        (MAIN, LAST, CUT),
    ]


def test_another_seal_key_fits_no_head(log: AuditLog) -> None:
    faults = log.verify(seal_key=b"another key").faults

    assert [(each.stream, each.number, each.kind) for each in faults] == [
        (stream, LENGTHS[stream], SEAL_BROKEN) for stream in (CLI, MAIN, WORKER)
    ]


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("how", ["edited", "garbage", "octets", "nested", "no heads", "empty"])
def test_security_S25_a_forged_checkpoint_is_found(log: AuditLog, line: int, how: str) -> None:
    lines = log.checkpoints.read_bytes().splitlines()
    forged = {
        "edited": lines[line - 1].replace(b'"main": {"hash": "', b'"main": {"hash": "0'),
        "garbage": b"{}",
        "octets": b"\xff\x00\xfe",
        "nested": b"[" * 200_000,
        "no heads": b'{"signature": "AAAA"}',
        "empty": b"",
    }
    lines[line - 1] = forged[how]

    log.checkpoints.write_bytes(b"\n".join([*lines, b""]))

    assert log.faults() == [("", line, CHECKPOINT_BROKEN)]


@pytest.mark.parametrize("line", [1, 2])
def test_security_S25_a_removed_checkpoint_is_found(log: AuditLog, line: int) -> None:
    """The line that is now in its place follows another one."""
    lines = log.checkpoints.read_bytes().splitlines(keepends=True)
    del lines[line - 1]

    log.checkpoints.write_bytes(b"".join(lines))

    assert log.faults() == [("", line, CHECKPOINT_BROKEN)]


def test_security_S25_checkpoints_in_another_order_are_found(log: AuditLog) -> None:
    lines = log.checkpoints.read_bytes().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]

    log.checkpoints.write_bytes(b"".join(lines))

    faults = log.faults()
    assert {(stream, kind) for stream, _, kind in faults} == {("", CHECKPOINT_BROKEN)}
    assert {2, 3} <= {number for _, number, _ in faults}


def test_security_S25_a_checkpoint_that_is_there_twice_is_found(log: AuditLog) -> None:
    lines = log.checkpoints.read_bytes().splitlines(keepends=True)

    log.checkpoints.write_bytes(b"".join([*lines, lines[-1]]))

    assert log.faults() == [("", 4, CHECKPOINT_BROKEN)]


def test_an_edited_row_is_found_without_any_checkpoint(log: AuditLog) -> None:
    log.checkpoints.unlink()
    log.change(MAIN, 5, actor="cli:nobody")

    assert log.faults() == [(MAIN, 5, EDITED)]


def test_a_gap_of_any_size_is_reported_in_bounds(log: AuditLog) -> None:
    head = Head(number=2**62, hash=a_hash("far away"))
    with log.tamper() as database:
        database.execute(
            "UPDATE event_streams SET number = ?, hash = ?, seal = ? WHERE stream = 'main'",
            (head.number, head.hash, seal(SEAL_KEY, MAIN, head)),
        )

    faults = log.faults()

    assert len(faults) == 1_000
    assert faults[0] == (MAIN, LAST + 1, CUT)


def test_a_database_that_is_none_cannot_be_verified(log: AuditLog) -> None:
    log.database.write_bytes(b"no database" * 1_000)

    with pytest.raises(RegistryUnavailable):
        log.verify()


def test_a_clean_log_of_several_streams_verifies(log: AuditLog) -> None:
    report = log.verify()

    assert report.faults == []
    assert report.events == sum(LENGTHS.values())


def test_a_clean_log_verifies_without_any_checkpoint(log: AuditLog) -> None:
    log.checkpoints.unlink()

    assert log.faults() == []


async def test_a_log_that_went_on_verifies(log: AuditLog) -> None:
    registry = open_sqlite(log.database, stream=MAIN)
    for _ in range(3):
        await store(registry, lambda uow: uow.events.append(an_event()))
    await registry.close()

    report = log.verify()

    assert report.faults == []
    assert report.events == sum(LENGTHS.values()) + 3


async def test_a_log_that_is_being_written_verifies(log: AuditLog) -> None:
    """The verifier sees one moment: what is written behind its back is no fault."""
    found: list[object] = []
    written = threading.Event()

    def verify() -> None:
        while not written.is_set():
            found.extend(log.verify().faults)

    verifier = threading.Thread(target=verify)
    registry = open_sqlite(log.database, stream=MAIN)
    verifier.start()
    try:
        for _ in range(40):
            await store(registry, lambda uow: uow.events.append(an_event()))
    finally:
        written.set()
        verifier.join()
        await registry.close()

    assert found == []


def forged_row(log: AuditLog, forgery: str, number: int) -> dict[str, Any]:
    """Make a row for a place: garbage, a copy of the row before, or one that follows it."""
    before = number - 1 or 2
    row = {**log.row(MAIN, before), "number": number}
    match forgery:
        case "garbage":
            return {**row, "actor": "cli:nobody", "hash": a_hash("garbage")}
        case "copy":
            return row
        case _:
            previous = log.row(MAIN, before)["hash"] if number > 1 else "0" * 64
            return rehashed(row, previous_hash=previous, actor="cli:nobody")


def put_back_head(log: AuditLog, number: int) -> None:
    """Restore the head as it was, well sealed, when the log was this long."""
    head = Head(number=number, hash=log.row(MAIN, number)["hash"])
    with log.tamper() as database:
        database.execute(
            "UPDATE event_streams SET number = ?, hash = ?, seal = ? WHERE stream = 'main'",
            (head.number, head.hash, seal(SEAL_KEY, MAIN, head)),
        )
