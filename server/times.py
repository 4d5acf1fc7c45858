"""Times and durations as people and programs write them."""

import re
from datetime import UTC, datetime, timedelta

LONGEST = timedelta(days=36_525)
"""So that now plus or minus a duration is always a date."""

_RFC3339 = "%Y-%m-%dT%H:%M:%S%z"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def rfc3339(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read a time as RFC 3339 has it, with its offset, or a date for its midnight in UTC.

    Raises ValueError.
    """
    try:
        is_date = re.fullmatch(r"\d{4}-\d\d-\d\d", text)
        return datetime.strptime(text + "T00:00:00Z" if is_date else text, _RFC3339).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time such as 2026-01-31 or 2026-01-31T08:00:00Z"
        ) from None


def parse_duration(text: str) -> timedelta:
    """Read `90d`, `12h`, `1h30m`, up to a hundred years. Raises ValueError."""
    parts = re.findall(r"([0-9]{1,6})([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 90s, 30m, 12h, 7d or 2w")
    spans = (timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts)
    duration = sum(spans, timedelta())
    if duration > LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return duration


def print_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
