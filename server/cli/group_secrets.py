"""enroll group secret: add, list, remove."""

from typing import Annotated

import typer

from server.cli.office import Office, actor, work
from server.cli.output import Data, Format, Output, say, show, show_all
from server.cli.policies import group_named, secret_data
from server.cli.values import parse_duration

app = typer.Typer(
    no_args_is_help=True, help="Secrets that the devices of a group share: two at a time."
)

Group = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
COLUMNS = ("id", "created_at", "expires_at")


@app.command()
def add(
    context: typer.Context,
    group: Group,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is good: 90d. Else until removed."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a secret, shown once.

    It goes where a one-time code goes, for profiles that take group_secret, and proves a device
    of the group by its name. Unless the group says group_secret_approval=auto, each first
    certificate waits for 'enroll approval approve'.
    """
    lifetime = parse_duration(ttl) if ttl else None

    async def run(office: Office) -> Data:
        found = group_named(await office.policy(), group)
        made = await office.group_secrets.add(found.group_id, lifetime=lifetime, actor=actor())
        return {"group": made.group.name, **secret_data(made.secret), "secret": made.clear}

    show(work(context, run), output)
    say("The secret is shown this once. Whoever has it can ask in the name of any of the group.")


@app.command("list")
def list_(context: typer.Context, group: Group, output: Output = Format.TEXT) -> None:
    """List a group's secrets by their ids."""

    async def run(office: Office) -> list[Data]:
        found = group_named(await office.policy(), group)
        return [secret_data(each) for each in found.secrets]

    show_all(work(context, run), COLUMNS, output)


@app.command()
def remove(
    context: typer.Context,
    group: Group,
    secret: Annotated[str, typer.Argument(metavar="ID", help="As 'list' gives it.")],
    output: Output = Format.TEXT,
) -> None:
    """Take a secret back; what waits by it is refused from now on."""

    async def run(office: Office) -> list[Data]:
        found = group_named(await office.policy(), group)
        after = await office.group_secrets.remove(found.group_id, secret, actor=actor())
        return [secret_data(each) for each in after.secrets]

    show_all(work(context, run), COLUMNS, output)
