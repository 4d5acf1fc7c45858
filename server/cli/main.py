"""The command `enroll`: its verbs, and how it ends."""

import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from enroll.access_keys import AccessKeyError
from enroll.decryption_keys import DecryptionKeyError
from enroll.failures import (
    AlreadyTaken,
    AuthorityUnavailable,
    ConcurrentChange,
    NotFound,
    Refused,
)
from enroll.group_secrets import GroupSecretError
from enroll.policy.identities import IdentityFormatError
from enroll.policy.profiles import PolicyError
from enroll.registration import RegistrationError
from server.cli import (
    access_keys,
    approvals,
    certificates,
    database,
    devices,
    group_secrets,
    installation,
    issuers,
    policies,
    records,
    registration_authorities,
    trust,
)
from server.cli.output import say
from server.config.load import ConfigurationError
from server.fence import FenceError, check_packages
from server.home import DEFAULT_NAME, ENVIRONMENT_NAME, Home, HomeError
from server.initialize import WishError
from server.listening import ListeningError
from server.supervisor import WorkerError

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
UNREACHABLE = 5

app = typer.Typer(
    name="enroll",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
    pretty_exceptions_enable=False,
    help="Certificate enrollment for devices. Begin with 'enroll run', or 'enroll init'.",
    epilog="Ends with 0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy or state, "
    "5 unreachable. 'enroll COMMAND --help' tells more.",
)
app.command("run")(installation.run)
app.command("init")(installation.init)
app.command("serve")(installation.serve)
app.command("check")(installation.check)
app.command("attempts")(records.attempts)
app.add_typer(devices.app, name="device")
app.add_typer(approvals.app, name="approval")
app.add_typer(certificates.app, name="certificate")
policies.groups.add_typer(group_secrets.app, name="secret")
app.add_typer(policies.groups, name="group")
app.add_typer(policies.profiles, name="profile")
app.add_typer(policies.certificate_profiles, name="certificate-profile")
trust.app.command("appoint")(registration_authorities.appoint)
app.add_typer(issuers.app, name="issuer")
app.add_typer(trust.app, name="trust")
app.add_typer(access_keys.app, name="key")
app.add_typer(records.audit, name="audit")
app.add_typer(database.app, name="db")


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"enroll {importlib.metadata.version('enrollment-server')}\n")
        raise typer.Exit


@app.callback()
def top(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"The installation's directory; else ${ENVIRONMENT_NAME}, else ./{DEFAULT_NAME}.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Find the home that the command is about."""
    del version
    context.obj = Home(home or Path(os.environ.get(ENVIRONMENT_NAME) or DEFAULT_NAME))


def main() -> None:
    """Run the command that the process was started with, and end the process."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a device's name is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # real streams
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command, and give the code that it ends with; faults are told in words."""
    try:
        check_packages()
        app(args=list(words), prog_name="enroll")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else DONE
    except tuple(_ENDINGS) as error:
        say(f"enroll: {error}")
        return next(code for kind, code in _ENDINGS.items() if isinstance(error, kind))
    except ConcurrentChange:
        say("enroll: something else changed this at the same moment; try again")
        return FAILED
    return DONE


_ENDINGS: dict[type[Exception], int] = {
    NotFound: NOT_FOUND,
    Refused: REFUSED,
    AlreadyTaken: REFUSED,
    AuthorityUnavailable: UNREACHABLE,
    PolicyError: USAGE,
    RegistrationError: USAGE,
    AccessKeyError: USAGE,
    GroupSecretError: USAGE,
    DecryptionKeyError: USAGE,
    WishError: USAGE,
    IdentityFormatError: USAGE,
    ConfigurationError: FAILED,
    HomeError: FAILED,
    FenceError: FAILED,
    ListeningError: FAILED,
    WorkerError: FAILED,
    OSError: FAILED,
}
