"""enroll approval: list, show, approve, reject."""

from typing import Annotated

import typer

from enroll.device import Device
from enroll.orders import Order
from enroll.profiles import PolicySnapshot
from server.cli.office import Office, actor, work
from server.cli.output import Data, Format, Output, show, show_all, when

app = typer.Typer(
    no_args_is_help=True, help="What waits for a person's decision: look at it, decide on it."
)

Identifier = Annotated[
    str, typer.Argument(metavar="ID", help="The order's id, as 'approval list' gives it.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the order.")]


@app.command("list")
def list_(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also what was decided, or expired.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """List what waits for a decision, newest first."""

    async def run(office: Office) -> list[Data]:
        policy = await office.policy()
        async with office.registry.unit_of_work() as uow:
            orders = await uow.orders.list(pending_only=not all_)
            devices = {each.device_id: each for each in await uow.devices.list()}
        return [_data(each, devices.get(each.device_id), policy) for each in orders]

    columns = ("id", "kind", "device", "profile", "subject", "state", "requested_at", "expires_at")
    show_all(work(context, run), columns, output)


@app.command("show")
def show_(context: typer.Context, order: Identifier, output: Output = Format.TEXT) -> None:
    """Show who asked for what, with which key, since when and until when."""

    async def run(office: Office) -> Data:
        return await _detail(office, await office.approvals.by_id(order))

    show(work(context, run), output)


@app.command()
def approve(context: typer.Context, order: Identifier, output: Output = Format.TEXT) -> None:
    """Say yes: the device may go on, or gets its certificate when it asks again."""

    async def run(office: Office) -> Data:
        return await _detail(office, await office.approvals.approve(order, actor=actor()))

    show(work(context, run), output)


@app.command()
def reject(
    context: typer.Context, order: Identifier, reason: Reason, output: Output = Format.TEXT
) -> None:
    """Say no; also to what was approved and not collected yet. A device is deleted by it."""

    async def run(office: Office) -> Data:
        return await _detail(office, await office.approvals.reject(order, reason, actor=actor()))

    show(work(context, run), output)


async def _detail(office: Office, order: Order) -> Data:
    policy = await office.policy()
    async with office.registry.unit_of_work() as uow:
        return _data(order, await uow.devices.by_id(order.device_id), policy)


def _data(order: Order, device: Device | None, policy: PolicySnapshot) -> Data:
    wish = order.wish
    return {
        "id": order.order_id,
        "kind": order.kind.value,
        "state": order.state.value,
        "device": device.name if device else None,
        "device_id": order.device_id,
        "group": policy.groups[device.group_id].name if device else None,
        "profile": order.profile,
        "operation": wish.operation.value if wish else None,
        "protocol": wish.protocol.value if wish else None,
        "subject": wish.subject if wish else None,
        "names": list(wish.names) if wish else [],
        "spki_sha256": wish.spki_sha256 if wish else None,
        "key_made_here": wish.key_made_here if wish else None,
        "credential": wish.credential_kind.value if wish else None,
        "credential_id": wish.credential_id if wish else None,
        "peer_address": wish.peer_address if wish else None,
        "attempt": wish.correlation_id if wish else None,
        "reference": order.reference,
        "requested_by": order.requested_by,
        "requested_at": when(order.requested_at),
        "expires_at": when(order.expires_at),
        "decided_by": order.decided_by,
        "decided_at": when(order.decided_at),
        "reason": order.reason,
        "fingerprint": order.fingerprint,
    }
