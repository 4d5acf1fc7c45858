"""Which certificate a request already got: what makes it the same request (T-13)."""

from collections.abc import Iterable
from datetime import datetime

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.profiles import EnrollmentProfile


def answer_of(
    records: Iterable[CertificateRecord],
    profile: EnrollmentProfile,
    spki_sha256: str,
    credential_id: str,
    now: datetime,
) -> CertificateRecord | None:
    """Find the newest certificate of this slot that this key got by this very credential.

    One that is older than the profile's `replay_window` answers nothing any more.
    """
    earliest = now - profile.replay_window
    answers = [
        each
        for each in records
        if each.spki_sha256 == spki_sha256
        and each.credential_id == credential_id
        and each.profile == profile.slug
        and each.issued_at >= earliest
    ]
    return max(answers, key=lambda each: each.issued_at, default=None)


def is_still_told(record: CertificateRecord, profile: EnrollmentProfile, now: datetime) -> bool:
    """Tell whether a certificate may still be given to who asks for it again."""
    good = record.is_live and record.status is not CertificateStatus.ON_HOLD
    return good and record.issued_at >= now - profile.replay_window
