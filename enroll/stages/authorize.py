"""This device may have a certificate of this profile now, or has had this very one already."""

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.credentials import CredentialKind
from enroll.device import TRANSITIONS, Cause, DeviceState, DeviceStatus
from enroll.failures import (
    EnrollmentError,
    FailureReason,
    NotAuthenticated,
    NotAuthorized,
)
from enroll.orders import Order, OrderState
from enroll.policy.approval import (
    check_not_over,
    check_same_wish,
    needs_decision,
    order_for,
)
from enroll.policy.key_generation import chosen_algorithm
from enroll.policy.keys import check_public_key
from enroll.policy.names import (
    alternative_names_for,
    check_unchanged_names,
    same_alternative_names,
    same_name,
    subject_for,
)
from enroll.policy.renewal import (
    check_not_superseded,
    check_rekey,
    check_renewable_by,
    check_window,
)
from enroll.policy.repetition import answer_of
from enroll.policy.slots import active_in, first_issue
from enroll.ports import Clock, UnitOfWork
from enroll.profiles import CertificateProfile, KeyAlgorithm, ReEnrollment
from enroll.request import Operation
from enroll.stages.transaction import check_transaction, check_waiting
from enroll.steps import Addressed, Authorized, Held, Identified, Repeated
from enroll.trace import DecisionTrace


