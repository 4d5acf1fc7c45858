"""Taking apart DER that has passed the limits, and putting elements together."""

from typing import NamedTuple

_LONG_FORM = 0x80
_HIGH_TAG = 0x1F

BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
INTEGER = 0x02
BOOLEAN = 0x01
SEQUENCE = 0x30
SET = 0x31
CONTEXT_0 = 0xA0
CONTEXT_1 = 0xA1


class Element(NamedTuple):
    """One element: its identifier octet, its content, and all of it."""

    tag: int
    content: bytes
    whole: bytes


# Spares the call that a NamedTuple makes of it: messages hold a hundred elements.
_new = tuple.__new__


def split(content: bytes) -> list[Element]:
    """Split into elements what `check_der` has checked: a whole message, or a content within it.

    Of a tag that takes several octets only the first is given.
    """
    elements = []
    at = 0
    end = len(content)
    while at < end:
        start = at
        tag = content[at]
        at += 1
        if tag & _HIGH_TAG == _HIGH_TAG:
            while content[at] >= _LONG_FORM:
                at += 1
            at += 1
        length = content[at]
        at += 1
        if length >= _LONG_FORM:
            octets = at + (length & 0x7F)
            length = int.from_bytes(content[at:octets])
            at = octets
        after = at + length
        elements.append(_new(Element, (tag, content[at:after], content[start:after])))
        at = after
    return elements


def only(content: bytes, tag: int) -> Element | None:
    """Give the one element that such a content is, if it is one, and of this tag below 31."""
    if not content or content[0] != tag:
        return None
    begin, length = 2, content[1]
    if length >= _LONG_FORM:
        begin += length & 0x7F
        length = int.from_bytes(content[2:begin])
    if begin + length != len(content):
        return None
    return _new(Element, (tag, content[begin:], content))


def encode(tag: int, *parts: bytes) -> bytes:
    """Make one element of a tag below 31 and the parts of its content."""
    content = b"".join(parts)
    return header(tag, len(content)) + content


def header(tag: int, length: int) -> bytes:
    """Make what stands before a content of this length: a tag below 31, and the length."""
    if length < _LONG_FORM:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _LONG_FORM | len(octets))) + octets
