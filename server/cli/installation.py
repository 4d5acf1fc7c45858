"""enroll init, serve, run and check: the verbs about an installation as a whole."""

import asyncio
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ca.keys.software import KeyKind
from server.checkup import Finding, examine
from server.cli.office import current_home
from server.cli.output import Format, Output, say, show, show_all
from server.config.load import Config, load_config
from server.config.model import parse_address
from server.demo import prepare_demo, reachable
from server.home import Home
from server.initialize import Wishes, initialize
from server.listening import Listening, write_ready_file
from server.process import Introduce, run_server, serve_until_done
from server.supervisor import supervise

Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="A name or address that devices reach the server by, for its TLS certificate; "
        "repeatable. The first also stands in CRL and CA addresses.",
    ),
]
PublicURL = Annotated[
    str | None,
    typer.Option(
        "--public-http-url",
        metavar="URL",
        help="What CRL and CA addresses in certificates start with; else http:// with the first "
        "host, port 8080.",
    ),
]
HTTPS = Annotated[
    str | None,
    typer.Option(
        "--https", metavar="HOST:PORT", help="Where devices speak EST, and SCEP, with TLS."
    ),
]
HTTP = Annotated[
    str | None,
    typer.Option("--http", metavar="HOST:PORT", help="Where SCEP, CRLs and CA certificates are."),
]
Management = Annotated[
    str | None,
    typer.Option("--management", metavar="HOST:PORT", help="Where REST, health and metrics are."),
]
Unix = Annotated[
    str | None,
    typer.Option("--unix", metavar="PATH", help="A socket in plaintext, for a proxy on this host."),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=256,
        help="How many processes serve; one for each core, with PostgreSQL.",
    ),
]
KeyAlgorithm = Annotated[
    KeyKind,
    typer.Option(
        "--key-algorithm",
        metavar="ALGORITHM",
        help="The issuing CA's key: p-256, p-384, rsa-3072, rsa-4096, ed25519, ml-dsa-44, "
        "ml-dsa-65 or ml-dsa-87; the root's is as strong, or stronger.",
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file", metavar="FILE", help="Written, with the addresses, when all accept."
    ),
]


def init(
    context: typer.Context,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="What the CA is called in its certificates.")
    ] = "Enrollment",
    host: Hosts = None,
    public_http_url: PublicURL = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the registry is to be; else registry.db in the home."
        ),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its first line opens the keys; without it, one is made beside the keys.",
        ),
    ] = None,
    key_algorithm: KeyAlgorithm = KeyKind.P_256,
    output: Output = Format.TEXT,
) -> None:
    """Make an installation: keys, CA, database, profiles."""
    home = current_home(context)
    wishes = Wishes(
        name=name,
        hosts=tuple(host or ()),
        public_http_url=public_http_url,
        database=database,
        passphrase_file=passphrase_file,
        key_algorithm=key_algorithm,
    )
    made = asyncio.run(initialize(home, wishes))
    show(made.data(), output)
    say("The admin key is shown this once; it is kept as a digest only.")
    say(f"Next: {_command(home)} serve, and: {_command(home)} device add NAME")


def serve(
    context: typer.Context,
    dev: Annotated[
        bool, typer.Option("--dev", help="Use a throw-away home, gone at the end.")
    ] = False,
    https: HTTPS = None,
    http: HTTP = None,
    management: Management = None,
    unix: Unix = None,
    ready_file: ReadyFile = None,
    workers: Workers = 1,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Running requests finish first. SIGHUP reads the configuration and TLS certificates anew.
    Addresses are those of enroll.toml unless given here; an empty
    one switches a listener off, and port 0 takes a free port.
    """
    overrides = {"https": https, "http": http, "management": management, "unix": unix}
    if dev:
        with tempfile.TemporaryDirectory(prefix="enroll-dev-") as folder:
            home = Home(Path(folder) / "home")
            made = asyncio.run(initialize(home, Wishes()))
            say(f"A throw-away home at {home.path}, root {made.root_fingerprint}")
            _serve(home, overrides, ready_file, workers=workers)
        return
    _serve(current_home(context), overrides, ready_file, workers=workers)


def run(
    context: typer.Context,
    https: HTTPS = None,
    http: HTTP = None,
    management: Management = None,
    ready_file: ReadyFile = None,
) -> None:
    """Begin at once: a home, a demo device, and a server.

    Makes the home if there is none. Prints the root's fingerprint, the addresses, and lines to
    paste into another terminal that take the demo device through its life.
    """
    home = current_home(context)
    overrides = {"https": https, "http": http, "management": management, "unix": None}
    _check_addresses(overrides)
    if not home.exists:
        # What is issued names the address at which its CRL will be.
        known = http and parse_address(http)[1]
        wishes = Wishes(public_http_url=f"http://{reachable(http)}" if http and known else None)
        made = asyncio.run(initialize(home, wishes))
        say(f"Made {made.home}")
    config = load_config(home.configuration)

    async def introduce(listening: Listening) -> None:
        sys.stdout.write(await prepare_demo(home, config, listening, _command(home)))
        sys.stdout.flush()

    _serve(home, overrides, ready_file, introduce)


def check(context: typer.Context, output: Output = Format.TEXT) -> None:
    """Look whether all is well, without serving.

    Looks at configuration, keys, database, clock, CRL age, CA expiry and TLS chain. Ends with 1
    if anything is wrong; warnings alone do not count.
    """
    home = current_home(context)
    findings = examine(home)
    rows = [{"check": each.name, "result": each.result, "detail": each.detail} for each in findings]
    show_all(rows, ("check", "result", "detail"), output)
    if any(each.result == Finding.WRONG for each in findings):
        raise typer.Exit(1)


def _command(home: Home) -> str:
    """Write how to call this very command on this home from anywhere, for a shell."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "enroll":
        words = [sys.executable, "-m", "server.cli"]
    elif shutil.which("enroll") == str(called):
        words = ["enroll"]
    else:
        words = [str(called)]
    return shlex.join([*words, "--home", str(home.path)])


def _check_addresses(overrides: dict[str, str | None]) -> None:
    for key in ("https", "http", "management"):
        try:
            parse_address(overrides[key] or "localhost:0")
        except ValueError as error:
            raise typer.BadParameter(f"--{key}: {error}") from error


def _serve(
    home: Home,
    overrides: dict[str, str | None],
    ready_file: Path | None,
    introduce: Introduce | None = None,
    *,
    workers: int = 1,
) -> None:
    _check_addresses(overrides)
    wanted = {key: value for key, value in overrides.items() if value is not None}

    def read_config() -> Config:
        return load_config(home.configuration, wanted)

    def announce(listening: Listening) -> None:
        if ready_file is not None:
            write_ready_file(ready_file, listening)

    if workers > 1:
        supervise(home, read_config(), workers, announce)
        return

    async def ready(listening: Listening) -> None:
        announce(listening)
        if introduce is not None:
            await introduce(listening)

    serve_until_done(run_server(home, read_config, ready))