class Authorize:
    """The one gate before issuing; every protocol's request passes it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(
        self, step: Identified, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authorized | Held | Repeated:
        """Permit, hold for a person's decision, or refuse.

        Raises NotAuthorized, NotAuthenticated (a spent code), PolicyViolation, EnrollmentError.
        """
        try:
            return await self._judge(step, uow, trace)
        except EnrollmentError as error:
            trace.failed("authorization", error.finding)
            raise

    async def _judge(
        self, step: Identified, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authorized | Held | Repeated:
        addressed = step.authenticated.addressed
        template = _template(addressed)
        _check_enabled(step)
        check_names(step)
        repeated = self._repeated(step, trace)
        await check_transaction(step, repeated, uow)
        if repeated is not None:
            return repeated
        order = await self._order(step, uow)
        if step.authenticated.repeat_only and order is None:
            raise NotAuthenticated(
                "the code was used, and what it got is no longer good", finding="code_reused"
            )
        algorithm = _algorithm(step, template)
        await _check_key_owner(step, uow, trace)
        cause = self._cause(step)
        if _must_wait(step, order):
            trace.passed("approval", f"order {order.order_id} is pending" if order else "needed")
            return Held(identified=step, order=order, key_algorithm=algorithm)
        if (step.device.state, cause) not in TRANSITIONS:
            raise NotAuthorized(
                f"a device that is {step.device.state} cannot {cause}", finding="state_conflict"
            )
        if order is not None:
            trace.passed("approval", f"order {order.order_id}")
        trace.passed("authorization", cause)
        presented = step.authenticated.presented
        waiting = presented is not None and presented.status is CertificateStatus.PENDING_CONFIRM
        return Authorized(
            identified=step,
            cause=cause,
            certificate_profile=template,
            key_algorithm=algorithm,
            confirms=presented if waiting else None,
            order=order,
        )

    async def _order(self, step: Identified, uow: UnitOfWork) -> Order | None:
        """Find the order that the request belongs to, where a person decides or has to."""
        addressed = step.authenticated.addressed
        request, now = addressed.request, self._clock.now()
        order = step.authenticated.order
        if order is not None:
            check_same_wish(order, request, step.authenticated.authentication.credential_id)
            check_not_over(order, now)
            return order if order.is_open else None
        if not _needs_person(step):
            return None
        await check_waiting(step, uow)
        orders = await uow.orders.in_slot(step.device.device_id, addressed.profile.slug)
        return order_for(orders, request, step.authenticated.authentication, now)

    def _repeated(self, step: Identified, trace: DecisionTrace) -> Repeated | None:
        """Recognize the request that this credential already got a certificate for (T-13)."""
        addressed = step.authenticated.addressed
        record = answer_of(
            (each for each in step.live if each.status is not CertificateStatus.ON_HOLD),
            addressed.profile,
            addressed.request.certificate_request.spki_sha256,
            step.authenticated.authentication.credential_id,
            self._clock.now(),
        )
        if record is None:
            return None
        trace.passed("repetition", record.serial_number)
        return Repeated(identified=step, record=record)

    def _cause(self, step: Identified) -> Cause:
        if step.authenticated.addressed.request.operation is Operation.RENEWAL:
            return self._renewal(step)
        return self._initial(step)

    def _renewal(self, step: Identified) -> Cause:
        profile = step.authenticated.addressed.profile
        presented = step.authenticated.presented
        if presented is not None:
            check_renewable_by(presented, profile)
        current = _renewed(step)
        if current is None:
            raise NotAuthorized("there is no certificate to renew", finding="nothing_to_renew")
        check_window(current, profile, self._clock.now())
        _check_rekey(step)
        return Cause.RENEW

    def _initial(self, step: Identified) -> Cause:
        profile = step.authenticated.addressed.profile
        presented = step.authenticated.presented
        if presented is not None:
            if presented.profile not in profile.own_certificates_of:
                raise NotAuthorized(
                    f"a {presented.profile!r} certificate does not enroll for {profile.slug!r}",
                    finding="credential_not_sufficient",
                )
            check_not_superseded(presented)
        if active_in(step.live, profile.slug) is None:
            return first_issue(profile.certificate_class)
        _check_re_enrollment(step)
        _check_rekey(step)
        return Cause.RE_ENROLL


def _template(addressed: Addressed) -> CertificateProfile:
    profile = addressed.profile
    return addressed.policy.certificate_profiles[(profile.tenant_id, profile.certificate_profile)]


def _algorithm(step: Identified, template: CertificateProfile) -> KeyAlgorithm:
    """Judge the key that was brought, or choose the one that is to be made."""
    addressed = step.authenticated.addressed
    request = addressed.request
    if request.certificate_request.public_key is not None:
        return check_public_key(request.certificate_request.public_key, template.key_algorithms)
    if request.key_wish is None:
        raise NotAuthorized("the request brings no key, and asks for none", finding="no_key")
    return chosen_algorithm(request.key_wish.spki, addressed.profile.est, template.key_algorithms)


def _must_wait(step: Identified, order: Order | None) -> bool:
    """Tell whether a person still has to decide. Where nobody has to any more, an order is moot.

    A device that was never let in has no certificate to show: one that does is not held, but
    refused for its state.
    """
    if order is not None and order.state is OrderState.APPROVED:
        return False
    unapproved = step.device.state is DeviceState.PENDING_APPROVAL
    if unapproved and step.authenticated.presented is not None:
        return False
    return _needs_person(step)


def _needs_person(step: Identified) -> bool:
    """Tell whether a person decides: as the group says, or on a filled slot as the profile does."""
    addressed = step.authenticated.addressed
    shown = step.authenticated.authentication.kind
    if needs_decision(step.device, step.group, addressed.request.operation, shown):
        return True
    return (
        addressed.profile.re_enrollment is ReEnrollment.APPROVE
        and addressed.request.operation is Operation.INITIAL
        and active_in(step.live, addressed.profile.slug) is not None
        and not _may_re_enroll(step)
    )


def _renewed(step: Identified) -> CertificateRecord | None:
    """Give the certificate to renew: the one presented, or else the one that fills the slot."""
    slot = step.authenticated.addressed.profile.slug
    return step.authenticated.presented or active_in(step.live, slot)


def _check_enabled(step: Identified) -> None:
    if step.device.status is DeviceStatus.DISABLED:
        raise NotAuthorized("the device is disabled", finding="device_disabled")
    presented = step.authenticated.presented
    if presented is not None and presented.status is CertificateStatus.ON_HOLD:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_REVOKED,
            "the presented certificate is on hold",
            finding="certificate_on_hold",
        )


def check_names(step: Identified) -> None:
    """Demand the names of the certificate being renewed (RFC 7030 §4.2.2).

    Permit ChangeSubjectName (RFC 6402 §2.8) only towards the names that the registry gives. Raises
    NotAuthorized.
    """
    addressed = step.authenticated.addressed
    template = _template(addressed)
    request = addressed.request.certificate_request
    if addressed.request.operation is Operation.RENEWAL:
        renewed = _renewed(step)
        if renewed is not None:
            check_unchanged_names(
                renewed.certificate, request.subject, request.subject_alternative_names
            )
    subject = request.change_subject_name
    if subject is not None and not same_name(subject, subject_for(step.device, template)):
        raise NotAuthorized(
            "ChangeSubjectName asks for a subject other than the registry's",
            finding="name_changed",
            field="subject",
        )
    names = request.change_subject_alternative_names
    if names is not None and not same_alternative_names(
        names, alternative_names_for(step.device, template)
    ):
        raise NotAuthorized(
            "ChangeSubjectName asks for alternative names other than the registry's",
            finding="name_changed",
            field="subjectAltName",
        )


async def _check_key_owner(step: Identified, uow: UnitOfWork, trace: DecisionTrace) -> None:
    """One public key belongs to one device, for ever after a compromise (C5)."""
    spki = step.authenticated.addressed.request.certificate_request.spki_sha256
    key = await uow.keys.find(spki)
    if key is None:
        return
    if key.compromised:
        raise NotAuthorized(
            "the key is known to be compromised", finding="key_compromised", field="publicKey"
        )
    if key.device_id is not None and key.device_id != step.device.device_id:
        trace.rivals = (key.device_id,)
        raise NotAuthorized(
            f"the key belongs to device {key.device_id}", finding="key_reuse", field="publicKey"
        )


def _check_rekey(step: Identified) -> None:
    addressed = step.authenticated.addressed
    spki = addressed.request.certificate_request.spki_sha256
    check_rekey(spki, _in_slot(step), addressed.profile)


def _check_re_enrollment(step: Identified) -> None:
    """Judge T-12: another first certificate for a slot that is filled. Raises NotAuthorized."""
    policy = step.authenticated.addressed.profile.re_enrollment
    if _may_re_enroll(step) or policy is ReEnrollment.APPROVE:
        return
    if _is_shared(step):
        raise NotAuthorized(
            "the slot holds a certificate, and whoever shares what was shown may be another "
            "device; reset the device to let it begin again",
            finding="clone_suspected",
        )
    raise NotAuthorized(
        "the slot holds a certificate; make a new code for the device, or reset it",
        finding="re_enrollment_refused",
    )


def _may_re_enroll(step: Identified) -> bool:
    """Tell whether the credential by itself is enough for a slot that is filled.

    A code approves it if it was made after the newest certificate of the slot was issued; a
    certificate that devices share never does (rule 5 of lifecycle §2.3, clone case e).
    """
    if _is_shared(step):
        return False
    authentication = step.authenticated.authentication
    policy = step.authenticated.addressed.profile.re_enrollment
    code = authentication.code
    fresh = authentication.kind not in {CredentialKind.AUTH_CA, CredentialKind.RA} and (
        code is None or all(code.created_at > each.issued_at for each in _in_slot(step))
    )
    by_freshness = policy in {ReEnrollment.FRESH_CODE, ReEnrollment.APPROVE}
    return policy is ReEnrollment.ALLOW or (by_freshness and fresh)


def _is_shared(step: Identified) -> bool:
    """Tell whether what proved the device may be in the hands of others."""
    shown = step.authenticated.third_party
    by_group = step.authenticated.authentication.kind is CredentialKind.GROUP_SECRET
    return by_group or (shown is not None and shown.shared)


def _in_slot(step: Identified) -> tuple[CertificateRecord, ...]:
    slot = step.authenticated.addressed.profile.slug
    return tuple(each for each in step.live if each.profile == slot)
