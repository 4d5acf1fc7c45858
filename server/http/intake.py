"""What is taken in of a request: a head that can be understood in one way, and a bounded body."""

import asyncio

from aiohttp import hdrs
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from protocols.wire import TransportFault
from server.http.peer import Peer

ONCE = (hdrs.AUTHORIZATION, hdrs.CONTENT_ENCODING, hdrs.EXPECT)
"""Headers that decide how a request is understood: sent twice, it cannot be (security T5).

aiohttp's parsers refuse Host, Content-Type, Content-Length and Transfer-Encoding sent twice.
"""

BODILESS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS, hdrs.METH_TRACE})
VERSIONS = frozenset({HttpVersion10, HttpVersion11})
LENGTH_DIGITS = 18
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Unreadable(Exception):  # noqa: N818 - says what is the matter
    """The request cannot be served; the words are for its sender."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def read_target(message: RawRequestMessage) -> tuple[str, str]:
    """Demand a head that can be understood in one way only; give its path and its query.

    Raises Unreadable.
    """
    headers = message.headers
    if message.version not in VERSIONS:
        raise Unreadable(400, "This version of HTTP is not spoken here.")
    _check_framing(message)
    for name in ONCE:
        if name in headers and len(headers.getall(name)) > 1:
            raise Unreadable(400, "A header that may come once came twice.")
    expected = headers.get(hdrs.EXPECT)
    if expected is not None and expected.lower() != "100-continue":
        raise Unreadable(417, "What this request expects is not done here.")
    target = message.path
    if not target.isascii():
        raise Unreadable(400, "This address holds more than ASCII.")
    if not target.startswith("/") and target != "*":
        target = _origin_form(message, target)
    path, _, query = target.partition("?")
    return path, query


async def read_body(
    message: RawRequestMessage,
    payload: StreamReader,
    peer: Peer,
    *,
    octets: int,
    seconds: float,
) -> tuple[TransportFault | None, bytes]:
    """Give the whole body, or why there is none. Raises Unreadable."""
    fault = _refuse_unread(message, octets)
    if fault is not None:
        return fault, b""
    try:
        if payload.is_eof() and payload.total_bytes <= octets:
            return None, payload.read_nowait(-1)
        if hdrs.EXPECT in message.headers and message.version >= HttpVersion11:
            peer.transport.write(CONTINUE)
        async with asyncio.timeout(seconds):
            return await _read_bounded(payload, octets)
    except TimeoutError:
        return TransportFault.BODY_TIMEOUT, b""
    except (RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        # It was raised out of a future that its own traceback holds, and with it the connection.
        error.__traceback__ = None
        raise Unreadable(400, "The body of this request cannot be read.") from None


def _check_framing(message: RawRequestMessage) -> None:
    """Demand a body whose end all readers see in the same place (RFC 9112 §6.1, §6.3)."""
    headers = message.headers
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None and (coding.lower() != "chunked" or message.version == HttpVersion10):
        raise Unreadable(400, "This transfer coding is not understood here.")
    if len(headers.get(hdrs.CONTENT_LENGTH, "")) > LENGTH_DIGITS:
        raise Unreadable(400, "This length is not a length.")


def _refuse_unread(message: RawRequestMessage, octets: int) -> TransportFault | None:
    """Tell by the head alone what is wrong with the body."""
    headers = message.headers
    if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        return TransportFault.CONTENT_ENCODING
    length = headers.get(hdrs.CONTENT_LENGTH)
    if length is not None:
        return TransportFault.TOO_LARGE if int(length) > octets else None
    if message.chunked or message.method in BODILESS:
        return None
    return TransportFault.LENGTH_REQUIRED


async def _read_bounded(payload: StreamReader, octets: int) -> tuple[TransportFault | None, bytes]:
    parts = bytearray()
    while True:
        part = await payload.readany()
        if not part:
            # What went wrong in the step that brought the end is told only to who asks.
            error = payload.exception()
            if error is not None:
                raise error
            return None, bytes(parts)
        parts += part
        if len(parts) > octets:
            return TransportFault.TOO_LARGE, b""


def _origin_form(message: RawRequestMessage, target: str) -> str:
    """Take an absolute-form target for what it is to us (RFC 9112 §3.2.2), if Host agrees."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise Unreadable(400, "This is not an address that can be served.")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    if rest[:end].lower() != message.headers.get(hdrs.HOST, rest[:end]).lower():
        raise Unreadable(400, "This request names two hosts.")
    return rest[end:] if rest[end : end + 1] == "/" else "/" + rest[end:]
