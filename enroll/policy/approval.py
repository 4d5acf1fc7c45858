"""When a person has to decide, which order a request belongs to, and what became of it."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from enroll.credentials import Authentication, CredentialKind
from enroll.device import Device, DeviceState
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.orders import Order, OrderKind, OrderState
from enroll.policy.wishes import shown_names, shown_subject
from enroll.profiles import Approval, DeviceGroup
from enroll.request import EnrollmentRequest, Operation, PollRequest

_ENDS: Mapping[OrderState, tuple[str, str]] = {
    OrderState.REJECTED: ("approval_rejected", "the request was rejected"),
    OrderState.EXPIRED: ("approval_expired", "nobody decided on the request in time"),
    OrderState.CANCELLED: ("approval_cancelled", "the request was cancelled with its device"),
}


def needs_decision(
    device: Device, group: DeviceGroup, operation: Operation, shown: CredentialKind
) -> bool:
    """Tell whether a person decides on this: always while the device itself is undecided.

    A secret that many share proves little, and has a rule of its own beside the others.
    """
    if device.state is DeviceState.PENDING_APPROVAL:
        return True
    if shown is CredentialKind.GROUP_SECRET and group.group_secret_approval is Approval.MANUAL:
        return True
    rule = group.renewal_approval if operation is Operation.RENEWAL else group.approval
    return rule is Approval.MANUAL


def application(device: Device, group: DeviceGroup, order_id: str, actor: str) -> Order:
    """Write the order by which a person lets a device in, or does not (T-02)."""
    return Order(
        order_id=order_id,
        kind=OrderKind.DEVICE,
        device_id=device.device_id,
        requested_by=actor,
        requested_at=device.created_at,
        expires_at=device.created_at + group.approval_timeout,
    )


def order_for(
    orders: Iterable[Order], request: EnrollmentRequest, shown: Authentication, now: datetime
) -> Order | None:
    """Find the order in this slot that the request belongs to, or None if it is to open one.

    `orders` come newest first. It is recognized by its key, whoever signed it anew: what it asks
    for is compared. A rejected key stays rejected, unless a code was made for it after that.
    Raises EnrollmentError (TRANSACTION_CONFLICT), NotAuthorized.
    """
    orders = tuple(orders)
    waiting = next((each for each in orders if each.is_open), None)
    if waiting is not None:
        check_same_wish(waiting, request, shown.credential_id)
        check_not_over(waiting, now)
        return waiting
    last = next((each for each in orders if _key_of(each) == request.recognized_by), None)
    if last is not None and last.state is OrderState.REJECTED:
        decided_at = last.decided_at or last.requested_at
        if shown.code is None or shown.code.created_at <= decided_at:
            raise _end_of(last)
    return None


def opened_by(
    orders: Iterable[Order], spki_sha256: str, credential_id: str, ended_after: datetime
) -> Order | None:
    """Find the order that this key opened by this very credential, if its end is not long ago."""
    for each in orders:
        wish = each.wish
        if wish is None or (wish.spki_sha256, wish.credential_id) != (spki_sha256, credential_id):
            continue
        if each.is_open or (each.decided_at or each.requested_at) >= ended_after:
            return each
    return None


def polled(
    orders: Iterable[Order], poll: PollRequest, proven_ids: Container[str] = frozenset()
) -> Order | None:
    """Find the order that the poll is about, if its sender proved to have opened it.

    `proven_ids` name further credentials that it proved to hold.
    """
    for each in orders:
        wish, profile = each.wish, poll.origin.profile
        if wish is None or profile not in {None, each.profile}:
            continue
        by_key = poll.spki_sha256 is not None and poll.spki_sha256 == wish.spki_sha256
        if not (wish.key_proven or poll.for_holder) or not poll.is_for(wish.spki_sha256):
            continue
        proven = poll.credential_id is not None and poll.credential_id == wish.credential_id
        if by_key or proven or wish.credential_id in proven_ids:
            return each
    return None


def check_same_wish(order: Order, request: EnrollmentRequest, credential_id: str) -> None:
    """Demand that the request is the one that opened the order.

    Raises EnrollmentError (TRANSACTION_CONFLICT).
    """
    if not _has_opened(order, request, credential_id):
        raise EnrollmentError(
            FailureReason.TRANSACTION_CONFLICT,
            f"order {order.order_id} of this slot waits with another key; reject it to let this "
            "one in",
            finding="order_of_another_key",
            field="publicKey",
        )
    wish = order.wish
    if wish is not None and (wish.subject, wish.names) != (
        shown_subject(request.certificate_request),
        shown_names(request.certificate_request),
    ):
        raise EnrollmentError(
            FailureReason.TRANSACTION_CONFLICT,
            f"order {order.order_id} asked for other names with this key",
            finding="order_of_other_names",
        )


def _has_opened(order: Order, request: EnrollmentRequest, credential_id: str) -> bool:
    """Tell whether the order is for the request's key, and that key stands for the same in both.

    Where a key is to be made, nobody proves to hold the one in the request, and anybody may have
    seen it: then the credential has to be the same, too.
    """
    wish, made_here = order.wish, request.key_wish is not None
    if wish is None or _key_of(order) != request.recognized_by:
        return False
    return wish.key_made_here is made_here and (
        not made_here or wish.credential_id == credential_id
    )


def check_not_over(order: Order, now: datetime) -> None:
    """Refuse what was rejected, expired or cancelled. Raises NotAuthorized."""
    if order.is_open and now >= order.expires_at:
        order = replace(order, state=OrderState.EXPIRED)
    if order.state in _ENDS:
        raise _end_of(order)


def _end_of(order: Order) -> NotAuthorized:
    finding, words = _ENDS[order.state]
    because = f": {order.reason}" if order.reason else ""
    return NotAuthorized(f"{words} (order {order.order_id}){because}", finding=finding)


def _key_of(order: Order) -> str | None:
    return order.wish.spki_sha256 if order.wish is not None else None


def fulfilled(order: Order, fingerprint: str) -> Order:
    """Give the order that led to this certificate; who decided on it stays known."""
    return replace(order, state=OrderState.ISSUED, fingerprint=fingerprint)


def decided(
    order: Order,
    state: OrderState,
    now: datetime,
    *,
    actor: str,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Order:
    """Give the order as it stands once this was decided."""
    return replace(
        order,
        state=state,
        decided_by=actor,
        decided_at=now,
        reason=reason,
        expires_at=expires_at or order.expires_at,
    )
