"""What may be done to stop a certificate: revoke, hold, release (RFC 5280 §5.3.1)."""

from datetime import datetime
from enum import StrEnum

from enroll.certificates import CertificateRecord, CertificateStatus, Measure, RevocationReason
from enroll.policy.slots import Change, held, released, revoked


class Objection(StrEnum):
    """Why it cannot be done to a certificate as it stands."""

    REVOKED = "is revoked already"
    EXPIRED = "has expired"
    ON_HOLD = "is on hold already"
    NOT_ON_HOLD = "is not on hold"


def objection(record: CertificateRecord, measure: Measure, now: datetime) -> Objection | None:
    """Judge by the certificate alone; one that is on hold may be revoked.

    What has expired is neither held nor revoked, for nobody takes it any more. Where a time of
    grace still does, a person may revoke it all the same: see `enroll.lifecycle`.
    """
    if record.status is CertificateStatus.REVOKED:
        return Objection.REVOKED
    on_hold = record.status is CertificateStatus.ON_HOLD
    if measure is Measure.RELEASE:
        return None if on_hold else Objection.NOT_ON_HOLD
    if now > record.not_valid_after:
        return Objection.EXPIRED
    return Objection.ON_HOLD if on_hold and measure is Measure.HOLD else None


def applied(
    record: CertificateRecord,
    measure: Measure,
    *,
    now: datetime,
    by: str,
    reason: RevocationReason = RevocationReason.UNSPECIFIED,
) -> Change:
    """Do it to a certificate against which there is no objection. Only to revoke has a reason."""
    match measure:
        case Measure.REVOKE:
            return Change(was=record, now=revoked(record, reason, now))
        case Measure.HOLD:
            return Change(was=record, now=held(record, now, by))
        case Measure.RELEASE:
            return Change(was=record, now=released(record))
