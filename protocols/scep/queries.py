"""Reading a query, and repairing what HTTP did to a message within it."""

import binascii
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from enroll.failures import Malformed

OPERATION = "operation"
MESSAGE = "message"
_READ = frozenset({OPERATION, MESSAGE})
# A + that became a space, and the alphabet of RFC 4648 §5, back into that of §4.
_ALPHABET = bytes.maketrans(b" -_", b"++/")
_LEFT_OUT = b"\r\n\t="


def read_query(query: str) -> Mapping[str, str]:
    """Give the values of `operation` and `message`, still percent-encoded. Raises Malformed."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name not in _READ:
            continue
        if name in found:
            raise Malformed(f"{name} is there twice", finding="query_unreadable")
        found[name] = value
    return found


def decode_message(value: str) -> bytes:
    """Give the octets of a message in a URL, which should be base64 and then percent-encoded.

    Repaired before anything is judged: `+` left as it was or turned into a space, line ends,
    base64url, padding that is missing. Raises Malformed.
    """
    text = unquote_to_bytes(value).translate(_ALPHABET, _LEFT_OUT)
    if not text:
        raise Malformed("there is no message", finding="message_empty")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as error:
        raise Malformed(f"the message is not base64: {error}", finding="not_base64") from None
