"""The account that is given of one decision: its attempt, and what the caller is told of a no."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from enroll.certificates import CertificateRecord
from enroll.events import Attempt, Outcome
from enroll.failures import AuthorityUnavailable, EnrollmentError, RateLimited
from enroll.policy.denials import FAILED, denial_events
from enroll.policy.device_names import MAXIMUM_NAME_LENGTH
from enroll.ports import UnitOfWork
from enroll.result import Judged, Rejected
from enroll.trace import DecisionTrace


def attempt(
    trace: DecisionTrace, outcome: Outcome, at: datetime, serial_number: str | None = None
) -> Attempt:
    """Write the attempt of a decision that was made at this time."""
    origin = trace.origin
    wanted = trace.request.certificate_request if trace.request else None
    return Attempt(
        attempt_id=origin.correlation_id,
        occurred_at=origin.received_at,
        protocol=origin.protocol,
        operation=origin.operation,
        profile=origin.profile,
        peer_address=origin.peer_address,
        outcome=outcome,
        device_id=trace.device.device_id if trace.device else None,
        device_name=_name(trace),
        serial_number=serial_number,
        request_sha256=wanted.der_sha256 if wanted else None,
        spki_sha256=(wanted.spki_sha256 or None) if wanted else None,
        client_certificate_sha256=origin.client_certificate_sha256,
        registration_authority=trace.registration_authority or origin.relayed_by,
        trace=tuple(trace.checks),
        latency_us=max(0, (at - origin.received_at) // timedelta(microseconds=1)),
    )


def _name(trace: DecisionTrace) -> str | None:
    if trace.device is not None:
        return trace.device.name
    return trace.joining.name[:MAXIMUM_NAME_LENGTH] if trace.joining is not None else None


def refused_attempt(error: EnrollmentError, trace: DecisionTrace, at: datetime) -> Attempt:
    outcome = Outcome.FAILED if error.reason in FAILED else Outcome.DENIED
    return replace(
        attempt(trace, outcome, at),
        reason=error.reason.value,
        finding=error.finding,
        detail=error.detail,
    )


def rejected(error: EnrollmentError, trace: DecisionTrace) -> Rejected:
    """Word a refusal; if no check failed before it, it is the issuing or the reading that did."""
    if all(each.passed for each in trace.checks):
        trace.failed("issuing" if trace.request else "message", error.finding)
    retry_after = (
        error.retry_after if isinstance(error, AuthorityUnavailable | RateLimited) else None
    )
    return Rejected(
        reason=error.reason,
        correlation_id=trace.origin.correlation_id,
        detail=error.detail,
        finding=error.finding,
        field=error.field,
        accepted=trace.accepted,
        profile=trace.profile,
        retry_after=retry_after,
    )


def stage_account(
    rulings: Sequence[CertificateRecord | EnrollmentError],
    uow: UnitOfWork,
    trace: DecisionTrace,
    at: datetime,
) -> None:
    """Stage the attempt of a revocation request: refused only if nothing in it was done."""
    done = [each for each in rulings if isinstance(each, CertificateRecord)]
    if done:
        uow.attempts.add(attempt(trace, Outcome.REVOKED, at, done[0].serial_number))
        return
    for error in rulings[:1]:
        assert isinstance(error, EnrollmentError)  # noqa: S101 - nothing else is left
        uow.attempts.add(refused_attempt(error, trace, at))
        for event in denial_events(error, trace, at):
            uow.events.append(event)


def judged(rulings: Sequence[CertificateRecord | EnrollmentError], trace: DecisionTrace) -> Judged:
    return Judged(
        refusals=tuple(
            rejected(each, trace) if isinstance(each, EnrollmentError) else None for each in rulings
        )
    )
