"""Hold a request for a person's decision: open its order, or find it still open."""

from dataclasses import replace
from datetime import datetime

from enroll.credentials import CredentialKind
from enroll.device import new_id
from enroll.events import EnrollmentEvent, EventName
from enroll.newcomers import joined, stage_application, stage_newcomer
from enroll.orders import Order, OrderKind, Wish
from enroll.policy.chronicle import Chronicle
from enroll.policy.wishes import encode_wish, shown_names, shown_subject
from enroll.ports import Clock, Randomness, UnitOfWork
from enroll.result import Pending
from enroll.spent import stage_use
from enroll.steps import Held
from enroll.trace import DecisionTrace


class Hold:
    """Stages the writes; the pipeline adds the attempt and commits.

    Opening an order uses the code up, so that a code opens no second one: from then on it proves
    the request that opened the order, and nothing else.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness

    def __call__(self, step: Held, uow: UnitOfWork, trace: DecisionTrace) -> Pending:
        reference = step.identified.authenticated.addressed.request.reference
        order = step.order
        if order is None:
            order = self._opened(step, reference)
            self._stage(order, step, uow)
            if step.identified.authenticated.newcomer is not None:
                trace.device = step.identified.device
        elif reference not in {None, order.reference}:
            uow.orders.save(replace(order, reference=reference))
        trace.passed("hold", order.order_id)
        return pending(order, step.identified.group.approval_retry_after.total_seconds())

    def _opened(self, step: Held, reference: str | None) -> Order:
        now = self._clock.now()
        device, group = step.identified.device, step.identified.group
        addressed = step.identified.authenticated.addressed
        authentication = step.identified.authenticated.authentication
        request, origin = addressed.request.certificate_request, addressed.request.origin
        key_wish = addressed.request.key_wish
        spki = key_wish.spki if key_wish is not None else request.spki
        return Order(
            order_id=new_id(now, self._randomness.octets(10)),
            kind=OrderKind.CERTIFICATE,
            device_id=device.device_id,
            profile=addressed.profile.slug,
            wish=Wish(
                operation=addressed.request.operation,
                protocol=origin.protocol,
                spki_sha256=addressed.request.recognized_by,
                subject=shown_subject(request),
                names=shown_names(request),
                key_usage=request.key_usage,
                extended_key_usage=(
                    frozenset(each.dotted_string for each in request.extended_key_usage)
                    if request.extended_key_usage is not None
                    else None
                ),
                asks_beyond=request.asks_beyond,
                spki=spki,
                der=encode_wish(request, spki),
                credential_kind=authentication.kind,
                credential_id=authentication.credential_id,
                key_made_here=key_wish is not None,
                key_proven=request.key_proven,
                peer_address=origin.peer_address,
                correlation_id=origin.correlation_id,
            ),
            reference=reference,
            requested_by=step.identified.authenticated.actor,
            requested_at=now,
            expires_at=now + group.approval_timeout,
        )

    def _stage(self, order: Order, step: Held, uow: UnitOfWork) -> None:
        now, authenticated = self._clock.now(), step.identified.authenticated
        uow.policy.expect(authenticated.addressed.policy.version)
        device = replace(step.identified.device, updated_at=now)
        if authenticated.newcomer is not None:
            # At the very time of its order: who lets it in sees that they came together.
            device = replace(device, created_at=order.requested_at)
            stage_newcomer(device, step.identified.group, uow)
            stage_application(
                device, step.identified.group, authenticated.actor, self._randomness, uow
            )
        else:
            uow.devices.save(device)
        uow.orders.add(order)
        stage_use(authenticated.authentication, uow, now)
        for event in _events(order, step, now):
            uow.events.append(event)


def pending(order: Order, retry_after: float) -> Pending:
    return Pending(order_id=order.order_id, retry_after=max(1, int(retry_after)))


def _events(order: Order, step: Held, now: datetime) -> list[EnrollmentEvent]:
    authentication = step.identified.authenticated.authentication
    origin = step.identified.authenticated.addressed.request.origin
    acting = step.identified.authenticated.acting
    chronicle = Chronicle(actor=order.requested_by, at=now, correlation_id=origin.correlation_id)
    events = []
    if step.identified.authenticated.newcomer is not None:
        device, group = step.identified.device, step.identified.group
        events.append(joined(device, group, step.identified.authenticated, chronicle))
    events.append(
        chronicle.ordered(
            EventName.ENROLLMENT_PENDING,
            order,
            protocol=origin.protocol.value,
            credential=authentication.kind.value,
            peer_address=origin.peer_address,
            **({"registration_authority": acting.name} if acting is not None else {}),
        )
    )
    if step.identified.enrichment is not None:
        events.append(chronicle.enriched(step.identified.enrichment, order.device_id))
    shown = step.identified.authenticated.third_party
    filled = any(each.profile == order.profile for each in step.identified.live)
    if shown is not None and shown.shared and filled:
        events.append(chronicle.ordered(EventName.ENROLLMENT_CLONE_SUSPECTED, order))
    if authentication.kind is CredentialKind.ONE_TIME_CODE:
        used = authentication.credential_id
        events.append(chronicle.event(EventName.CODE_USED, order.device_id, code=used))
    return events
