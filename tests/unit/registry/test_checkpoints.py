"""The file of checkpoints: each line signed, each naming the one before, none made for nothing."""

import json
import stat
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enroll.failures import RegistryUnavailable
from registry.chain import Head
from registry.checkpoints import NOT_OURS, OUT_OF_ORDER, CheckpointFile
from registry.engine import open_engine
from tests.support.audit_log import CHECKPOINTED, LENGTHS, AuditLog
from tests.support.builders import an_event
from tests.support.fakes import START
from tests.support.registries import open_sqlite, sqlite_url, store


def heads(log: AuditLog) -> list[dict[str, int]]:
    return [
        {stream: head.number for stream, head in each.heads.items()}
        for each in log.checkpoint_file.read()
    ]


def test_a_line_that_another_key_signed_is_not_ours(log: AuditLog) -> None:
    others = CheckpointFile(log.checkpoints, Ed25519PrivateKey.generate())

    assert [each.fault for each in others.read()] == [NOT_OURS] * 3


def test_heads_of_a_line_that_is_not_ours_are_not_believed(log: AuditLog) -> None:
    first = json.loads(log.checkpoints.read_bytes().splitlines()[0])
    forged = {**first, "heads": {"main": {"number": 99, "hash": "00"}}}
    log.checkpoints.write_bytes(json.dumps(forged).encode() + b"\n")

    (found,) = log.checkpoint_file.read()

    assert found.fault == NOT_OURS
    assert found.heads == {}


def test_a_line_after_one_that_was_removed_is_still_believed(log: AuditLog) -> None:
    lines = log.checkpoints.read_bytes().splitlines(keepends=True)
    log.checkpoints.write_bytes(lines[0] + lines[2])

    _, found = log.checkpoint_file.read()

    assert found.fault == OUT_OF_ORDER
    assert {stream: head.number for stream, head in found.heads.items()} == CHECKPOINTED


def test_a_file_that_is_not_there_has_no_lines(log: AuditLog) -> None:
    log.checkpoints.unlink()

    assert list(log.checkpoint_file.read()) == []


def test_a_database_that_is_gone_is_not_signed(log: AuditLog) -> None:
    log.database.rename(log.database.with_suffix(".old"))
    engine = open_engine("sqlite:////nowhere/registry.db", 5)
    before = log.checkpoints.read_bytes()

    with pytest.raises(RegistryUnavailable):
        log.checkpoint_file.append(engine, START)

    assert log.checkpoints.read_bytes() == before


def test_heads_that_did_not_move_are_not_signed_again(log: AuditLog) -> None:
    log.sign()
    before = log.checkpoints.read_bytes()

    log.sign()

    assert log.checkpoints.read_bytes() == before


@pytest.mark.parametrize("length", [1, 10, 200])
def test_a_line_cut_short_by_a_crash_is_none_and_spoils_none(log: AuditLog, length: int) -> None:
    whole = log.checkpoints.read_bytes()
    log.sign()
    signed = log.checkpoints.read_bytes()
    log.checkpoints.write_bytes(whole + signed[len(whole) :][:length])
    assert log.faults() == []

    log.sign()

    assert log.checkpoints.read_bytes() == signed
    assert log.faults() == []


def test_a_file_that_is_one_line_cut_short_begins_anew(log: AuditLog) -> None:
    log.checkpoints.write_bytes(b'{"at": ')

    log.sign()

    (found,) = log.checkpoint_file.read()
    assert found.fault is None


def test_each_checkpoint_holds_the_heads_of_all_streams(log: AuditLog) -> None:
    log.sign()

    assert heads(log) == [
        {"main": 3},
        {"main": 7, "cli": 3},
        CHECKPOINTED,
        LENGTHS,
    ]
    *_, last = log.checkpoint_file.read()
    assert last.heads["main"] == Head(number=12, hash=log.row("main", 12)["hash"])
    assert [each.fault for each in log.checkpoint_file.read()] == [None] * 4


def test_a_checkpoint_says_when_it_was_made(log: AuditLog) -> None:
    engine = open_engine(sqlite_url(log.database), 5)
    log.checkpoint_file.append(engine, START + timedelta(days=1))
    engine.dispose()

    *_, last = log.checkpoints.read_bytes().splitlines()

    assert json.loads(last)["at"] == "2026-11-25T12:00:00.000000+00:00"


def test_the_file_is_its_owners_alone(log: AuditLog) -> None:
    path = log.checkpoints.parent / "audit" / "checkpoints.jsonl"
    engine = open_engine(sqlite_url(log.database), 5)

    CheckpointFile(path, Ed25519PrivateKey.generate()).append(engine, START)
    engine.dispose()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_checkpoint_is_signed_while_the_log_is_written(log: AuditLog) -> None:
    registry = open_sqlite(log.database, stream="main")
    async with registry.unit_of_work() as uow:
        await uow.devices.list()
        await store(registry, lambda other: other.events.append(an_event()))

        log.sign()
    await registry.close()

    assert heads(log)[-1] == {**LENGTHS, "main": LENGTHS["main"] + 1}
    assert log.faults() == []


def test_a_database_without_events_is_signed_too(log: AuditLog) -> None:
    log.checkpoints.unlink()
    with log.tamper() as database:
        database.execute("DELETE FROM event_streams")
        database.execute("DELETE FROM events")

    log.sign()

    assert heads(log) == [{}]
