"""Use cases: a person decides on what waits, and time on what nobody decided."""

from collections.abc import Sequence

from enroll.device import Cause, Device, DeviceSource, DeviceState
from enroll.events import EventName
from enroll.failures import ConcurrentChange, NotFound, Refused
from enroll.orders import Order, OrderKind, OrderState
from enroll.policy.approval import decided, needs_decision
from enroll.policy.chronicle import Chronicle
from enroll.policy.slots import moved
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import DeviceGroup
from enroll.retry import decided_anew

ACTOR = "system"
_TOLD = {
    OrderState.APPROVED: EventName.ENROLLMENT_APPROVED,
    OrderState.REJECTED: EventName.ENROLLMENT_REJECTED,
    OrderState.EXPIRED: EventName.ENROLLMENT_EXPIRED,
    OrderState.CANCELLED: EventName.ENROLLMENT_CANCELLED,
}


class Approvals:
    """Approves, rejects and expires orders. Raises NotFound, Refused, RegistryUnavailable."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    @decided_anew
    async def approve(self, order_id: str, *, actor: str) -> Order:
        """Say yes (T-03): the device is Enrolled, or its next repetition gets its certificate.

        What waited for the device goes on with it, unless it needs a decision of its own. An
        approved order waits once more the whole time of its group to be collected.
        """
        async with self._registry.unit_of_work() as uow:
            order = await _order(uow, order_id)
            if order.state is not OrderState.PENDING:
                raise Refused(f"order {order_id} is {order.state} already")
            now = self._clock.now()
            if now >= order.expires_at:
                raise Refused(f"order {order_id} expired at {order.expires_at.isoformat()}")
            device = await _device(uow, order)
            group = (await uow.policy.snapshot()).groups[device.group_id]
            _check_duties(order, group, actor)
            chronicle = Chronicle(actor=actor, at=now)
            if order.kind is OrderKind.DEVICE:
                order = await _admit(uow, order, device, group, chronicle)
            else:
                if device.state is DeviceState.PENDING_APPROVAL:
                    raise Refused(
                        f"{device.name} itself waits for approval; 'enroll device approve' it first"
                    )
                order = _approved(uow, order, group, chronicle)
            await uow.commit()
        return order

    @decided_anew
    async def reject(self, order_id: str, reason: str, *, actor: str) -> Order:
        """Say no (T-03), also to what was approved and not collected yet.

        A device is deleted, its codes are revoked, and what waited for it is rejected with it.
        """
        if not reason.strip():
            raise Refused("a rejection needs a reason")
        async with self._registry.unit_of_work() as uow:
            order = await _order(uow, order_id)
            done = order.kind is OrderKind.DEVICE and order.state is not OrderState.PENDING
            if done or not order.is_open:
                raise Refused(f"order {order_id} is {order.state} already")
            chronicle = Chronicle(actor=actor, at=self._clock.now())
            order = await _end(uow, order, OrderState.REJECTED, reason.strip(), chronicle)
            await uow.commit()
        return order

    async def by_id(self, order_id: str) -> Order:
        async with self._registry.unit_of_work() as uow:
            return await _order(uow, order_id)

    async def of_device(self, device_id: str) -> Order:
        """Find the approval that a device waits for."""
        async with self._registry.unit_of_work() as uow:
            for order in await uow.orders.in_slot(device_id, None):
                if order.state is OrderState.PENDING:
                    return order
        raise Refused("the device does not wait for approval")

    async def expire(self) -> int:
        """End what nobody decided on, or collected, in time (T-04); tell how many that was."""
        async with self._registry.unit_of_work() as uow:
            overdue = await uow.orders.overdue(self._clock.now())
        ended = 0
        for order in overdue:
            ended += await self._expire(order)
        return ended

    async def count_pending(self) -> int:
        async with self._registry.unit_of_work() as uow:
            return await uow.orders.count_pending()

    async def _expire(self, overdue: Order) -> bool:
        chronicle = Chronicle(actor=ACTOR, at=self._clock.now())
        try:
            async with self._registry.unit_of_work() as uow:
                order = await uow.orders.by_id(overdue.order_id)
                if order is None or not order.is_open or order.expires_at > chronicle.at:
                    return False
                await _end(uow, order, OrderState.EXPIRED, None, chronicle)
                await uow.commit()
        except ConcurrentChange:
            return False  # Somebody decided meanwhile; the next run will see.
        return True


async def stage_cancellation(
    uow: UnitOfWork, device_id: str, reason: str, chronicle: Chronicle
) -> None:
    """Stage the end of all that a device waits for: it was disabled, reset or deleted."""
    for order in await uow.orders.open_of(device_id):
        _close(uow, order, OrderState.CANCELLED, reason, chronicle)


async def _order(uow: UnitOfWork, order_id: str) -> Order:
    order = await uow.orders.by_id(order_id)
    if order is None:
        raise NotFound(f"there is no order {order_id!r}; see 'enroll approval list'")
    return order


async def _device(uow: UnitOfWork, order: Order) -> Device:
    device = await uow.devices.by_id(order.device_id)
    if device is None or device.state is DeviceState.DELETED:
        raise Refused(f"the device of order {order.order_id} is deleted")
    return device


def _check_duties(order: Order, group: DeviceGroup, actor: str) -> None:
    if group.separation_of_duty and actor == order.requested_by:
        raise Refused(
            f"{actor} asked for this, so somebody else has to approve it; or set "
            f"separation_of_duty=false for group {group.name!r}"
        )


def _approved(uow: UnitOfWork, order: Order, group: DeviceGroup, chronicle: Chronicle) -> Order:
    approved = decided(
        order,
        OrderState.APPROVED,
        chronicle.at,
        actor=chronicle.actor,
        expires_at=chronicle.at + group.approval_timeout,
    )
    uow.orders.save(approved)
    uow.events.append(chronicle.ordered(EventName.ENROLLMENT_APPROVED, approved))
    return approved


async def _admit(
    uow: UnitOfWork, order: Order, device: Device, group: DeviceGroup, chronicle: Chronicle
) -> Order:
    """Let a device in, and with it what waits for nothing else."""
    move = moved(device, Cause.APPROVE, chronicle.at)
    uow.devices.save(move.after)
    for event in chronicle.moved(move, order=order.order_id):
        uow.events.append(event)
    for held in await uow.orders.open_of(device.device_id):
        wish = held.wish
        # What a device asked for as it joined was seen by whoever let it in.
        came_with_it = (
            device.source == DeviceSource.AUTO and held.requested_at == order.requested_at
        )
        if wish is not None and (
            came_with_it
            or not needs_decision(move.after, group, wish.operation, wish.credential_kind)
        ):
            _approved(uow, held, group, chronicle)
    # A device's approval is fulfilled by being given.
    given = decided(order, OrderState.APPROVED, chronicle.at, actor=chronicle.actor)
    uow.orders.save(given)
    return given


async def _end(
    uow: UnitOfWork, order: Order, state: OrderState, reason: str | None, chronicle: Chronicle
) -> Order:
    """Reject an order or let it expire; with a device's goes all that the device has."""
    if order.kind is OrderKind.CERTIFICATE:
        return _close(uow, order, state, reason, chronicle)
    device = await uow.devices.by_id(order.device_id)
    if device is not None and device.state is DeviceState.PENDING_APPROVAL:
        cause = Cause.REJECT if state is OrderState.REJECTED else Cause.APPROVAL_EXPIRED
        move = moved(device, cause, chronicle.at)
        uow.devices.save(move.after)
        for event in chronicle.moved(move, order=order.order_id, reason=reason):
            uow.events.append(event)
        await _revoke_codes(uow, device, chronicle)
    why = reason or "its device was not approved in time"
    held: Sequence[Order] = await uow.orders.open_of(order.device_id)
    for each in held:
        if each.kind is OrderKind.CERTIFICATE:
            _close(uow, each, OrderState.REJECTED, why, chronicle)
    ended = decided(order, state, chronicle.at, actor=chronicle.actor, reason=reason)
    uow.orders.save(ended)
    return ended


async def _revoke_codes(uow: UnitOfWork, device: Device, chronicle: Chronicle) -> None:
    for code in await uow.codes.of_device(device.device_id):
        if code.is_active(chronicle.at):
            uow.codes.revoke(code, chronicle.at)
            revoked = chronicle.event(EventName.CODE_REVOKED, device.device_id, code=code.code_id)
            uow.events.append(revoked)


def _close(
    uow: UnitOfWork, order: Order, state: OrderState, reason: str | None, chronicle: Chronicle
) -> Order:
    closed = decided(order, state, chronicle.at, actor=chronicle.actor, reason=reason)
    uow.orders.save(closed)
    uow.events.append(chronicle.ordered(_TOLD[state], closed))
    return closed
