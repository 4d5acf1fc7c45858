"""A secret is used by what it got; spent, it is good for that very request alone (T-13)."""

from datetime import datetime

from enroll.credentials import Authentication, CredentialKind
from enroll.failures import NotAuthenticated
from enroll.orders import Order
from enroll.policy.approval import opened_by
from enroll.policy.repetition import answer_of
from enroll.ports import UnitOfWork
from enroll.steps import Addressed
from enroll.tallies import uses_of
from enroll.trace import DecisionTrace

CHECKS = {
    CredentialKind.ONE_TIME_CODE: "one-time code",
    CredentialKind.GROUP_SECRET: "group secret",
}


def stage_use(authentication: Authentication, uow: UnitOfWork, now: datetime) -> None:
    """Count one use of what proved the device, where its uses are counted."""
    if authentication.code is not None:
        uow.codes.consume(authentication.code, now)
    secret = authentication.group_secret
    if secret is not None and secret.max_uses is not None:
        uow.tallies.take(uses_of(secret.secret_id), most=secret.max_uses)


async def order_of_repetition(
    step: Addressed, proven: Authentication, finding: str, uow: UnitOfWork, trace: DecisionTrace
) -> Order | None:
    """Let a secret that is no longer good prove the very request that used it.

    Gives the order that the request opened, if it got no certificate. With any other key, or too
    late, the secret proves nothing. Raises NotAuthenticated, with this finding.
    """
    now, used = proven.authenticated_at, proven.credential_id
    spki = step.request.certificate_request.spki_sha256
    records = await uow.certificates.of_device(proven.device_id)
    if answer_of(records, step.profile, spki, used, now) is not None:
        return None
    orders = await uow.orders.in_slot(proven.device_id, step.profile.slug)
    since = now - step.profile.replay_window
    order = opened_by(orders, step.request.recognized_by, used, since)
    if order is None:
        raise refused(proven.kind, finding, trace)
    return order


def refused(kind: CredentialKind, finding: str, trace: DecisionTrace) -> NotAuthenticated:
    """Make the refusal of a secret that proves nothing any more."""
    trace.failed(CHECKS[kind], finding)
    return NotAuthenticated("the secret is no longer good", finding=finding)
