"""How big and how deep DER may be before anything parses it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from enroll.failures import Malformed

_CONSTRUCTED = 0x20
_NOT_UNIVERSAL = 0xC0
_HIGH_TAG = 0x1F
_CONTINUED = 0x80
_LONG_FORM = 0x80
_LENGTH_OCTETS = 4
_TAG_OCTETS = 4
_SIGN_BIT = 0x80
_ALL_ONES = 0xFF
_BOOLEANS = (0x00, 0xFF)
_UNUSED_BITS = 7
# X.690 §10.2: in DER, of the universal types only these are constructed. They are EXTERNAL,
# EMBEDDED PDV, SEQUENCE and SET.
_UNIVERSAL_CONSTRUCTED = frozenset({0x28, 0x2B, 0x30, 0x31})


@dataclass(frozen=True, slots=True, kw_only=True)
class DERLimits:
    """What a message may hold at most. The defaults fit every classical request."""

    octets: int = 65_536
    depth: int = 24
    nodes: int = 4_000
    oid_octets: int = 64
    integer_octets: int = 1_100


DEFAULT_LIMITS = DERLimits()


def check_der(
    der: bytes, limits: DERLimits = DEFAULT_LIMITS, *, depth: int = 0, nodes: int = 0
) -> int:
    """Demand exactly one DER element within the limits, without recursion; count its elements.

    Lengths are definite and minimal, no element reaches beyond the one that holds it, and nothing
    follows the first. What lies inside OCTET STRING and BIT STRING is not looked into. `depth` and
    `nodes` say how deep it lies in a message, and how much of that has been counted.

    Raises Malformed.
    """
    if len(der) > limits.octets:
        _refuse(f"more than {limits.octets} octets", 0)
    try:
        return _scan(der, limits, limits.depth - depth, limits.nodes - nodes)
    except IndexError:
        raise Malformed("DER: the message ends inside an element", finding="not_der") from None


def _scan(der: bytes, limits: DERLimits, depth: int, nodes: int) -> int:  # noqa: C901, PLR0912 - one loop: calls would cost more than the work
    kinds, oid_octets = _KINDS, limits.oid_octets
    at = 0
    end = len(der)
    enclosing: list[int] = []
    for count in range(1, nodes + 1):
        kind = kinds[der[at]]
        length_at = at + 1
        if kind > _CHECKED:
            if kind == _REFUSED:
                _refuse("a primitive type in constructed form", at)
            length_at = _after_high_tag(der, at)
            kind -= _OF_HIGH_TAG
        length = der[length_at]
        content = length_at + 1
        if length >= _LONG_FORM:
            content, length = _long_length(der, length_at)
        after = content + length
        if after > end:
            _refuse("an element reaches beyond what holds it", at)
        if kind == _HOLDING:
            if length:
                enclosing.append(end)
                if len(enclosing) > depth:
                    _refuse(f"nested more than {limits.depth} deep", at)
                at, end = content, after
                continue
        elif kind == _OID:
            # Most of the checks of a message are these: a call would cost more than the work.
            if not 0 < length <= oid_octets or der[after - 1] & _CONTINUED:
                _check_oid(der, content, length, limits)
        elif kind:
            _PRIMITIVE_CHECKS[der[at]](der, content, length, limits)
        at = after
        while at == end:
            if not enclosing:
                return count
            end = enclosing.pop()
        if not enclosing:
            _refuse("something follows the message", at)
    return _refuse(f"more than {limits.nodes} elements", at)


def _long_length(der: bytes, at: int) -> tuple[int, int]:
    """Give where the content begins and its length, from a length in long form."""
    octets = der[at] & 0x7F
    if octets == 0:
        _refuse("indefinite length, which is BER", at)
    if octets > _LENGTH_OCTETS:
        _refuse("a length of too many octets", at)
    content = at + 1 + octets
    if content > len(der):
        _refuse("the message ends inside a length", at)
    length = int.from_bytes(der[at + 1 : content])
    if length < _LONG_FORM or der[at + 1] == 0:
        _refuse("a length longer than it need be, which is BER", at)
    return content, length


def _after_high_tag(der: bytes, at: int) -> int:
    """Give where the length begins, behind a tag number of several octets (X.690 §8.1.2.4)."""
    if der[at + 1] == _CONTINUED or der[at + 1] < _HIGH_TAG:
        _refuse("a tag longer than it need be, which is BER", at)
    after = at + 1
    while der[after] & _CONTINUED:
        after += 1
        if after > at + _TAG_OCTETS:
            _refuse("a tag number of too many octets", at)
    return after + 1


def _check_boolean(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    del limits
    if length != 1 or der[content] not in _BOOLEANS:
        _refuse("a BOOLEAN that is not DER", content)


def _check_integer(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    if not 0 < length <= limits.integer_octets:
        _refuse(f"an INTEGER of {length} octets", content)
    if length > 1:
        sign = der[content + 1] & _SIGN_BIT
        if (der[content] == 0 and not sign) or (der[content] == _ALL_ONES and sign):
            _refuse("an INTEGER longer than it need be, which is BER", content)


def _check_bit_string(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    del limits
    if length == 0 or der[content] > _UNUSED_BITS or (length == 1 and der[content]):
        _refuse("a BIT STRING that is not DER", content)


def _check_null(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    del der, limits
    if length:
        _refuse("a NULL with content", content)


def _check_oid(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    if not 0 < length <= limits.oid_octets:
        _refuse(f"an OBJECT IDENTIFIER of {length} octets", content)
    if der[content + length - 1] & _CONTINUED:
        _refuse("an unfinished OBJECT IDENTIFIER", content)


def _check_never_primitive(der: bytes, content: int, length: int, limits: DERLimits) -> None:
    del der, length, limits
    _refuse("a constructed type in primitive form, or none at all", content)


def _refuse(what: str, at: int) -> NoReturn:
    raise Malformed(f"DER: {what}, at octet {at}", finding="not_der")


# What DER adds to BER for primitive elements of the universal class, by tag.
_PRIMITIVE_CHECKS: Mapping[int, Callable[[bytes, int, int, DERLimits], None]] = {
    0x01: _check_boolean,
    0x02: _check_integer,
    0x03: _check_bit_string,
    0x05: _check_null,
    0x06: _check_oid,
    # End of contents, EXTERNAL, EMBEDDED PDV, SEQUENCE and SET.
    **dict.fromkeys((0x00, 0x08, 0x0B, 0x10, 0x11), _check_never_primitive),
}
# What is to be done with a tag, looked up instead of asked for each element.
_PLAIN, _HOLDING, _OID, _CHECKED, _OF_HIGH_TAG, _REFUSED = 0, 1, 2, 3, 4, 6


def _kind(tag: int) -> int:
    """Tell what a tag is: above `_CHECKED`, `_OF_HIGH_TAG` stands before what else it is."""
    universal = not tag & _NOT_UNIVERSAL
    if tag & _CONSTRUCTED and universal and tag not in _UNIVERSAL_CONSTRUCTED:
        return _REFUSED
    if tag & _HIGH_TAG == _HIGH_TAG:
        return _OF_HIGH_TAG + (_HOLDING if tag & _CONSTRUCTED else _PLAIN)
    if tag & _CONSTRUCTED:
        return _HOLDING
    if tag == 0x06:  # noqa: PLR2004 - OBJECT IDENTIFIER
        return _OID
    return _CHECKED if tag in _PRIMITIVE_CHECKS else _PLAIN


_KINDS = bytes(map(_kind, range(256)))
