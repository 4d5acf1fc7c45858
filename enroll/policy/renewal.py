"""When a certificate may be renewed, and proven with which."""

from datetime import datetime, timedelta

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.profiles import EnrollmentProfile


def check_renewable_by(presented: CertificateRecord, profile: EnrollmentProfile) -> None:
    """Permit renewal only with the certificate that fills the slot, or its waiting replacement.

    RFC 7030 §3.3.2 asks for the certificate being renewed, or another of the same subject. We are
    stricter: the current one, so that a stolen predecessor is worthless. Raises NotAuthorized.
    """
    if presented.profile != profile.slug:
        raise NotAuthorized(
            f"a {presented.profile!r} certificate cannot renew in slot {profile.slug!r}; "
            "present the certificate that is to be renewed",
            finding="wrong_certificate_for_slot",
        )
    check_not_superseded(presented)


def check_not_superseded(presented: CertificateRecord) -> None:
    """Refuse a certificate whose successor is in use (clone case h). Raises NotAuthorized."""
    if presented.status is CertificateStatus.SUPERSEDED:
        raise NotAuthorized(
            "the certificate was superseded and its successor has been used since",
            finding="certificate_superseded",
        )


def check_window(current: CertificateRecord, profile: EnrollmentProfile, now: datetime) -> None:
    """Permit renewal in the last part of the lifetime, or always with `allow_replace`.

    Raises NotAuthorized.
    """
    if profile.allow_replace:
        return
    lifetime = current.not_valid_after - current.not_valid_before
    opens_at = current.not_valid_after - lifetime * profile.renewal_window
    if now < opens_at:
        raise NotAuthorized(f"renewal opens at {opens_at.isoformat()}", finding="renewal_too_early")


def check_rekey(
    spki_sha256: str, filled_by: tuple[CertificateRecord, ...], profile: EnrollmentProfile
) -> None:
    """Demand a new key unless the profile allows the old one (RFC 7030 §4.2.2).

    Raises NotAuthorized, field publicKey.
    """
    if profile.allow_same_key:
        return
    if any(each.spki_sha256 == spki_sha256 for each in filled_by):
        raise NotAuthorized(
            f"profile {profile.slug!r} asks for a new key at each renewal; make one, or set "
            "allow_same_key on the profile",
            finding="key_reused",
            field="publicKey",
        )


def check_valid_now(
    record: CertificateRecord, now: datetime, grace: timedelta = timedelta(0)
) -> None:
    """Check the dates and that the certificate is not revoked. Held ones pass: see authorize.

    It is taken for the time of grace after its end (T-11), and never before its time.

    Raises NotAuthorized, or EnrollmentError (CERTIFICATE_REVOKED).
    """
    if record.status is CertificateStatus.REVOKED:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_REVOKED, "the presented certificate is revoked"
        )
    if record.awaits_owner:
        raise NotAuthorized(
            "the presented certificate awaits its owner's confirmation and proves nothing before",
            finding="certificate_unconfirmed",
        )
    if now < record.not_valid_before:
        raise NotAuthorized(
            "the presented certificate is not valid yet", finding="certificate_not_yet_valid"
        )
    if now - record.not_valid_after > grace:
        raise NotAuthorized(
            f"the presented certificate expired at {record.not_valid_after.isoformat()}",
            finding="certificate_expired",
        )
