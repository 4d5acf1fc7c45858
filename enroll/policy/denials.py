"""What a refusal leaves in the history of the device that it concerns."""

from datetime import datetime

from enroll.events import EnrollmentEvent, EventName
from enroll.failures import EnrollmentError, FailureReason
from enroll.policy.chronicle import Chronicle
from enroll.trace import DecisionTrace, Joining

FAILED = frozenset({FailureReason.CA_UNAVAILABLE, FailureReason.INTERNAL})
"""What failed was not refused: an outage leaves attempts, and no more."""

_DENIALS = {
    "code_reused": EventName.CODE_REUSED,
    "certificate_superseded": EventName.ENROLLMENT_CLONE_SUSPECTED,
    "key_reuse": EventName.ENROLLMENT_CLONE_SUSPECTED,
    "clone_suspected": EventName.ENROLLMENT_CLONE_SUSPECTED,
}


def denial_events(
    error: EnrollmentError, trace: DecisionTrace, at: datetime
) -> tuple[EnrollmentEvent, ...]:
    """Write what a proven device was refused into its history; strangers leave none.

    A key that is another device's is told in the histories of both (clone case g).
    """
    if error.reason in FAILED:
        return ()
    if trace.joining is not None and trace.device is None:
        return _not_joined(error, trace, trace.joining, at)
    if trace.device is None:
        return ()
    if not (trace.proven or error.finding == "code_reused"):
        return ()
    chronicle = Chronicle(actor="system", at=at, correlation_id=trace.origin.correlation_id)
    name = _DENIALS.get(error.finding, EventName.ENROLLMENT_DENIED)
    facts: dict[str, object] = {
        "reason": error.reason.value,
        "finding": error.finding,
        "peer_address": trace.origin.peer_address,
    }
    if trace.registration_authority is not None:
        facts["registration_authority"] = trace.registration_authority
    own = trace.device.device_id
    if trace.rivals:
        facts |= {"requested_by": own, "rivals": list(trace.rivals)}
    concerned = (own, *trace.rivals) if error.finding == "key_reuse" else (own,)
    return tuple(chronicle.event(name, each, **facts) for each in concerned)


def _not_joined(
    error: EnrollmentError, trace: DecisionTrace, joining: Joining, at: datetime
) -> tuple[EnrollmentEvent, ...]:
    """Tell that a device was not let in, and those whose key it brought."""
    chronicle = Chronicle(actor="system", at=at, correlation_id=trace.origin.correlation_id)
    facts: dict[str, object] = {
        "device_name": joining.name,
        "group": joining.group,
        "reason": error.reason.value,
        "finding": error.finding,
        "peer_address": trace.origin.peer_address,
        **({"rivals": list(trace.rivals)} if trace.rivals else {}),
    }
    told = [chronicle.event(EventName.DEVICE_AUTO_PROVISION_FAILED, None, **facts)]
    if error.finding == "key_reuse":
        name = EventName.ENROLLMENT_CLONE_SUSPECTED
        told += [chronicle.event(name, each, **facts) for each in trace.rivals]
    return tuple(told)
