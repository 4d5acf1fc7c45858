"""Whether the clock can be believed: no certificate is dated by one that went back."""

from datetime import UTC, datetime, timedelta

from enroll.failures import AuthorityUnavailable

BUILT_AT = datetime(2026, 11, 1, tzinfo=UTC)
"""No server of this version has run before. Each release moves it forward."""

TOLERANCE = timedelta(seconds=60)
RETRY_AFTER = 60


def check_clock(now: datetime, last_issued_at: datetime | None) -> None:
    """Refuse to issue at a time that is before what is known to have passed (security K1).

    Raises AuthorityUnavailable.
    """
    if now < BUILT_AT:
        raise AuthorityUnavailable(
            f"the clock says {now.isoformat()}, before this version was made; set it",
            finding="clock_wrong",
            retry_after=RETRY_AFTER,
        )
    if last_issued_at is not None and now < last_issued_at - TOLERANCE:
        raise AuthorityUnavailable(
            f"the clock says {now.isoformat()}, but a certificate was issued at "
            f"{last_issued_at.isoformat()}; set it",
            finding="clock_wrong",
            retry_after=RETRY_AFTER,
        )
