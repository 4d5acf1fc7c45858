"""The request holds what its endpoint asks of every request, whoever sends it."""

from enroll.failures import EnrollmentError, FailureReason, NotAuthorized, PolicyViolation
from enroll.options import FULL_CMC, ChallengePasswordRule
from enroll.policy.linking import check_linking
from enroll.policy.requirements import missing_from, requirements_of
from enroll.profiles import ProtocolName
from enroll.request import Operation
from enroll.steps import Identified
from enroll.trace import DecisionTrace


def comply(step: Identified, trace: DecisionTrace) -> None:
    """Check again what /csrattrs told the device, as the profile wants it. Raises EnrollmentError.

    The key is judged when the device is authorized, whatever the profile says here.
    """
    addressed = step.authenticated.addressed
    if addressed.request.possession_vouched:
        _check_vouching(step, trace)
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
    if addressed.profile.est.enforce_attributes:
        _check_attributes(step, trace)


def _check_vouching(step: Identified, trace: DecisionTrace) -> None:
    """Take nobody's word for possession but a registration authority's (RFC 4211 §4)."""
    acting = step.authenticated.acting
    if acting is None:
        trace.failed("possession", "only a registration authority may vouch for it")
        raise NotAuthorized(
            "the request proves no possession: its sender vouches for it, and is no registration "
            "authority; see 'enroll trust appoint'",
            finding="possession_vouched",
        )
    trace.passed("possession", f"vouched for by {acting.name}")


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


def _check_attributes(step: Identified, trace: DecisionTrace) -> None:
    addressed = step.authenticated.addressed
    profile, request = addressed.profile, addressed.request
    template = addressed.policy.certificate_profiles[
        (profile.tenant_id, profile.certificate_profile)
    ]
    # Who joins could not know what the registry will call it.
    known = step.device if step.authenticated.newcomer is None else None
    missing = missing_from(
        request.certificate_request,
        requirements_of(profile, template, known),
        names=request.operation is not Operation.RENEWAL,
    )
    if missing:
        trace.failed("attributes", ", ".join(missing))
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            f"the request lacks {', '.join(missing)}, which /csrattrs asks for",
            finding="attributes_missing",
            field=", ".join(missing),
        )
    trace.passed("attributes")
