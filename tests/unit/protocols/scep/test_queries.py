"""A message in a URL: what HTTP and old clients do to it, and what is repaired."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll.failures import Malformed
from protocols.scep.queries import decode_message, read_query

# Base64 of it holds all that can be damaged: +, / and padding.
MESSAGE = bytes.fromhex("fbefbeffffff00")
TEXT = b64encode(MESSAGE).decode()
DAMAGES = {
    "percent-encoded": quote(TEXT, safe=""),
    "only the padding encoded": TEXT.replace("=", "%3D"),
    "not encoded at all": TEXT,
    "a plus turned into a space": TEXT.replace("+", " "),
    "a space that was encoded": TEXT.replace("+", "%20"),
    "lines": quote(TEXT[:4] + "\n" + TEXT[4:], safe=""),
    "lines of Windows": quote(TEXT[:4] + "\r\n" + TEXT[4:] + "\r\n", safe=""),
    "raw lines": TEXT[:4] + "\n" + TEXT[4:],
    "the alphabet of URLs": urlsafe_b64encode(MESSAGE).decode(),
    "no padding": quote(TEXT.rstrip("="), safe=""),
    "the alphabet of URLs without padding": urlsafe_b64encode(MESSAGE).decode().rstrip("="),
    "only the plus encoded": TEXT.replace("+", "%2B"),
    "lower case escapes": TEXT.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d"),
}


@pytest.mark.parametrize("value", DAMAGES.values(), ids=DAMAGES)
def test_scep_13_damage_by_http_is_repaired(value: str) -> None:
    assert decode_message(value) == MESSAGE


@pytest.mark.parametrize("value", ["", "%0A", "====", "A", "AAAA*AAA", "AA%00A", "%FF%FE", "AAAAA"])
def test_scep_13_what_is_still_no_base64_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        decode_message(value)


@given(message=st.binary(min_size=1, max_size=300), lines=st.integers(1, 80), plus=st.booleans())
def test_scep_13_any_message_survives_lines_and_escapes(
    message: bytes,
    lines: int,
    plus: bool,  # noqa: FBT001 - hypothesis names it
) -> None:
    text = b64encode(message).decode()
    text = "\n".join(text[at : at + lines] for at in range(0, len(text), lines))

    value = quote(text, safe="+/" if plus else "")

    assert decode_message(value) == message


def test_a_query_is_read_raw_and_whatever_else_is_in_it_is_passed_over() -> None:
    found = read_query("x=1&operation=PKIOperation&message=a%2Bb=c==&y")

    assert found == {"operation": "PKIOperation", "message": "a%2Bb=c=="}


def test_a_query_that_says_a_thing_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        read_query("message=a&message=b")
