"""Times and durations as people and programs write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.times import LONGEST, parse_duration, print_duration, rfc3339


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "1.5h", "1d ", " 1d", "1y", "1d,2h", "٣d", "999999w", "1d\n"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than"):
        parse_duration(text)


@given(st.integers(0, int(LONGEST.total_seconds())))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(print_duration(duration)) == duration


def test_a_time_is_written_in_utc_to_the_second() -> None:
    east = timezone(timedelta(hours=2))

    assert rfc3339(datetime(2026, 11, 24, 14, 0, 0, 999, tzinfo=east)) == "2026-11-24T12:00:00Z"
    assert rfc3339(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
