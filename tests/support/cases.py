"""One table of cases for every protocol: the same rule, the same outcome.

A case arranges a site and gives the request of its last step. Whoever drives it sends that by its
own protocol, and then checks with `check_outcome` what the registry holds.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from enroll.credentials import CredentialKind
from enroll.device import DeviceState, DeviceStatus
from enroll.events import Outcome
from enroll.failures import FailureReason
from enroll.profiles import CertificateClass, KeyAlgorithm, PolicySnapshot, ReEnrollment
from tests.support import arrangements as a
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


def _issued(row: str, arrange: Arrange, state: DeviceState, **more: Any) -> Case:
    return Case(row=row, arrange=arrange, state=state, **more)


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
    _refused("lifecycle-2.6", a.code_of_an_unapproved_device, "state_conflict", UNAPPROVED),
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
CASES = (
    *_UNPROVEN,
    *_REFUSED_BY_STATE,
    *_ELSEWHERE,
    *_CONFLICTS,
    *_KEYS,
    *_UNAVAILABLE,
    *_NAMES,
    *_RENEWALS_REFUSED,
    *_ISSUED,
)
