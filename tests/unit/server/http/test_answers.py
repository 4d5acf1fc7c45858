"""Answers as they go out: whole, with a length, and one line to a header."""

import re
from email.utils import parsedate_to_datetime

import pytest

from protocols.wire import WireResponse
from server.http.answers import Answer, encode_answer


def encode(response: WireResponse, *, close: bool = False, keep: bool = False) -> Answer:
    return encode_answer(response, "0123456789abcdef", close=close, keep=keep, with_body=True)


def a_response(
    status: int = 200, *headers: tuple[str, str], media_type: str = "text/plain"
) -> WireResponse:
    return WireResponse(status=status, media_type=media_type, body=b"body\n", headers=headers)


def test_an_answer_has_a_length_a_date_and_its_id() -> None:
    answer = encode(a_response(200, ("ETag", '"x"')))

    lines = answer.head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert lines[-2:] == ["", ""]
    headers = dict(line.split(": ", 1) for line in lines[1:-2])
    assert parsedate_to_datetime(headers.pop("Date")).tzinfo is not None
    assert headers == {
        "Content-Type": "text/plain",
        "Content-Length": "5",
        "ETag": '"x"',
        "Server": "enroll",
        "X-Request-ID": "0123456789abcdef",
    }
    assert answer.body == b"body\n"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_ends_with_its_head_has_neither_body_nor_length(status: int) -> None:
    answer = encode(a_response(status))

    assert answer.body == b""
    assert b"Content-Length" not in answer.head


def test_two_headers_of_one_name_stay_two() -> None:
    answer = encode(a_response(401, ("WWW-Authenticate", "A"), ("WWW-Authenticate", "B")))

    assert re.findall(rb"WWW-Authenticate: (\w)", answer.head) == [b"A", b"B"]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\r\n\r\nHTTP/1.1 200"])
@pytest.mark.parametrize("place", ["value", "name", "media type"])
def test_a_line_break_in_a_header_is_refused(value: str, place: str) -> None:
    response = {
        "value": a_response(200, ("X", value)),
        "name": a_response(200, (value, "x")),
        "media type": a_response(media_type=value),
    }[place]

    with pytest.raises(ValueError, match="line break"):
        encode(response)


def test_the_end_of_a_connection_is_announced() -> None:
    assert b"\r\nConnection: close\r\n" in encode(a_response(), close=True).head
    assert b"\r\nConnection: keep-alive\r\n" in encode(a_response(), keep=True).head
    assert b"\r\nConnection:" not in encode(a_response()).head


def test_an_unknown_status_has_no_reason() -> None:
    assert encode(a_response(299)).head.startswith(b"HTTP/1.1 299 \r\n")
