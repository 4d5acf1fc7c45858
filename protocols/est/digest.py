"""Reading HTTP Digest (RFC 7616 §3.4): the header's parameters, and what they answer."""

import hashlib
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from enroll.credentials import HTTPDigest
from enroll.failures import Malformed
from enroll.options import HTTPScheme
from protocols.wire import WireRequest

REALM = "enrollment"
QUALITY = "auth"
ALGORITHMS = {"SHA-256": HTTPScheme.DIGEST_SHA_256, "MD5": HTTPScheme.DIGEST_MD5}
LONGEST = 4096
MOST_PARAMETERS = 32
LONGEST_CLIENT_NONCE = 256

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a pattern for tokens of RFC 9110
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f"
_QUOTED = rf'"((?:[^"\\{_CONTROLS}]|\\[^{_CONTROLS}])*)"'
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|{_QUOTED})")
_SEPARATOR = re.compile(r"[ \t]*,[ \t]*")
_ESCAPED = re.compile(r"\\(.)")
_EXTENDED = re.compile(r"(?i:utf-8)'[A-Za-z0-9-]*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)")
_COUNT = re.compile(r"[0-9a-fA-F]{8}")
_HEX = re.compile(r"[0-9a-f]+")
_FIRST = "00000001"
_LENGTHS = {HTTPScheme.DIGEST_SHA_256: 64, HTTPScheme.DIGEST_MD5: 32}


def decode_digest(
    parameters: str, wire: WireRequest, is_fresh: Callable[[str], bool]
) -> HTTPDigest | None:
    """Read an answer to a challenge; None for one of an algorithm that is never offered.

    What is improper or missing is Malformed, as RFC 7616 §3.4 asks for; whether the answer is
    right is decided where secrets are. Each nonce is for one answer, so the first only is fresh.
    """
    given = read_parameters(parameters)
    scheme = ALGORITHMS.get(given.get("algorithm", "MD5").upper())
    if scheme is None:
        return None
    username = _username(given)
    nonce, uri, response = (_needed(given, each) for each in ("nonce", "uri", "response"))
    client_nonce, count = _needed(given, "cnonce"), _needed(given, "nc")
    if _needed(given, "realm") != REALM:
        raise _improper("the realm is not the one of the challenge")
    if _needed(given, "qop") != QUALITY:
        raise _improper("qop is not one of the challenge's")
    if _origin_form(uri) != _origin_form(wire.target):
        raise _improper("uri is not the address of the request")
    if not _COUNT.fullmatch(count):
        raise _improper("nc is not eight hexadecimal digits")
    if not (client_nonce.isascii() and 0 < len(client_nonce) <= LONGEST_CLIENT_NONCE):
        raise _improper("cnonce is not a short ASCII string")
    if len(response) != _LENGTHS[scheme] or not _HEX.fullmatch(response):
        raise _improper("response is not a digest in lower-case hexadecimal")
    return HTTPDigest(
        username=username,
        scheme=scheme,
        realm=REALM,
        exchange=f"{nonce}:{count}:{client_nonce}:{QUALITY}:{_hash(scheme, wire.method, uri)}",
        response=response,
        is_fresh=count == _FIRST and is_fresh(nonce),
    )


def read_parameters(text: str) -> dict[str, str]:
    """Read `name=value, …`, each name once, with or without quotes. Raises Malformed."""
    if len(text) > LONGEST:
        raise _improper("too long")
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise _improper("not UTF-8") from None
    found: dict[str, str] = {}
    at = 0
    while True:
        parameter = _PARAMETER.match(text, at)
        if parameter is None:
            raise _improper("not a list of parameters")
        name, token, quoted = parameter.group(1).lower(), parameter.group(2), parameter.group(3)
        if name in found or len(found) == MOST_PARAMETERS:
            raise _improper("a parameter twice, or too many")
        found[name] = token if token is not None else _ESCAPED.sub(r"\1", quoted)
        at = parameter.end()
        if at == len(text):
            return found
        separator = _SEPARATOR.match(text, at)
        if separator is None:
            raise _improper("not a list of parameters")
        at = separator.end()


def _username(given: dict[str, str]) -> str:
    if given.get("userhash", "false").lower() != "false":
        raise _improper("user names are not taken hashed")
    plain, extended = given.get("username"), given.get("username*")
    if (plain is None) is (extended is None):
        raise _improper("username is expected once")
    if plain is None:
        match = _EXTENDED.fullmatch(extended or "")
        try:
            plain = unquote_to_bytes(match.group(1)).decode("utf-8") if match else ""
        except UnicodeError:
            plain = ""
    if not plain or not plain.isprintable():
        raise _improper("username cannot be read")
    return plain


def _needed(given: dict[str, str], name: str) -> str:
    value = given.get(name)
    if not value:
        raise _improper(f"{name} is missing")
    return value


def _origin_form(target: str) -> str:
    """Take scheme and host off an address: through a proxy it may have come or gone with them."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return target
    _, slash, path = rest.partition("/")
    return slash + path


def _hash(scheme: HTTPScheme, method: str, uri: str) -> str:
    octets = f"{method}:{uri}".encode()
    if scheme is HTTPScheme.DIGEST_MD5:
        return hashlib.md5(octets, usedforsecurity=False).hexdigest()
    return hashlib.sha256(octets).hexdigest()


def _improper(detail: str) -> Malformed:
    return Malformed(f"the Digest authorization is improper: {detail}", finding="digest_improper")
