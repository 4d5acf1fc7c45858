"""enroll init, serve, run and check: the verbs about an installation as a whole."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from server.checkup import Finding, examine
from server.cli.office import current_home
from server.cli.output import Format, Output, say, show, show_all
from server.config.load import Config, load_config
from server.config.model import parse_address
from server.demo import prepare_demo
from server.home import Home
from server.initialize import Wishes, initialize
from server.listening import Listening
from server.process import Introduce, run_server

Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help="A name or address in the TLS certificate; repeatable."),
]
HTTPS = Annotated[str | None, typer.Option("--https", metavar="HOST:PORT", help="Device TLS.")]
HTTP = Annotated[str | None, typer.Option("--http", metavar="HOST:PORT", help="Device plain.")]
Management = Annotated[
    str | None, typer.Option("--management", metavar="HOST:PORT", help="Health and metrics.")
]
Unix = Annotated[
    str | None, typer.Option("--unix", metavar="PATH", help="A socket for a proxy on this host.")
]
ReadyFile = Annotated[
    Path | None, typer.Option("--ready-file", help="Written when all listeners accept.")
]


def init(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What the CA is called.")] = "Enrollment",
    host: Hosts = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the registry is to be.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="Its first line opens the keys; without it, one is made in the home."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Make an installation: home, keys, root and issuing CA, database, default profiles."""
    home = current_home(context)
    wishes = Wishes(
        name=name,
        hosts=tuple(host or ()),
        database=database,
        passphrase_file=passphrase_file,
    )
    made = asyncio.run(initialize(home, wishes))
    show(made.data(), output)
    say("The admin key is shown this once; it is kept as a digest only.")
    say(f"Next: enroll --home {home.path} serve, and: enroll device add NAME")


def serve(
    context: typer.Context,
    dev: Annotated[bool, typer.Option("--dev", help="Use a throw-away home.")] = False,
    https: HTTPS = None,
    http: HTTP = None,
    management: Management = None,
    unix: Unix = None,
    ready_file: ReadyFile = None,
) -> None:
    """Serve until SIGTERM, which lets running requests finish, or SIGINT."""
    overrides = {"https": https, "http": http, "management": management, "unix": unix}
    if dev:
        with tempfile.TemporaryDirectory(prefix="enroll-dev-") as folder:
            home = Home(Path(folder) / "home")
            made = asyncio.run(initialize(home, Wishes()))
            say(f"A throw-away home at {home.path}, root {made.root_fingerprint}")
            _serve(home, load_config(home.configuration), overrides, ready_file)
        return
    home = current_home(context)
    _serve(home, load_config(home.configuration), overrides, ready_file)


def run(
    context: typer.Context,
    https: HTTPS = None,
    http: HTTP = None,
    management: Management = None,
    ready_file: ReadyFile = None,
) -> None:
    """Begin at once: make a home if there is none, and a demo device, and serve.

    Prints the root's fingerprint, the addresses and lines to paste into another terminal.
    """
    home = current_home(context)
    if not home.exists:
        made = asyncio.run(initialize(home, Wishes()))
        say(f"Made {made.home}")
    overrides = {"https": https, "http": http, "management": management, "unix": None}
    config = load_config(home.configuration)

    async def introduce(listening: Listening) -> None:
        say(await prepare_demo(home, config, listening))

    _serve(home, config, overrides, ready_file, introduce)


def check(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Look at configuration, keys, database, clock, CRL age, CA expiry and TLS chain.

    Ends with 1 if anything is wrong; warnings alone do not count.
    """
    home = current_home(context)
    findings = examine(home)
    rows = [{"check": each.name, "result": each.result, "detail": each.detail} for each in findings]
    show_all(rows, ("check", "result", "detail"), output)
    if any(each.result == Finding.WRONG for each in findings):
        raise typer.Exit(1)


def _serve(
    home: Home,
    config: Config,
    overrides: dict[str, str | None],
    ready_file: Path | None,
    introduce: Introduce | None = None,
) -> None:
    wanted = {key: value for key, value in overrides.items() if value is not None}
    for key in ("https", "http", "management"):
        if wanted.get(key):
            try:
                parse_address(wanted[key])
            except ValueError as error:
                raise typer.BadParameter(f"--{key}: {error}") from error
    section = config.server.model_copy(update=wanted)
    config = config.model_copy(update={"server": section})
    asyncio.run(run_server(home, config, ready_file, introduce))
