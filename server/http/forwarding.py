"""Reading what a proxy says of its client: certificates in their several forms, and addresses."""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote_to_bytes

LARGEST_CERTIFICATE = 16 * 1024
MOST_CERTIFICATES = 10
_SEQUENCE = 0x30
_LONG_FORM = 0x80
_MOST_LENGTH_OCTETS = 3

_BYTES = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_PEM = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*"
)
_WHITE_SPACE = b" \t\r\n"
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|[^",;]+|[,;]')
"""A quoted string, with its end or without, what stands between separators, or one of those."""

_FOR = re.compile(r'(?i)\s*for=(?:"([^"\\]*)"|([^\s"]+))\s*')


class UnreadableHeaderError(ValueError):
    """A header in which a proxy speaks of its client is not in its form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a proxy hands on the certificates of its client: in which headers, and how written."""

    certificate: str
    decode: Callable[[str], bytes]
    chain: str | None = None
    decode_chain: Callable[[str], Sequence[bytes]] | None = None


def decode_byte_sequence(text: str) -> bytes:
    """Read one certificate as a Byte Sequence (RFC 9440 §2.1, RFC 8941 §3.3.5)."""
    match = _BYTES.fullmatch(text.strip(" \t"))
    if match is None:
        raise UnreadableHeaderError("not a byte sequence")
    digits = match.group(1).rstrip("=")
    return _certificate(_base64(digits + "=" * (-len(digits) % 4)))


def decode_byte_sequences(text: str) -> Sequence[bytes]:
    """Read a List of Byte Sequences (RFC 9440 §2.3)."""
    items = text.split(",")
    if len(items) > MOST_CERTIFICATES:
        raise UnreadableHeaderError("too many certificates")
    return tuple(map(decode_byte_sequence, items))


def decode_escaped_pem(text: str) -> bytes:
    """Read one certificate in PEM with percent-encoding, as nginx's $ssl_client_escaped_cert."""
    match = _PEM.fullmatch(unquote_to_bytes(text))
    if match is None:
        raise UnreadableHeaderError("not one certificate in PEM")
    return _certificate(_base64(match.group(1).translate(None, _WHITE_SPACE).decode("ascii")))


def decode_der(text: str) -> bytes:
    """Read one certificate as base64 of DER, as haproxy's ssl_c_der,base64."""
    return _certificate(_base64(text))


def decode_der_chain(text: str) -> Sequence[bytes]:
    """Read base64 of certificates one after another, as haproxy's ssl_c_chain_der,base64."""
    octets = _base64(text)
    found: list[bytes] = []
    while octets:
        end = _end_of_element(octets)
        found.append(_certificate(octets[:end]))
        octets = octets[end:]
        if len(found) > MOST_CERTIFICATES:
            raise UnreadableHeaderError("too many certificates")
    return tuple(found)


FORMS: Mapping[str, Form] = {
    "rfc9440": Form(
        certificate="Client-Cert",
        decode=decode_byte_sequence,
        chain="Client-Cert-Chain",
        decode_chain=decode_byte_sequences,
    ),
    "nginx": Form(certificate="X-SSL-Client-Cert", decode=decode_escaped_pem),
    "haproxy": Form(
        certificate="X-SSL-Client-DER",
        decode=decode_der,
        chain="X-SSL-Client-Chain-DER",
        decode_chain=decode_der_chain,
    ),
}
"""By the value of `proxy.client_certificate`."""

CERTIFICATE_HEADERS = tuple(
    name for form in FORMS.values() for name in (form.certificate, form.chain) if name is not None
)


def last_forwarded_for(text: str) -> str | None:
    """Give the address in the last element of Forwarded (RFC 7239 §4), if it is one."""
    for pair in _split(_split(text, ",")[-1], ";"):
        match = _FOR.fullmatch(pair)
        if match is not None:
            return _address(match.group(1) or match.group(2) or "")
    return None


def last_x_forwarded_for(text: str) -> str | None:
    """Give the last address of X-Forwarded-For: the one that the nearest proxy has added."""
    return _address(text.rpartition(",")[2])


ADDRESSES: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
    "forwarded": ("Forwarded", last_forwarded_for),
    "x-forwarded-for": ("X-Forwarded-For", last_x_forwarded_for),
}
"""By the value of `proxy.client_address`."""


def _split(text: str, separator: str) -> list[str]:
    """Split at separators that stand in no quoted string, in time that grows with the text only."""
    parts, start = [], 0
    for piece in _PIECE.finditer(text):
        if piece.group() == separator:
            parts.append(text[start : piece.start()])
            start = piece.end()
    return [*parts, text[start:]]


def _address(text: str) -> str | None:
    """Read an address, with or without a port; brackets stand around those of IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeError, binascii.Error):
        raise UnreadableHeaderError("not base64") from None


def _certificate(der: bytes) -> bytes:
    """Demand one DER element of a size that certificates have; what it says is judged later."""
    if len(der) > LARGEST_CERTIFICATE or _end_of_element(der) != len(der):
        raise UnreadableHeaderError("not one certificate")
    return der


def _end_of_element(octets: bytes) -> int:
    """Tell where the SEQUENCE at the beginning ends."""
    if len(octets) < 2 or octets[0] != _SEQUENCE:  # noqa: PLR2004 - tag and length
        raise UnreadableHeaderError("not a certificate")
    length, start = octets[1], 2
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        start += count
        if not 0 < count <= _MOST_LENGTH_OCTETS:
            raise UnreadableHeaderError("not a certificate")
        length = int.from_bytes(octets[2:start])
    if start + length > len(octets):
        raise UnreadableHeaderError("a certificate without its end")
    return start + length
