"""enroll key: add, list, revoke."""

from datetime import datetime
from typing import Annotated

import typer

from enroll.access_keys import Role
from enroll.ports import AccessKey
from server.cli.office import Office, actor, work
from server.cli.output import Data, Format, Output, say, show, show_all, when
from server.cli.values import parse_duration
from server.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Access keys for the management interface (REST).")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to use it.")],
    role: Annotated[Role, typer.Option("--role", help="What its holder may be.")],
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is good: 365d. Else until revoked."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a key, shown once."""
    lifetime = parse_duration(ttl) if ttl else None

    async def run(office: Office) -> Data:
        made = await office.access_keys.make(name, role, lifetime=lifetime, actor=actor())
        return {**_data(made.key, SystemClock().now()), "key": made.clear}

    show(work(context, run), output)
    say("The key is shown this once. Send it as 'Authorization: Bearer KEY'.")


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List all keys, the oldest first."""

    async def run(office: Office) -> list[Data]:
        now = SystemClock().now()
        return [_data(each, now) for each in await office.access_keys.list()]

    columns = ("id", "name", "role", "status", "created_at", "expires_at")
    show_all(work(context, run), columns, output)


@app.command()
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as 'list' gives it.")],
    output: Output = Format.TEXT,
) -> None:
    """End a key at once; a running server refuses it from the next request on."""

    async def run(office: Office) -> Data:
        return _data(await office.access_keys.revoke(key, actor=actor()), SystemClock().now())

    show(work(context, run), output)


def _data(key: AccessKey, now: datetime) -> Data:
    status = "active" if key.is_active(now) else "expired"
    return {
        "id": key.key_id,
        "name": key.name,
        "role": key.role,
        "status": status if key.revoked_at is None else "revoked",
        "created_at": when(key.created_at),
        "expires_at": when(key.expires_at),
        "revoked_at": when(key.revoked_at),
    }
