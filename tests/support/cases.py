"""One table of cases for every protocol: the same rule, the same outcome.

A case arranges a site and gives the request of its last step. Whoever drives it sends that by its
own protocol, and then checks with `check_outcome` what the registry holds.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from enroll.credentials import CredentialKind
from enroll.device import DeviceState, DeviceStatus
from enroll.events import Outcome
from enroll.failures import FailureReason
from enroll.profiles import Approval, CertificateClass, KeyAlgorithm, PolicySnapshot, ReEnrollment
from tests.support import approvals as p
from tests.support import arrangements as a
from tests.support import joining as j
from tests.support import renewals as r
from tests.support.builders import (
    a_certificate_profile,
    a_group,
    a_policy,
    an_enrollment_profile,
)
from tests.support.enrollment import Ask, Site

Arrange = Callable[[Site], Awaitable[Ask]]
BOTH = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.OWN_CERTIFICATE})

ENROLLED, REGISTERED, PROVISIONED, DELETED, UNAPPROVED = (
    DeviceState.ENROLLED,
    DeviceState.REGISTERED,
    DeviceState.PROVISIONED,
    DeviceState.DELETED,
    DeviceState.PENDING_APPROVAL,
)
DISABLED = DeviceStatus.DISABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What happens when `pump-1` does this: a certificate where there is no reason against it.

    Or, where it is `pending`, an order that waits for a person.
    `state` and `status` are the device's afterwards; `fault` is the part of the request at fault.
    """

    row: str
    arrange: Arrange
    reason: FailureReason | None = None
    finding: str | None = None
    fault: str | None = None
    state: DeviceState
    status: DeviceStatus = DeviceStatus.ENABLED
    repeated: bool = False
    pending: bool = False
    policy: PolicySnapshot = field(default_factory=a_policy)

    @property
    def name(self) -> str:
        return f"{self.row}-{self.arrange.__name__}"


async def check_outcome(site: Site, case: Case, certificates_before: int) -> None:
    """Check what the registry holds after the last step, whichever way that came."""
    attempt = (await site.attempts())[0]
    device = await site.device()
    new = len(await site.certificates()) - certificates_before

    assert (attempt.reason, attempt.finding) == (case.reason, case.finding), attempt.detail
    assert attempt.outcome is _outcome(case), attempt
    assert all(each.passed for each in attempt.trace) is (case.reason is None), attempt.trace
    assert (device.state, device.status) == (case.state, case.status)
    assert new == (1 if attempt.outcome is Outcome.ISSUED else 0)


def _outcome(case: Case) -> Outcome:
    if case.reason is FailureReason.CA_UNAVAILABLE:
        return Outcome.FAILED
    if case.reason is not None:
        return Outcome.DENIED
    if case.pending:
        return Outcome.PENDING
    return Outcome.REPEATED if case.repeated else Outcome.ISSUED


def _refused(
    row: str,
    arrange: Arrange,
    finding: str,
    state: DeviceState = ENROLLED,
    *,
    reason: FailureReason = FailureReason.NOT_AUTHORIZED,
    **more: Any,
) -> Case:
    return Case(row=row, arrange=arrange, reason=reason, finding=finding, state=state, **more)


def _unproven(row: str, arrange: Arrange, finding: str, state: DeviceState, **more: Any) -> Case:
    return _refused(row, arrange, finding, state, reason=FailureReason.NOT_AUTHENTICATED, **more)


def _conflict(row: str, arrange: Arrange, finding: str, fault: str | None = None) -> Case:
    reason = FailureReason.TRANSACTION_CONFLICT
    return _refused(row, arrange, finding, reason=reason, fault=fault)


def _issued(row: str, arrange: Arrange, state: DeviceState, **more: Any) -> Case:
    return Case(row=row, arrange=arrange, state=state, **more)


def _held(row: str, arrange: Arrange, state: DeviceState = ENROLLED, **more: Any) -> Case:
    return Case(row=row, arrange=arrange, pending=True, state=state, **more)


def _with(slug: str, **changes: Any) -> PolicySnapshot:
    return a_policy(an_enrollment_profile(slug, **changes))


