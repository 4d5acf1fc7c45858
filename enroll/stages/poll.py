"""What became of an order, asked by whom it belongs to: the order, and what it wishes for now."""

from collections.abc import Sequence
from dataclasses import replace

from enroll.certificates import CertificateRecord
from enroll.failures import EnrollmentError, FailureReason
from enroll.key_generation import KeyWish
from enroll.orders import Order, OrderState
from enroll.policy.approval import polled
from enroll.policy.repetition import is_still_told
from enroll.policy.wishes import decode_wish
from enroll.ports import Clock, UnitOfWork
from enroll.profiles import PolicySnapshot
from enroll.request import EnrollmentRequest, PollRequest
from enroll.stages.recognize import Known, Recognize
from enroll.trace import DecisionTrace


class Poll:
    """Finds the order, and the certificate that answered it, if one did."""

    def __init__(self, recognize: Recognize, clock: Clock) -> None:
        self._recognize = recognize
        self._clock = clock

    async def __call__(
        self, poll: PollRequest, uow: UnitOfWork, trace: DecisionTrace
    ) -> tuple[Order | None, CertificateRecord | None]:
        """Find them, or raise EnrollmentError (CERTIFICATE_UNKNOWN) and what recognizing raises.

        Without an order there is a certificate: one that was withheld until its key was proven.
        """
        policy = await uow.policy.snapshot()
        found = await uow.orders.by_reference(poll.reference)
        withheld = await uow.certificates.by_transaction(poll.reference) if poll.for_holder else ()
        likely = {each.wish.credential_id for each in found if each.wish is not None}
        likely |= {each.credential_id or "" for each in withheld}
        known = await self._recognize(
            poll.origin, poll.credentials, policy, uow, trace, likely=likely
        )
        orders = [each for each in found if known.has(each)]
        order = polled(orders, poll, known.credential_ids)
        record = self._withheld([each for each in withheld if poll.is_for(each.spki_sha256)], known)
        if order is None and record is not None:
            trace.device, trace.proven = await uow.devices.by_id(record.device_id or ""), True
            trace.passed("possession", "proven by the answer to a challenge")
            return None, record
        if order is None or order.profile is None:
            trace.failed("order", "unknown")
            raise EnrollmentError(
                FailureReason.CERTIFICATE_UNKNOWN,
                f"no order of this key or credential has the transaction {poll.reference[:80]!r}",
                finding="order_unknown",
            )
        trace.device, trace.proven = await uow.devices.by_id(order.device_id), True
        trace.passed("order", f"{order.order_id} {order.state}")
        if order.state is not OrderState.ISSUED:
            return order, None
        return order, await self._told(order, policy, uow)

    def _withheld(
        self, records: Sequence[CertificateRecord], known: Known
    ) -> CertificateRecord | None:
        """Choose what a credential of the sender's got, if it is still good (cmp popdecr).

        It waits for its owner's word, or has it already, if the answer was lost.
        """
        for record in records:
            until = record.confirm_until if record.awaits_owner else None
            over = until is not None and self._clock.now() > until
            if record.credential_id in known.credential_ids and known.has(record):
                return record if record.is_live and not over else None
        return None

    async def _told(
        self, order: Order, policy: PolicySnapshot, uow: UnitOfWork
    ) -> CertificateRecord:
        """Find what is told again for a while; where its key was made here, it was told once."""
        record = await uow.certificates.by_fingerprint(order.fingerprint or "")
        profile = policy.enrollment_profiles.get(order.profile or "")
        once = order.wish is not None and order.wish.key_made_here
        now = self._clock.now()
        if record is None or profile is None or once or not is_still_told(record, profile, now):
            raise EnrollmentError(
                FailureReason.CERTIFICATE_UNKNOWN,
                f"order {order.order_id} was answered, and that is over",
                finding="order_answered",
            )
        return record


def fulfilling(order: Order, poll: PollRequest) -> EnrollmentRequest:
    """Give the request that the order stands for, as it is to be decided now."""
    wish = order.wish
    assert wish is not None  # noqa: S101 - such orders alone are found
    return EnrollmentRequest(
        origin=replace(poll.origin, profile=order.profile),
        operation=wish.operation,
        certificate_request=decode_wish(wish),
        credentials=poll.credentials,
        reference=poll.reference,
        acknowledgement=poll.acknowledgement,
        issuer=poll.issuer,
        key_wish=(
            KeyWish(spki=wish.spki, recipient=poll.key_recipient) if wish.key_made_here else None
        ),
    )
