"""The command `enroll`: its verbs, and how it ends."""

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from enroll.failures import AlreadyTaken, ConcurrentChange, NotFound, Refused, RegistryUnavailable
from server.cli import certificates, devices, installation, policies, records
from server.cli.output import say
from server.config.load import ConfigurationError
from server.fence import FenceError, check_packages
from server.home import DEFAULT_NAME, ENVIRONMENT_NAME, Home, HomeError

FAILED = 1
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
UNREACHABLE = 5

app = typer.Typer(
    name="enroll",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Certificate enrollment for devices. Begin with 'enroll run' or 'enroll init'.",
)
app.add_typer(devices.app, name="device")
app.add_typer(policies.groups, name="group")
app.add_typer(policies.profiles, name="profile")
app.add_typer(policies.certificate_profiles, name="certificate-profile")
app.add_typer(certificates.app, name="certificate")
app.add_typer(records.audit, name="audit")
app.command("attempts")(records.attempts)
app.command("init")(installation.init)
app.command("serve")(installation.serve)
app.command("run")(installation.run)
app.command("check")(installation.check)


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
    """Run a command. Ends with 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unreachable."""
    try:
        check_packages()
        app()
    except NotFound as error:
        _end(error, NOT_FOUND)
    except (Refused, AlreadyTaken) as error:
        _end(error, REFUSED)
    except RegistryUnavailable as error:
        _end(error, UNREACHABLE)
    except ConcurrentChange:
        _end(Exception("something else changed this at the same moment; try again"), FAILED)
    except (ConfigurationError, HomeError, FenceError) as error:
        _end(error, FAILED)
    except ValueError as error:
        _end(error, USAGE)


def _end(error: Exception, code: int) -> None:
    say(f"enroll: {error}")
    sys.exit(code)
