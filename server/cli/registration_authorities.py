"""enroll trust appoint: a certificate for a registration authority, from its own request."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.failures import EnrollmentError, Refused
from server.appointment import Appointments
from server.cli.devices import certificate_data
from server.cli.office import actor, current_home
from server.cli.output import Data, Format, Output, say, show
from server.cli.trust import tenant_of
from server.config.load import load_config
from server.home import write_public
from server.wiring import open_works


def appoint(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it here.")],
    csr: Annotated[
        Path,
        typer.Option("--csr", metavar="FILE", help="Its certification request, PEM or DER."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where its certificate goes, PEM.")
    ],
    group: Annotated[
        list[str] | None,
        typer.Option(help="It may enroll devices of this group; repeatable. Else of all."),
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Only for this profile; repeatable.")
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Issue a registration authority its certificate: it may then enroll devices in their place.

    Under a name that is there it gets a new certificate, and the old one counts no more.
    """
    request = _read(csr)
    home = current_home(context)

    async def run() -> Data:
        works = open_works(home, load_config(home.configuration), stream="cli")
        office = works.office
        try:
            appointments = Appointments(
                authority=works.authority, trust=office.trust, clock=office.clock
            )
            anchor, record = await appointments.appoint(
                request,
                name=name,
                tenant_id=tenant_of(await office.policy()),
                groups=group or (),
                profiles=profile or (),
                actor=actor(),
            )
        except EnrollmentError as error:
            raise Refused(f"{csr}: {error.detail}") from error
        finally:
            await office.close()
        pem = b"".join(
            x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM)
            for each in (record.der, *works.authority.chain(record.issuer)[:1])
        )
        write_public(out.absolute(), pem)
        return {
            "name": anchor.name,
            "groups": list(anchor.groups),
            "profiles": list(anchor.profiles),
            **certificate_data(record),
        }

    show(asyncio.run(run()), output)
    say(f"Profiles take it that list ra: enroll profile set NAME initial_credentials=…,ra ({out})")


def _read(file: Path) -> bytes:
    """Read a certification request, DER. Raises typer.BadParameter."""
    try:
        octets = file.read_bytes()
        if b"-----BEGIN " in octets:
            return x509.load_pem_x509_csr(octets).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: no request can be read: {error}") from None
    return octets
