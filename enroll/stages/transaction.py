"""What one exchange of a protocol is for: one request of one credential (RFC 9483 §5.1)."""

from enroll.failures import EnrollmentError, FailureReason
from enroll.orders import Order
from enroll.ports import UnitOfWork
from enroll.steps import Identified, Repeated


async def check_transaction(step: Identified, repeated: Repeated | None, uow: UnitOfWork) -> None:
    """Refuse another request under an exchange's id that this credential has used already."""
    request = step.authenticated.addressed.request
    if request.transaction is None:
        return
    credential_id = step.authenticated.authentication.credential_id
    same = repeated.record.fingerprint if repeated is not None else None
    given = await uow.certificates.by_transaction(request.transaction)
    waiting = await uow.orders.by_reference(request.transaction)
    if any(
        each.credential_id == credential_id and each.fingerprint != same for each in given
    ) or any(_is_of_another_request(each, step, credential_id) for each in waiting):
        raise EnrollmentError(
            FailureReason.TRANSACTION_CONFLICT,
            f"this credential used the transaction {request.transaction[:80]} for another request",
            finding="transaction_in_use",
        )


def _is_of_another_request(order: Order, step: Identified, credential_id: str) -> bool:
    """Tell whether this credential waits for something else under the order's reference."""
    addressed = step.authenticated.addressed
    wish = order.wish
    if wish is None or not order.is_open or wish.credential_id != credential_id:
        return False
    asked = addressed.profile.slug, addressed.request.recognized_by
    return (order.profile, wish.spki_sha256) != asked
