"""What one exchange of a protocol is for: one request of one credential (RFC 9483 §5.1)."""

from enroll.failures import EnrollmentError, FailureReason
from enroll.orders import Order
from enroll.ports import UnitOfWork
from enroll.steps import Identified, Repeated


async def check_transaction(step: Identified, repeated: Repeated | None, uow: UnitOfWork) -> None:
    """Demand that this credential got nothing else under the exchange's id.

    Raises EnrollmentError (TRANSACTION_CONFLICT).
    """
    transaction = step.authenticated.addressed.request.transaction
    if transaction is None:
        return
    credential_id = step.authenticated.authentication.credential_id
    same = repeated.record.fingerprint if repeated is not None else None
    for each in await uow.certificates.by_transaction(transaction):
        if each.credential_id == credential_id and each.fingerprint != same:
            raise _in_use(transaction)


async def check_waiting(step: Identified, uow: UnitOfWork) -> None:
    """Demand that this credential waits for nothing else under the exchange's id.

    Only where a person decides: elsewhere nothing waits. Raises EnrollmentError
    (TRANSACTION_CONFLICT).
    """
    transaction = step.authenticated.addressed.request.transaction
    if transaction is None:
        return
    credential_id = step.authenticated.authentication.credential_id
    for each in await uow.orders.by_reference(transaction):
        if _is_of_another_request(each, step, credential_id):
            raise _in_use(transaction)


def _in_use(transaction: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.TRANSACTION_CONFLICT,
        f"this credential used the transaction {transaction[:80]} for another request",
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
