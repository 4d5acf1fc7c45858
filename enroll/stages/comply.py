"""The request holds what its endpoint demands of every request, whoever sends it."""

from enroll.failures import EnrollmentError, NotAuthorized
from enroll.options import FULL_CMC, ChallengePasswordRule
from enroll.policy.linking import check_linking
from enroll.profiles import ProtocolName
from enroll.steps import Identified
from enroll.trace import DecisionTrace


def comply(step: Identified, trace: DecisionTrace) -> None:
    """Check what /csrattrs told the device. Raises EnrollmentError."""
    addressed = step.authenticated.addressed
    if addressed.request.origin.protocol is not ProtocolName.EST:
        return
    if addressed.request.origin.operation == FULL_CMC and not addressed.profile.est.fullcmc:
        trace.failed("operation", FULL_CMC)
        raise NotAuthorized(
            f"profile {addressed.profile.slug!r} does not serve {FULL_CMC}; set est.fullcmc=true",
            finding="operation_off",
        )
    if addressed.profile.est.challenge_password is ChallengePasswordRule.BINDING:
        _link(step, trace)


def _link(step: Identified, trace: DecisionTrace) -> None:
    """Link identity and proof of possession, each time anew: also for a repeated request."""
    addressed = step.authenticated.addressed
    request = addressed.request
    password = request.certificate_request.challenge_password
    if step.authenticated.acting is not None and password is not None:
        # It may be the binding of the device's connection to its RA (RFC 7030 §3.7, est-T15).
        trace.passed("linking", "left to the registration authority")
        return
    try:
        proven_by = check_linking(password, request.channel, addressed.profile.est)
    except EnrollmentError as error:
        trace.failed("linking", f"{error.finding}: {error.detail}")
        raise
    if proven_by is not None:
        trace.passed("linking", proven_by)