_UNPROVEN = (
    _unproven("est-T8", a.unknown_name, "identity_unknown", ENROLLED),
    _unproven("est-T8", a.wrong_code, "code_wrong", ENROLLED),
    _unproven("est-T8", a.code_of_another, "code_wrong", ENROLLED),
    _unproven("est-T8", a.expired_code, "code_expired", ENROLLED),
    _unproven("lifecycle-T23", a.revoked_code, "code_revoked", ENROLLED),
    _unproven("est-T8", a.code_of_a_deleted_device, "identity_unknown", DELETED),
    _unproven("security-E5", a.code_at_another_tenant, "identity_unknown", ENROLLED),
    _unproven("est-T8", a.nothing_shown, "no_credential", ENROLLED),
    _unproven("est-H13", a.code_where_none_is_taken, "credential_not_accepted", ENROLLED),
    _unproven("lifecycle-2.7d", a.used_code_with_another_key, "code_reused", REGISTERED),
    _unproven("lifecycle-T13", a.used_code_with_its_key_too_late, "code_reused", REGISTERED),
    _unproven("errors-1", a.used_code_naming_another, "code_reused", REGISTERED),
    _unproven(
        "errors-1", a.used_code_of_a_disabled_device, "code_reused", REGISTERED, status=DISABLED
    ),
    _unproven("lifecycle-T13", a.repetition_of_what_was_revoked, "code_reused", REGISTERED),
    _unproven("est-E8", r.with_nothing_shown, "no_credential", REGISTERED),
    _unproven(
        "est-E8",
        r.with_nothing_shown,
        "no_credential",
        REGISTERED,
        policy=_with("bootstrap", renewal_credentials=BOTH),
    ),
)
_REFUSED_BY_STATE = (
    _refused("lifecycle-T15", a.disabled_with_a_code, "device_disabled", status=DISABLED),
    _refused(
        "lifecycle-T13",
        a.repetition_of_a_disabled_device,
        "device_disabled",
        REGISTERED,
        status=DISABLED,
    ),
    _refused(
        "lifecycle-2.8",
        a.certificate_where_none_is_taken,
        "credential_not_sufficient",
        REGISTERED,
    ),
    _refused("lifecycle-T12", a.left_over_code, "re_enrollment_refused", REGISTERED),
    _refused(
        "lifecycle-T12",
        a.left_over_code_for_a_waiting_replacement,
        "re_enrollment_refused",
        REGISTERED,
    ),
    _refused(
        "lifecycle-T12",
        a.fresh_code,
        "re_enrollment_refused",
        REGISTERED,
        policy=_with("bootstrap", re_enrollment=ReEnrollment.DENY),
    ),
    _refused(
        "lifecycle-T12",
        r.another_for_the_other_slot,
        "re_enrollment_refused",
        PROVISIONED,
        policy=_with("operational", re_enrollment=ReEnrollment.DENY),
    ),
    _refused(
        "lifecycle-2.3",
        r.by_a_certificate_of_the_wrong_slot,
        "credential_not_sufficient",
        PROVISIONED,
    ),
    _refused("lifecycle-2.7h", r.by_a_superseded_certificate, "certificate_superseded", REGISTERED),
)
_ELSEWHERE = (_refused("security-E5", a.certificate_at_another_tenant, "wrong_tenant", REGISTERED),)
_CONFLICTS = tuple(
    _refused(row, arrange, "identity_conflict", state)
    for row, arrange, state in (
        ("security-T2", a.subject_of_another, ENROLLED),
        ("security-T2", a.common_name_with_the_serial_number_of_another, ENROLLED),
        ("security-T2", a.serial_number_of_another, ENROLLED),
        ("security-T2", a.serial_number_with_the_name_of_another, ENROLLED),
        ("security-T2", a.uri_of_another, ENROLLED),
        ("security-T2", a.dns_name_of_another, ENROLLED),
        ("lifecycle-2.3", a.key_pinned_to_another, ENROLLED),
        ("lifecycle-2.3", a.user_name_of_another_beside_a_certificate, REGISTERED),
        ("lifecycle-2.3", a.certificate_of_another_beside_a_code, ENROLLED),
    )
)
_KEYS = (
    _refused("lifecycle-2.7g", a.key_of_another, "key_reuse", fault="publicKey"),
    _refused("security-C5", a.compromised_key, "key_compromised", REGISTERED, fault="publicKey"),
    _refused(
        "security-C5",
        a.compromised_key_of_another_certificate,
        "key_compromised",
        REGISTERED,
        reason=FailureReason.CERTIFICATE_REVOKED,
    ),
    _refused(
        "security-C4",
        a.first_enrollment,
        "key_not_allowed",
        reason=FailureReason.BAD_CERTIFICATE_TEMPLATE,
        fault="publicKey",
        policy=a_policy(a_certificate_profile(key_algorithms=frozenset({KeyAlgorithm.P_384}))),
    ),
    _refused("est-E7", r.with_the_same_key, "key_reused", REGISTERED, fault="publicKey"),
    _refused("lifecycle-T13", r.repeated_too_late, "key_reused", REGISTERED, fault="publicKey"),
)
_UNAVAILABLE = (
    _refused(
        "lifecycle-2.8",
        a.first_enrollment,
        "ca_unavailable",
        reason=FailureReason.CA_UNAVAILABLE,
        policy=_with("bootstrap", issuer="elsewhere"),
    ),
    _refused(
        "security-K1",
        a.first_enrollment_when_the_clock_went_back,
        "clock_wrong",
        reason=FailureReason.CA_UNAVAILABLE,
    ),
)
_ASKING = _with("bootstrap", decision_webhook="inventory")
_ASKED = (
    _refused("lifecycle-SM12", a.denied_by_a_webhook, "webhook_denied", policy=_ASKING),
    _refused(
        "lifecycle-SM12",
        a.webhook_away,
        "webhook_unavailable",
        reason=FailureReason.CA_UNAVAILABLE,
        policy=_ASKING,
    ),
    _issued("lifecycle-SM12", a.allowed_by_a_webhook, REGISTERED, policy=_ASKING),
    _issued(
        "lifecycle-T13",
        a.repetition_that_a_webhook_would_deny,
        REGISTERED,
        repeated=True,
        policy=_ASKING,
    ),
)
_NAMES = tuple(
    _refused("est-E6", arrange, "name_changed", REGISTERED, fault=fault, policy=policy)
    for arrange, fault, policy in (
        (r.with_another_subject, "subject", a_policy()),
        (r.with_more_names, "subjectAltName", a_policy()),
        (r.with_other_names, "subjectAltName", a_policy()),
        (r.changing_its_subject, "subject", a_policy()),
        (r.changing_its_names, "subjectAltName", a_policy()),
        (
            r.by_a_code_with_another_subject,
            "subject",
            _with("bootstrap", renewal_credentials=BOTH),
        ),
    )
)
_RENEWALS_REFUSED = (
    _refused("est-E10", r.first_enrollment_changing_its_subject, "name_changed", fault="subject"),
    _refused(
        "lifecycle-T10",
        r.too_early,
        "renewal_too_early",
        REGISTERED,
        policy=_with("bootstrap", allow_replace=False),
    ),
    _refused("est-T7", r.after_the_end, "certificate_expired", REGISTERED),
    _refused(
        "lifecycle-2.7h",
        r.by_its_predecessor_once_it_was_used,
        "certificate_superseded",
        REGISTERED,
    ),
    _refused(
        "lifecycle-2.7h",
        r.by_its_predecessor_once_time_confirmed_it,
        "certificate_superseded",
        REGISTERED,
    ),
    _refused("est-E8", r.in_the_slot_of_another_profile, "wrong_certificate_for_slot", REGISTERED),
    _refused(
        "est-E8",
        r.by_a_code_with_nothing_to_renew,
        "nothing_to_renew",
        policy=_with("bootstrap", renewal_credentials=BOTH),
    ),
)
_ISSUED = (
    _issued("lifecycle-T07", a.first_enrollment, REGISTERED),
    _issued("interface-code", a.code_in_lower_case_without_hyphens, REGISTERED),
    _issued("interface-code", a.named_by_serial_number, REGISTERED),
    _issued("interface-code", a.code_made_while_disabled, REGISTERED),
    _issued("lifecycle-2.3", a.names_of_nobody, REGISTERED),
    _issued("lifecycle-2.3", a.own_name_that_is_the_serial_number_of_another, REGISTERED),
    _issued("lifecycle-2.3", a.certificate_of_nobody_beside_a_code, REGISTERED),
    _issued("lifecycle-T12", a.fresh_code, REGISTERED),
    _issued("lifecycle-T23", a.reset_after_expiry, REGISTERED),
    _issued("lifecycle-T13", a.used_code_with_its_key, REGISTERED, repeated=True),
    _issued("lifecycle-T13", a.repetition_after_the_code_expired, REGISTERED, repeated=True),
    _issued("lifecycle-T09", r.first_of_another_slot, PROVISIONED),
    _issued("lifecycle-T12", r.another_for_the_other_slot, PROVISIONED),
    _issued("est-E5", r.the_same_again_for_the_other_slot, PROVISIONED, repeated=True),
    _issued("lifecycle-T10", r.in_time, REGISTERED),
    _issued("interface-slot", r.without_a_profile, PROVISIONED),
    _issued("est-E6", r.with_the_same_names, REGISTERED),
    _issued("est-E6", r.in_other_case, REGISTERED),
    _issued("est-E6", r.changing_its_names_to_the_registrys, REGISTERED),
    _issued("lifecycle-2.7a", r.by_a_waiting_replacement, REGISTERED),
    _issued("est-E5", r.by_its_predecessor_while_it_waits, REGISTERED),
    _issued("est-E5", r.repeated_once_time_confirmed_it, REGISTERED, repeated=True),
    _issued("est-T7", r.in_the_last_second, REGISTERED),
    _issued("est-E8", r.by_a_certificate_beside_a_wrong_code, REGISTERED),
    _issued(
        "est-E7",
        r.with_the_same_key,
        REGISTERED,
        policy=_with("bootstrap", allow_same_key=True),
    ),
    _issued(
        "lifecycle-T10",
        r.just_in_the_window,
        REGISTERED,
        policy=_with("bootstrap", allow_replace=False),
    ),
    _issued("est-E8", r.by_a_code, REGISTERED, policy=_with("bootstrap", renewal_credentials=BOTH)),
    _issued(
        "lifecycle-T08",
        a.first_enrollment,
        PROVISIONED,
        policy=a_policy(
            an_enrollment_profile(certificate_class=CertificateClass.OPERATIONAL),
            a_group(required_profiles=("bootstrap",)),
        ),
    ),
)
_DECIDED_BY_PEOPLE = tuple(
    replace(case, policy=a_policy(p.a_manual_group()))
    for case in (
        _held("est-E4", a.first_enrollment),
        _held("est-E4", p.repeated_while_it_waits),
        _held("est-E4", p.another_code_with_the_same_key),
        _issued("est-E4", p.repeated_when_approved, REGISTERED),
        _issued("est-E4", p.approved_after_the_code_expired, REGISTERED),
        _issued("est-E4", p.approved_late_and_collected_late, REGISTERED),
        _issued("est-E5", p.collected_and_repeated, REGISTERED, repeated=True),
        _refused("est-E4", p.repeated_when_rejected, "approval_rejected"),
        _refused("est-E4", p.repeated_when_rejected_after_approval, "approval_rejected"),
        _refused("est-E4", p.rejected_and_another_code_from_before, "approval_rejected"),
        _unproven("est-E4", p.rejected_long_ago, "code_reused", ENROLLED),
        _held("est-E4", p.rejected_and_a_code_made_since),
        _refused("est-E4", p.over_and_not_yet_swept, "approval_expired"),
        _refused("est-E4", p.expired_undecided, "approval_expired"),
        _refused("est-E4", p.approved_and_not_collected, "approval_expired"),
        _unproven("lifecycle-2.7d", p.its_code_with_another_key, "code_reused", ENROLLED),
        _conflict("est-E4", p.another_code_with_another_key, "order_of_another_key", "publicKey"),
        _conflict("est-E4", p.with_another_subject, "order_of_other_names"),
        _conflict("est-E4", p.with_other_names, "order_of_other_names"),
        _refused(
            "lifecycle-T15", p.of_a_device_disabled_meanwhile, "device_disabled", status=DISABLED
        ),
        _refused("lifecycle-T15", p.of_a_device_disabled_and_enabled, "approval_cancelled"),
    )
) + tuple(
    replace(case, policy=a_policy())
    for case in (
        _held("est-E11", p.other_slot, REGISTERED),
        _held("est-E11", p.renewal_in_time, REGISTERED),
        _held("est-E11", p.renewal_asked_again_after_it_expired, REGISTERED),
        _held("est-E11", p.renewal_rejected_and_asked_with_another_key, REGISTERED),
        _issued("est-E11", p.renewal_approved, REGISTERED),
        _issued("est-E11", p.renewal_where_only_beginnings_are_decided, REGISTERED),
        _refused("est-E11", p.renewal_rejected, "approval_rejected", REGISTERED),
    )
)
_SCREENED = tuple(
    replace(case, policy=a_policy(p.a_screened_group()))
    for case in (
        _held("lifecycle-T02", a.first_enrollment, UNAPPROVED),
        _held("lifecycle-T02", p.repeated_while_it_waits, UNAPPROVED),
        _issued("lifecycle-T03", p.of_a_device_let_in, REGISTERED),
        _unproven("lifecycle-T03", p.of_a_device_turned_away, "identity_unknown", DELETED),
        _unproven("lifecycle-T04", p.of_a_device_nobody_let_in, "identity_unknown", DELETED),
    )
)
_VOUCHED_FOR_BY_PEOPLE = tuple(
    replace(case, policy=_with("bootstrap", re_enrollment=ReEnrollment.APPROVE))
    for case in (
        _issued("lifecycle-T12", a.first_enrollment, REGISTERED),
        _issued("lifecycle-T12", a.fresh_code, REGISTERED),
        _held("lifecycle-T12", a.left_over_code, REGISTERED),
        _issued("lifecycle-T12", p.left_over_code_approved, REGISTERED),
        _refused("lifecycle-T12", p.left_over_code_rejected, "approval_rejected", REGISTERED),
        _issued("lifecycle-T10", r.in_time, REGISTERED),
    )
)
_SCREENED_TWICE = (
    _held(
        "lifecycle-T03",
        p.of_a_device_let_in,
        policy=a_policy(p.a_screened_group(approval=Approval.MANUAL)),
    ),
    _issued(
        "est-E4",
        p.of_a_group_that_decides_no_more,
        REGISTERED,
        policy=a_policy(p.a_manual_group()),
    ),
)
_BY_PASSCODES = tuple(
    replace(case, policy=a_policy(j.a_group_to_join(), j.a_profile_that_asks_names()))
    for case in (
        _unproven("lifecycle-DC16", j.by_an_expired_passcode, "passcode_expired", ENROLLED),
        _unproven("lifecycle-DC16", j.by_a_passcode_used_up, "passcode_exhausted", REGISTERED),
        _refused("lifecycle-2.7e", j.another_of_its_name, "clone_suspected", REGISTERED),
        _issued("lifecycle-DC16", j.registered_before, REGISTERED),
        _issued("lifecycle-DC16", j.the_last_use_repeated, REGISTERED, repeated=True),
        _issued("lifecycle-T05", j.joins, REGISTERED),
        _issued("lifecycle-T13", j.joins_and_asks_again, REGISTERED, repeated=True),
    )
) + tuple(
    replace(case, policy=a_policy(j.a_group_to_be_let_in(), j.a_profile_that_asks_names()))
    for case in (
        _held("lifecycle-T05", j.joins_and_waits, UNAPPROVED),
        _issued("lifecycle-T03", j.joins_and_was_let_in, REGISTERED),
    )
)
CASES = (
    *_UNPROVEN,
    *_REFUSED_BY_STATE,
    *_ELSEWHERE,
    *_CONFLICTS,
    *_KEYS,
    *_UNAVAILABLE,
    *_ASKED,
    *_NAMES,
    *_RENEWALS_REFUSED,
    *_ISSUED,
    *_DECIDED_BY_PEOPLE,
    *_SCREENED,
    *_VOUCHED_FOR_BY_PEOPLE,
    *_SCREENED_TWICE,
    *_BY_PASSCODES,
)
