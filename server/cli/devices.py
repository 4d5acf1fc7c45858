"""enroll device: add, list, show, code, disable, enable, reset, delete, approve, reject."""

from collections.abc import Iterable
from typing import Annotated

import typer

from enroll.certificates import CertificateRecord
from enroll.device import Device, DeviceState, DeviceStatus, IdentityKind
from enroll.failures import NotFound
from enroll.profiles import PolicySnapshot
from enroll.registration import CodeTerms, MadeCode, NewDevice
from server.cli import decryption_keys
from server.cli.office import Office, actor, find_device, work
from server.cli.output import Data, Format, Output, Yes, confirm, say, show, show_all, when
from server.cli.values import parse_duration, parse_pairs

app = typer.Typer(no_args_is_help=True, help="Devices: register, look at, stop, let on.")
app.add_typer(decryption_keys.app, name="decryption-key")

Reference = Annotated[
    str, typer.Argument(metavar="DEVICE", help="The device's name, serial number or id.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Lifetime = Annotated[
    str, typer.Option("--ttl", metavar="DURATION", help="How long the code is good: 90m, 12h, 7d.")
]
Uses = Annotated[
    int, typer.Option("--uses", metavar="N", help="How many certificates the code is good for.")
]
CERTIFICATE_COLUMNS = ("serial_number", "profile", "class", "status", "not_after")
"""What people see of a certificate among others; 'certificate show' tells all."""


@app.command()
def add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="1 to 64 characters, unique, never changed.")
    ],
    group: Annotated[str, typer.Option(metavar="GROUP", help="Its device group.")] = "default",
    serial: Annotated[
        str | None, typer.Option(metavar="SN", help="The serial number on the device.")
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=VALUE",
            help=f"Something else to know it by; repeatable. KIND is {', '.join(IdentityKind)}.",
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="For names in certificates, and you; repeatable."),
    ] = None,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A line for people.")
    ] = None,
    no_code: Annotated[bool, typer.Option("--no-code", help="Make no one-time code.")] = False,
    ttl: Lifetime = "7d",
    uses: Uses = 1,
    output: Output = Format.TEXT,
) -> None:
    """Register a device and make its one-time code, shown once."""
    terms = None if no_code else CodeTerms(lifetime=parse_duration(ttl), uses=uses)
    new = NewDevice(
        name=name,
        group=group,
        serial_number=serial,
        identities=tuple(_identity(each) for each in identity or ()),
        attributes=parse_pairs(attribute or (), "--attribute"),
        description=description,
    )

    async def run(office: Office) -> Data:
        try:
            device, made = await office.registration.register(new, code=terms, actor=actor())
        except NotFound as error:
            raise NotFound(f"{error}; see 'enroll group list'") from None
        return _with_code(device, await office.policy(), made)

    _show_code(work(context, run), output)


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        DeviceState | None, typer.Option(help="Only those in this state.", show_choices=True)
    ] = None,
    status: Annotated[DeviceStatus | None, typer.Option(help="Only those.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Only members of this group.")
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """List devices."""

    async def run(office: Office) -> list[Data]:
        policy = await office.policy()
        owned: dict[str, list[CertificateRecord]] = {}
        async with office.registry.unit_of_work() as uow:
            devices = await uow.devices.list()
            for record in await uow.certificates.list():
                owned.setdefault(record.device_id or "", []).append(record)
        return [device_data(each, policy, owned.get(each.device_id, ())) for each in devices]

    rows = [
        row
        for row in work(context, run)
        if (state is None or row["state"] == state.value)
        and (status is None or row["status"] == status.value)
        and (group is None or row["group"] == group)
    ]
    columns = ("name", "group", "state", "status", "serial_number", "created_at")
    show_all(rows, columns, output)


@app.command("show")
def show_(context: typer.Context, device: Reference, output: Output = Format.TEXT) -> None:
    """Show a device with its identities and certificates."""

    async def run(office: Office) -> Data:
        return await _detail(office, await find_device(office, device))

    _show_device(work(context, run), output)


@app.command()
def code(
    context: typer.Context,
    device: Reference,
    ttl: Lifetime = "7d",
    uses: Uses = 1,
    output: Output = Format.TEXT,
) -> None:
    """Make another one-time code for a device, shown once."""
    terms = CodeTerms(lifetime=parse_duration(ttl), uses=uses)

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        after, made = await office.registration.make_code(found.device_id, terms, actor=actor())
        return _with_code(after, await office.policy(), made)

    _show_code(work(context, run), output)


@app.command()
def disable(
    context: typer.Context, device: Reference, reason: Reason, output: Output = Format.TEXT
) -> None:
    """Refuse a device from its next request on, until it is enabled."""

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        after = await office.lifecycle.disable(found.device_id, reason, actor=actor())
        return await _detail(office, after)

    _show_device(work(context, run), output)


@app.command()
def enable(
    context: typer.Context, device: Reference, reason: Reason, output: Output = Format.TEXT
) -> None:
    """Let a disabled device take part again, with its certificates."""

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        after = await office.lifecycle.enable(found.device_id, reason, actor=actor())
        return await _detail(office, after)

    _show_device(work(context, run), output)


@app.command()
def reset(
    context: typer.Context,
    device: Reference,
    reason: Reason,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Begin again: revoke all certificates and codes, make one new code."""
    confirm(f"This revokes every certificate and code of {device}. Go on?", yes=yes)

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        after, made = await office.lifecycle.reset(found.device_id, reason, actor=actor())
        return {**await _detail(office, after), **_with_code(after, await office.policy(), made)}

    _show_code(work(context, run), output)


@app.command()
def delete(
    context: typer.Context,
    device: Reference,
    name: Annotated[
        str, typer.Option("--confirm", metavar="NAME", help="The device's name once more.")
    ],
    output: Output = Format.TEXT,
) -> None:
    """End a disabled device: revoke all certificates and codes, for good.

    Its record stays, so that its name and identities are nobody else's.
    """

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        if name != found.name:
            raise typer.BadParameter(f"--confirm: expected {found.name!r}, the device's name")
        after = await office.lifecycle.delete(found.device_id, actor=actor())
        return await _detail(office, after)

    _show_device(work(context, run), output)


@app.command()
def approve(context: typer.Context, device: Reference, output: Output = Format.TEXT) -> None:
    """Let in a device that waits for approval."""

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        order = await office.approvals.of_device(found.device_id)
        await office.approvals.approve(order.order_id, actor=actor())
        return await _detail(office, await find_device(office, found.device_id))

    _show_device(work(context, run), output)


@app.command()
def reject(
    context: typer.Context, device: Reference, reason: Reason, output: Output = Format.TEXT
) -> None:
    """Turn away a device that waits for approval: it is deleted, and its codes are revoked."""

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        order = await office.approvals.of_device(found.device_id)
        await office.approvals.reject(order.order_id, reason, actor=actor())
        return await _detail(office, await find_device(office, found.device_id))

    _show_device(work(context, run), output)


def _identity(text: str) -> tuple[IdentityKind, str]:
    kind, equals, value = text.partition("=")
    if not equals or kind not in set(IdentityKind):
        raise typer.BadParameter(
            f"--identity: expected KIND=VALUE with KIND one of {', '.join(IdentityKind)}"
        )
    return IdentityKind(kind), value


def device_data(
    device: Device, policy: PolicySnapshot, certificates: Iterable[CertificateRecord]
) -> Data:
    """Show a device in the words of every verb that does."""
    return {
        "id": device.device_id,
        "name": device.name,
        "tenant": policy.tenants[device.tenant_id].name,
        "group": policy.groups[device.group_id].name,
        "state": device.state.value,
        "status": device.status.value,
        "status_reason": device.status_reason,
        "serial_number": device.serial_number,
        "assurance": device.assurance.value,
        "connection": device.connection.value,
        "description": device.description,
        "source": device.source,
        "created_at": when(device.created_at),
        "updated_at": when(device.updated_at),
        "identities": [
            {"kind": each.kind.value, "value": each.value} for each in device.identities
        ],
        "attributes": dict(device.attributes),
        "certificates": [certificate_data(each) for each in certificates],
    }


async def _detail(office: Office, device: Device) -> Data:
    policy = await office.policy()
    async with office.registry.unit_of_work() as uow:
        certificates = await uow.certificates.of_device(device.device_id)
    return device_data(device, policy, certificates)


def _show_device(data: Data, output: Format) -> None:
    show(
        data,
        output,
        {"identities": ("kind", "value"), "certificates": CERTIFICATE_COLUMNS},
    )


def certificate_data(record: CertificateRecord) -> dict[str, object]:
    """Show a certificate in the words of every verb that does."""
    return {
        "serial_number": record.serial_number,
        "fingerprint": record.fingerprint,
        "profile": record.profile,
        "class": record.certificate_class.value,
        "status": record.status.value,
        "not_before": when(record.not_valid_before),
        "not_after": when(record.not_valid_after),
        "issuer": record.issuer,
    }


def _with_code(device: Device, policy: PolicySnapshot, made: MadeCode | None) -> Data:
    return {
        "id": device.device_id,
        "name": device.name,
        "group": policy.groups[device.group_id].name,
        "state": device.state.value,
        "status": device.status.value,
        "code": made.clear if made else None,
        "code_expires_at": when(made.expires_at) if made else None,
    }


def _show_code(data: Data, output: Format) -> None:
    _show_device(data, output)
    if data["code"] is not None:
        say("The code is shown this once. If it is lost, make another with 'enroll device code'.")
