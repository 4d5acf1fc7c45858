"""Answers as bytes: status line, header, and the body beside it."""

import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from protocols.wire import WireResponse

REASONS = {int(each): each.phrase for each in HTTPStatus}
_NO_CONTENT = frozenset({204, 304})
"""Answers that end with their head (RFC 9110 §8.6)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the connection, and whether that is the end of it."""

    head: bytes
    body: bytes
    close: bool


class DateLine:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def __call__(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n"
        return self._line


_date_line = DateLine()


def encode_answer(
    response: WireResponse, correlation_id: str, *, close: bool, keep: bool, with_body: bool
) -> Answer:
    """Write an answer down. `keep` tells an HTTP/1.0 client that its connection stays open.

    Raises ValueError for a header that would not be one line.
    """
    body = response.body
    connection = (
        "Connection: close\r\n" if close else ("Connection: keep-alive\r\n" if keep else "")
    )
    length = f"Content-Length: {len(body)}\r\n"
    if response.status in _NO_CONTENT:
        length, body = "", b""
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
    fields = f"Content-Type: {response.media_type}\r\n{more}"
    if fields.count("\n") != 1 + len(response.headers) or fields.count("\r") != fields.count("\n"):
        raise ValueError("a line break inside a header of an answer")
    head = (
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, '')}\r\n"
        f"{fields}{length}{_date_line()}Server: enroll\r\nX-Request-ID: {correlation_id}\r\n"
        f"{connection}\r\n"
    )
    return Answer(head.encode("latin-1"), body if with_body else b"", close)
