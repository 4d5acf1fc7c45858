"""enroll certificate: list, show, revoke, hold, release."""

import re
from typing import Annotated

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.failures import NotFound, Refused
from server.cli.devices import certificate_data
from server.cli.office import Office, actor, find_device, work
from server.cli.output import Data, Format, Output, Yes, confirm, show, show_all, when

app = typer.Typer(no_args_is_help=True, help="Certificates: look at, revoke, hold, release.")

Serial = Annotated[
    str,
    typer.Argument(
        metavar="SERIAL", help="In hex: in any case, with or without colons and leading zeros."
    ),
]
_LABELS = {NameOID.SERIAL_NUMBER: "serialNumber"}  # RFC 4514 has no name for it
_REASONS = {
    each.value.lower(): each
    for each in RevocationReason
    if each is not RevocationReason.CERTIFICATE_HOLD
}
REASON_NAMES = ", ".join(_REASONS.values())


@app.command("list")
def list_(
    context: typer.Context,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Only this device's.")
    ] = None,
    status: Annotated[CertificateStatus | None, typer.Option(help="Only those.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """List certificates, newest first; the server's own among them."""

    async def run(office: Office) -> list[CertificateRecord]:
        owner = await find_device(office, device) if device else None
        async with office.registry.unit_of_work() as uow:
            if owner is not None:
                return list(await uow.certificates.of_device(owner.device_id))
            return list(await uow.certificates.list())

    rows = [_data(each) for each in work(context, run) if status is None or each.status is status]
    show_all(rows, ("serial_number", "profile", "class", "status", "issuer", "not_after"), output)


@app.command("show")
def show_(context: typer.Context, serial: Serial, output: Output = Format.TEXT) -> None:
    """Show one certificate, with its PEM."""

    async def run(office: Office) -> CertificateRecord:
        return await _find(office, serial)

    record = work(context, run)
    pem = None
    if not record.awaits_owner:  # Until then it may be its owner's proof of possession to know it.
        pem = record.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    show(
        {
            **_data(record),
            "subject": record.certificate.subject.rfc4514_string(_LABELS),
            "issued_at": when(record.issued_at),
            "confirmed_at": when(record.confirmed_at),
            "revoked_at": when(record.revoked_at),
            "revocation_reason": (
                record.revocation_reason.value if record.revocation_reason else None
            ),
            "held_by": record.held_by,
            "spki_sha256": record.spki_sha256,
            "pem": pem,
        },
        output,
    )


@app.command()
def revoke(
    context: typer.Context,
    serial: Serial,
    reason: Annotated[
        str, typer.Option(metavar="REASON", help=f"One of {REASON_NAMES} (RFC 5280 §5.3.1).")
    ],
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Revoke a certificate for good.

    A running server refuses it at once, and names it in its next CRL, within a second. One that is
    on hold may be revoked too. For a while only: 'enroll certificate hold'.
    """
    why = parse_reason(reason)
    confirm(f"This revokes certificate {serial} for good. Go on?", yes=yes)

    async def run(office: Office) -> Data:
        record = await _find(office, serial)
        after = await office.lifecycle.revoke(record, why, actor=actor())
        return {**_data(after), "revoked_at": when(after.revoked_at), "reason": why.value}

    show(work(context, run), output)


@app.command()
def hold(context: typer.Context, serial: Serial, output: Output = Format.TEXT) -> None:
    """Refuse a certificate until it is released or revoked.

    It is on the CRL meanwhile (certificateHold), and fills its slot. To enable its device does not
    release it; to disable its device holds all that the device has.
    """

    async def run(office: Office) -> Data:
        after = await office.lifecycle.hold(await _find(office, serial), actor=actor())
        return {**_data(after), "held_by": after.held_by, "revoked_at": when(after.revoked_at)}

    show(work(context, run), output)


@app.command()
def release(context: typer.Context, serial: Serial, output: Output = Format.TEXT) -> None:
    """Take a certificate off hold: it is good again, and leaves the next CRL.

    What is held because its device is disabled is released by 'enroll device enable'.
    """

    async def run(office: Office) -> Data:
        return _data(await office.lifecycle.release(await _find(office, serial), actor=actor()))

    show(work(context, run), output)


def parse_reason(text: str) -> RevocationReason:
    """Read a reason by its name in RFC 5280, in any case. Raises typer.BadParameter."""
    found = _REASONS.get(text.lower())
    if found is None:
        advice = "; for a while: 'enroll certificate hold'" if "hold" in text.lower() else ""
        raise typer.BadParameter(f"--reason: expected one of {REASON_NAMES}{advice}")
    return found


async def _find(office: Office, serial: str) -> CertificateRecord:
    digits = re.sub(r"[:\s]", "", serial).lower().removeprefix("0x").lstrip("0") or "0"
    if not re.fullmatch(r"[0-9a-f]{1,40}", digits):
        raise typer.BadParameter(f"SERIAL: {serial!r} is not a serial number in hex")
    async with office.registry.unit_of_work() as uow:
        found = await uow.certificates.by_serial(digits)
    if not found:
        raise NotFound(f"there is no certificate {digits}; see 'enroll certificate list'")
    if len(found) > 1:
        names = ", ".join(each.issuer for each in found)
        raise Refused(f"several issuers have a certificate {digits}: {names}")
    return found[0]


def _data(record: CertificateRecord) -> dict[str, object]:
    return {**certificate_data(record), "device": record.device_id}
