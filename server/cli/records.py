"""enroll attempts, and enroll audit: verify, export."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TextIO

import typer

from enroll.events import Attempt
from server.cli.office import Office, current_home, work
from server.cli.output import Data, Format, Output, say, show, show_all, when
from server.cli.values import parse_duration
from server.clock import SystemClock
from server.config.load import load_config
from server.wiring import export_audit, verify_audit

audit = typer.Typer(no_args_is_help=True, help="The audit log: verify it, export it.")


def attempts(
    context: typer.Context,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only the last: 30m, 1h, 7d.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the newest so many.")
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show enrollment attempts, newest first, and why they ended so.

    As JSON, each comes with the trace of its decision, check by check.
    """
    lookback = parse_duration(since) if since else None

    async def run(office: Office) -> list[Data]:
        start = SystemClock().now() - lookback if lookback is not None else None
        async with office.registry.unit_of_work() as uow:
            found = await uow.attempts.list(denied_only=denied, since=start, limit=limit)
        return [_data(each) for each in found]

    rows = work(context, run)
    columns = ("time", "operation", "profile", "device", "outcome", "finding", "detail")
    show_all(rows, columns, output)


@audit.command()
def verify(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Check every row of the audit log against its chain, its seal and the checkpoints.

    Ends with 1, naming each row at fault, if one was edited, deleted, reordered, inserted or cut.
    """
    home = current_home(context)
    report = verify_audit(home, load_config(home.configuration))
    faults = [
        {"stream": each.stream, "number": each.number, "kind": each.kind, "detail": each.detail}
        for each in report.faults
    ]
    if output is Format.JSON:
        show({"ok": not faults, "events": report.events, "faults": faults}, output)
    elif faults:
        show_all(faults, ("stream", "number", "kind", "detail"), output)
    say(f"{report.events} events verified, {len(faults)} at fault")
    if faults:
        raise typer.Exit(1)


@audit.command()
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; else standard output.")
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Write the audit log, one JSON object a line, in the order of its chains.

    With -o json it is one JSON array.
    """
    home = current_home(context)
    entries = export_audit(home, load_config(home.configuration))
    if file is None:
        count = _write(entries, sys.stdout, output)
    else:
        with file.open("w", encoding="utf-8") as target:
            count = _write(entries, target, output)
    say(f"{count} events exported")


def _write(entries: Iterable[Data], target: TextIO, output: Format) -> int:
    """Write entry by entry: the log may be larger than memory."""
    array = output is Format.JSON
    count = 0
    target.write("[" if array else "")
    for count, entry in enumerate(entries, 1):
        before = "" if not array else "\n" if count == 1 else ",\n"
        target.write(f"{before}{json.dumps(entry, sort_keys=True)}{'' if array else chr(10)}")
    target.write("\n]\n" if array else "")
    return count


def _data(attempt: Attempt) -> Data:
    return {
        "id": attempt.attempt_id,
        "time": when(attempt.occurred_at),
        "protocol": attempt.protocol,
        "operation": attempt.operation,
        "profile": attempt.profile,
        "peer_address": attempt.peer_address,
        "device": attempt.device_name,
        "device_id": attempt.device_id,
        "outcome": attempt.outcome.value,
        "reason": attempt.reason,
        "finding": attempt.finding,
        "detail": attempt.detail,
        "serial_number": attempt.serial_number,
        "request_sha256": attempt.request_sha256,
        "spki_sha256": attempt.spki_sha256,
        "client_certificate_sha256": attempt.client_certificate_sha256,
        "registration_authority": attempt.registration_authority,
        "latency_ms": attempt.latency_us / 1000,
        "trace": [
            {"check": each.name, "passed": each.passed, "note": each.note} for each in attempt.trace
        ],
    }
