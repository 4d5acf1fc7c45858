"""The request holds what its endpoint demands of every request, whoever sends it."""

from enroll.failures import EnrollmentError
from enroll.options import ChallengePasswordRule
from enroll.policy.linking import check_linking
from enroll.profiles import ProtocolName
from enroll.steps import Identified
from enroll.trace import DecisionTrace


def comply(step: Identified, trace: DecisionTrace) -> None:
    """Check what /csrattrs told the device. Raises EnrollmentError."""
    addressed = step.authenticated.addressed
    if addressed.request.origin.protocol is not ProtocolName.EST:
        return
    if addressed.profile.est.challenge_password is ChallengePasswordRule.BINDING:
        _link(step, trace)


def _link(step: Identified, trace: DecisionTrace) -> None:
    """Link identity and proof of possession, each time anew: also for a repeated request."""
    addressed = step.authenticated.addressed
    request = addressed.request
    password = request.certificate_request.challenge_password
    try:
        proven_by = check_linking(password, request.channel, addressed.profile.est)
    except EnrollmentError as error:
        trace.failed("linking", f"{error.finding}: {error.detail}")
        raise
    if proven_by is not None:
        trace.passed("linking", proven_by)
