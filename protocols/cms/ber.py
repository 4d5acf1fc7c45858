"""BER made into DER before anything reads it: in linear time, and within the limits of DER."""

from dataclasses import dataclass
from typing import NoReturn

from enroll.failures import Malformed
from protocols import der
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der

_CONSTRUCTED = 0x20
_HIGH_TAG = 0x1F
_TAG_OCTETS = 4
_CONTINUED = 0x80
_INDEFINITE = 0x80
_LENGTH_OCTETS = 4
_END_OF_CONTENTS = b"\x00\x00"
_OCTET_STRING = b"\x04"
_CONSTRUCTED_OCTET_STRING = b"\x24"


def to_der(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> bytes:
    """Give a message in DER: itself, octet for octet, when it is DER already.

    Of BER is understood what CMS clients send: lengths that are indefinite or longer than they need
    be, and OCTET STRINGs in pieces (X.690 §8.1.3, §8.7.3). Values are not touched, and a SET keeps
    its order.

    Raises Malformed.
    """
    try:
        check_der(message, limits)
    except Malformed:
        if len(message) > limits.octets:
            raise
    else:
        return message
    try:
        rewritten = _rewrite(message, limits)
    except IndexError:
        raise Malformed("BER: the message ends inside an element", finding="not_ber") from None
    check_der(rewritten, limits)
    return rewritten


@dataclass(slots=True)
class _Frame:
    """A constructed element that is being rewritten."""

    identifier: bytes
    end: int
    """Where it ends or, if its length is indefinite, where it must have ended."""
    indefinite: bool
    header_at: int
    """Where its header will stand among the pieces, once the length is known."""
    length: int = 0
    """Of the content, as far as it has been rewritten."""

    @property
    def joins(self) -> bool:
        return self.identifier == _CONSTRUCTED_OCTET_STRING

    def add(self, identifier: bytes, length: int) -> bytes:
        """Count a finished element in, and give the header that it gets here."""
        if self.joins:
            if identifier not in {_OCTET_STRING, _CONSTRUCTED_OCTET_STRING}:
                raise Malformed("BER: another type in an OCTET STRING", finding="not_ber")
            header = b""
        else:
            tag = _OCTET_STRING if identifier == _CONSTRUCTED_OCTET_STRING else identifier
            header = tag + der.header(0, length)[1:]
        self.length += len(header) + length
        return header


def _rewrite(message: bytes, limits: DERLimits) -> bytes:  # noqa: C901 - one loop, as in `limits`
    pieces: list[bytes] = []
    frames = [_Frame(b"", len(message), indefinite=False, header_at=0)]
    at = 0
    left = limits.nodes
    while True:
        frame = frames[-1]
        ended = at == frame.end
        if frame.indefinite and message.startswith(_END_OF_CONTENTS, at, frame.end):
            at += len(_END_OF_CONTENTS)
            ended = True
        elif ended and frame.indefinite:
            _refuse("an element of indefinite length has no end", at)
        if ended:
            frames.pop()
            if not frames:
                return b"".join(pieces)
            pieces[frame.header_at] = frames[-1].add(frame.identifier, frame.length)
            continue
        left -= 1
        if left < 0:
            _refuse(f"more than {limits.nodes} elements", at)
        identifier, content, length = _read_header(message, at)
        after = frame.end if length is None else content + length
        if after > frame.end:
            _refuse("an element reaches beyond what holds it", at)
        if identifier[0] & _CONSTRUCTED:
            if len(frames) > limits.depth:
                _refuse(f"nested more than {limits.depth} deep", at)
            frames.append(_Frame(identifier, after, length is None, len(pieces)))
            pieces.append(b"")
            at = content
        elif length is None:
            _refuse("a primitive type of indefinite length", at)
        else:
            pieces += (frame.add(identifier, length), message[content:after])
            at = after


def _read_header(message: bytes, at: int) -> tuple[bytes, int, int | None]:
    """Give identifier octets, where the content begins, and its length unless indefinite."""
    length_at = at + 1
    if message[at] & _HIGH_TAG == _HIGH_TAG:
        while message[length_at] & _CONTINUED:
            length_at += 1
            if length_at > at + _TAG_OCTETS:
                _refuse("a tag number of too many octets", at)
        length_at += 1
    identifier = message[at:length_at]
    length = message[length_at]
    content = length_at + 1
    if length == _INDEFINITE:
        return identifier, content, None
    if length > _INDEFINITE:
        octets = length & 0x7F
        # Leading zeros are BER; more octets than these no limit would let pass.
        if octets > _LENGTH_OCTETS:
            _refuse("a length of too many octets", at)
        if content + octets > len(message):
            _refuse("the message ends inside a length", at)
        length = int.from_bytes(message[content : content + octets])
        content += octets
    return identifier, content, length


def _refuse(what: str, at: int) -> NoReturn:
    raise Malformed(f"BER: {what}, at octet {at}", finding="not_ber")
