"""enroll attempts, and enroll audit: verify, export."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from enroll.events import Attempt
from server.cli.office import Office, current_home, work
from server.cli.output import Data, Format, Output, rfc3339, say, show, show_all
from server.cli.values import parse_duration
from server.clock import SystemClock
from server.config.load import load_config
from server.wiring import export_audit, verify_audit

audit = typer.Typer(no_args_is_help=True, help="The audit log: verify it, export it.")


def attempts(
    context: typer.Context,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    since: Annotated[str | None, typer.Option(help="Only the last, such as 1h.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """List enrollment attempts, newest first, each with the trace of its decision."""
    lookback = parse_duration(since) if since else None

    async def run(office: Office) -> list[Data]:
        start = SystemClock().now() - lookback if lookback else None
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
    file: Annotated[Path | None, typer.Option(help="Where to; else standard output.")] = None,
) -> None:
    """Write the audit log as one JSON object a line, in the order of its chains."""
    home = current_home(context)
    config = load_config(home.configuration)
    count = 0
    target = file.open("w", encoding="utf-8") if file else sys.stdout
    try:
        for entry in export_audit(home, config):
            target.write(json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n")
            count += 1
    finally:
        if target is not sys.stdout:
            target.close()
    say(f"{count} events exported")


def _data(attempt: Attempt) -> Data:
    return {
        "id": attempt.attempt_id,
        "time": rfc3339(attempt.occurred_at),
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
        "latency_ms": attempt.latency_us / 1000,
        "trace": [
            {"check": each.name, "passed": each.passed, "note": each.note} for each in attempt.trace
        ],
    }
