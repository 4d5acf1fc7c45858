"""enroll issuer: the CAs of this installation, and putting new ones in their place."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from cryptography.hazmat.primitives import hashes

from ca.authorities import crossing
from ca.keys.software import KeyKind
from ca.succession import NEXT, AuthorityRecord, AuthorityState, Phase, Succession
from enroll.failures import NotFound
from enroll.policy.keys import algorithm_of
from server.authorities import read_certificate, read_succession
from server.cli.office import Office, actor, current_home, work
from server.cli.output import Data, Format, Output, Yes, confirm, say, show, show_all, when
from server.config.load import load_config
from server.home import Home
from server.rollover import Rollover

app = typer.Typer(no_args_is_help=True, help="The CAs of this installation, and their successors.")
rollover = typer.Typer(
    no_args_is_help=True,
    help="Put new CAs in the place of the old: prepare, publish, activate, retire.",
)
app.add_typer(rollover, name="rollover")

Step = Callable[[Rollover], Awaitable[Succession]]


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List all CAs, the oldest first."""
    home = current_home(context)
    rows = [_row(home, each) for each in read_succession(home).records]
    show_all(rows, ("name", "kind", "state", "key_algorithm", "not_after", "subject"), output)


@app.command("show")
def show_issuer(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As 'issuer list' tells.")],
    output: Output = Format.TEXT,
) -> None:
    """Show one CA: its certificate, its files, and the addresses that certificates name."""
    home = current_home(context)
    succession = read_succession(home)
    record = succession.named(name)
    if record is None:
        raise NotFound(f"there is no issuer {name!r}; see 'enroll issuer list'")
    url = load_config(home.configuration).server.public_http_url
    data = {
        **_row(home, record),
        "above": record.above,
        "follows": record.follows,
        "followed_by": succession.successors().get(name),
        "certificate": str(home.ca_certificate(name)),
        "key": str(home.ca_key(name)),
        "key_is_here": home.ca_key(name).exists(),
        "cross_certificates": [
            str(home.cross_certificate(certified, by))
            for certified, by in crossing(succession)
            if certified == name
        ],
        "certificate_url": f"{url}/ca/{name}.crt",
        "crl_url": f"{url}/crl/{name}.crl",
    }
    show(data, output)


@rollover.command()
def status(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Tell how far the rollover has come, and what to do next."""

    async def look(office: Office) -> Data:
        return _status(Rollover(office, actor()), read_succession(office.home))

    show(work(context, look), output)


@rollover.command()
def prepare(
    context: typer.Context,
    keep_root: Annotated[
        bool, typer.Option("--keep-root", help="Make a new issuing CA only, under the same root.")
    ] = False,
    key_algorithm: Annotated[
        KeyKind | None,
        typer.Option(
            "--key-algorithm",
            metavar="ALGORITHM",
            help="What key the new issuing CA has, as in 'enroll init'; else as the present one.",
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Make the new CA: a root, certificates across both roots, an issuing CA. Nobody sees it yet.

    The key of the present root has to be on this machine.
    """

    async def run(rolling: Rollover) -> Succession:
        try:
            return await rolling.prepare(new_root=not keep_root, key_algorithm=key_algorithm)
        except ValueError as error:
            raise typer.BadParameter(f"--key-algorithm: {error}") from error

    _take(context, run, output)


@rollover.command()
def publish(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Show the new CA beside the present one: in /cacerts, /roots.pem and /ca."""
    _take(context, Rollover.publish, output)


@rollover.command()
def activate(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Issue with the new CA from now on, the server's own certificates too."""
    _take(context, Rollover.activate, output)


@rollover.command()
def retire(
    context: typer.Context,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Even if devices hold certificates of the old CA."),
    ] = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the old CA no more, and take its certificates no more. Its revocation lists go on."""
    confirm("Who knows only the old root can then reach nobody under the new. Go on?", yes=yes)

    async def run(rolling: Rollover) -> Succession:
        return await rolling.retire(abandon=abandon)

    _take(context, run, output)


def _take(context: typer.Context, step: Step, output: Format) -> None:
    """Take one step, and tell what comes after it."""

    async def run(office: Office) -> Data:
        rolling = Rollover(office, actor())
        return _status(rolling, await step(rolling))

    data = work(context, run)
    show(data, output)
    if output is Format.TEXT:
        say("A running server follows within a second.")


def _status(rolling: Rollover, succession: Succession) -> Data:
    states = {
        "issuing": AuthorityState.ACTIVE,
        "next": AuthorityState.PUBLISHED
        if succession.phase is not Phase.PREPARED
        else AuthorityState.PREPARED,
        "old": AuthorityState.SUCCEEDED,
    }
    left = rolling.remaining(succession)
    return {
        "phase": succession.phase.value,
        **{
            key: [each.name for each in succession.records if each.state is state]
            for key, state in states.items()
        },
        "certificates_of_the_old": left.count,
        "the_last_until": when(left.until),
        "what_next": NEXT[succession.phase],
    }


def _row(home: Home, record: AuthorityRecord) -> dict[str, object]:
    certificate = read_certificate(home.ca_certificate(record.name))
    algorithm = algorithm_of(certificate.public_key())
    return {
        "name": record.name,
        "kind": record.kind.value,
        "state": record.state.value,
        "key_algorithm": algorithm.value if algorithm else None,
        "subject": certificate.subject.rfc4514_string(),
        "serial_number": f"{certificate.serial_number:x}",
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_before": when(certificate.not_valid_before_utc),
        "not_after": when(certificate.not_valid_after_utc),
    }
