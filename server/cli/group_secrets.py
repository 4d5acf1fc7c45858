"""enroll group secret: add, list, remove."""

from typing import Annotated

import typer

from enroll.group_secrets import SecretTerms, read_reference
from server.cli.office import Office, actor, work
from server.cli.output import Data, Format, Output, say, show, show_all
from server.cli.policies import group_named, secret_data
from server.cli.values import parse_duration, parse_time

app = typer.Typer(
    no_args_is_help=True, help="Secrets that the devices of a group share, and its passcodes."
)

Group = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
COLUMNS = ("id", "reference", "created_at", "not_before", "expires_at", "max_uses", "uses")


@app.command()
def add(
    context: typer.Context,
    group: Group,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What it goes by instead of a device's name: text, or hex:0a1b for any octets.",
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is good: 90d. Else until removed."),
    ] = None,
    not_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="From when it is good. Else from now.")
    ] = None,
    not_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when it is good, instead of --ttl.")
    ] = None,
    uses: Annotated[
        int | None, typer.Option(metavar="N", help="For how many certificates it is good.")
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a secret, shown once.

    It goes where a one-time code goes, for profiles that take group_secret, and proves a device
    of the group by its name. With a reference it is a passcode: it goes by that, and the device is
    the one that the subject of the request names. Unless the group says
    group_secret_approval=auto, each first certificate waits for 'enroll approval approve'.
    """
    terms = SecretTerms(
        reference=read_reference(reference) if reference is not None else None,
        lifetime=parse_duration(ttl) if ttl else None,
        not_before=parse_time(not_before) if not_before else None,
        expires_at=parse_time(not_after) if not_after else None,
        uses=uses,
    )

    async def run(office: Office) -> Data:
        found = group_named(await office.policy(), group)
        made = await office.group_secrets.add(found.group_id, terms, actor=actor())
        return {"group": made.group.name, **secret_data(made.secret), "secret": made.clear}

    show(work(context, run), output)
    say("The secret is shown this once. Whoever has it can ask in the name of any of the group.")


@app.command("list")
def list_(context: typer.Context, group: Group, output: Output = Format.TEXT) -> None:
    """List a group's secrets by their ids, and how often those were used that have a limit."""

    async def run(office: Office) -> list[Data]:
        found = group_named(await office.policy(), group)
        used = await office.group_secrets.uses(found.secrets)
        return [
            {
                **secret_data(each),
                "uses": used[each.secret_id] if each.max_uses is not None else None,
            }
            for each in found.secrets
        ]

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

    show_all(work(context, run), COLUMNS[:-1], output)
