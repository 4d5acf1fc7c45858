"""Reading EST: paths, headers and bodies into vocabulary."""

import binascii
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509

from enroll.credentials import HTTPBasic, HTTPDigest, TLSClientCertificate
from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.est import failures
from protocols.est.digest import decode_digest
from protocols.est.messages import (
    CMC_REQUEST,
    HTTP_BASIC,
    HTTP_DIGEST,
    IN_LINES,
    IN_ONE_PIECE,
    PKCS7_MIME,
    PKCS10,
    AnswerLayout,
    ESTAddress,
    ESTOperation,
)
from protocols.est.nonces import Nonces
from protocols.wire import WireRequest

CHAIN_LENGTH = 10
NAME_CHARACTERS = 64
PATHS_KEPT = 256
_WHITE_SPACE = b" \t\r\n"
_SEQUENCE = 0x30
_PEM_BEGIN = b"-----BEGIN "
_PEM_LABELS = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_SCHEMES = {"basic": HTTP_BASIC, "digest": HTTP_DIGEST}
_LABEL_AND_OPERATION = 2
_OPERATIONS = frozenset(each.value for each in ESTOperation)


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTPath:
    """What a path says, whether or not anything is there; `segments` are without their percents.

    `operation` and `profile` are fit for a record: short, and without control characters.
    """

    segments: tuple[str, ...]
    address: ESTAddress | None
    operation: str
    profile: str | None


@lru_cache(maxsize=PATHS_KEPT)
def read_path(path: str) -> ESTPath:
    """Read `<operation>` or `<label>/<operation>`, with as many slashes as anybody likes.

    A raw path is split into segments, and only then is percent-encoding taken off.
    """
    segments = tuple(unquote(segment) for segment in path.split("/") if segment)
    address = None
    if 1 <= len(segments) <= _LABEL_AND_OPERATION and segments[-1] in _OPERATIONS:
        address = ESTAddress(
            operation=ESTOperation(segments[-1]),
            label=segments[0] if len(segments) == _LABEL_AND_OPERATION else None,
        )
    return ESTPath(
        segments=segments,
        address=address,
        operation=_printable(segments[-1]) if segments else "",
        profile=_printable("/".join(segments[:-1])) or None,
    )


def decode_address(wire: WireRequest) -> ESTAddress:
    """Give what the path asks for. Raises ProtocolViolation."""
    path = read_path(wire.path)
    if path.address is not None:
        return path.address
    if not 1 <= len(path.segments) <= _LABEL_AND_OPERATION:
        raise failures.unknown_path(
            wire.correlation_id, "a path is an operation, or a label and an operation"
        )
    raise failures.unknown_path(
        wire.correlation_id, f"no operation {path.segments[-1][:NAME_CHARACTERS]!r} is served"
    )


def check_media_type(wire: WireRequest) -> None:
    """Demand application/pkcs10, in any case and with any parameters. Raises ProtocolViolation."""
    given = wire.headers.get("Content-Type", "")
    if given != PKCS10 and given.partition(";")[0].strip().lower() != PKCS10:
        raise failures.unsupported_media_type(wire.correlation_id, given, PKCS10)


def check_cmc_media_type(wire: WireRequest) -> None:
    """Demand application/pkcs7-mime with smime-type=CMC-request. Raises ProtocolViolation.

    RFC 7030 §4.3.1; in any case, with or without quotes, and with other parameters beside it.
    """
    given = wire.headers.get("Content-Type", "")
    kind, *parameters = [each.strip().lower() for each in given.split(";")]
    names = {each.replace(" ", "").replace('"', "") for each in parameters}
    if kind != PKCS7_MIME or "smime-type=cmc-request" not in names:
        raise failures.unsupported_media_type(wire.correlation_id, given, CMC_REQUEST)


def decode_body(body: bytes) -> bytes:
    """Give the DER in a body of base64 (RFC 8951 §3), PEM or DER. Raises Malformed.

    Base64 of a SEQUENCE begins with M, so that a first octet of 0x30 is DER itself. Any
    Content-Transfer-Encoding has been ignored, as RFC 8951 §3 demands.
    """
    if not body:
        raise Malformed("the body is empty", finding="body_empty")
    if body[0] == _SEQUENCE:
        return body
    if _PEM_BEGIN in body:
        body = _unarmored(body)
    try:
        return binascii.a2b_base64(body.translate(None, _WHITE_SPACE), strict_mode=True)
    except binascii.Error as error:
        raise Malformed(f"the body is not base64: {error}", finding="not_base64") from None


def decode_layout(wire: WireRequest) -> AnswerLayout:
    return IN_LINES if wire.headers.get("User-Agent") else IN_ONE_PIECE


def has_entity(wire: WireRequest, entity_tag: str) -> bool:
    """Tell whether If-None-Match names the entity, by weak comparison (RFC 9110 §13.1.2)."""
    given = [each.strip() for each in wire.headers.get("If-None-Match", "").split(",")]
    return any(each.removeprefix("W/") in {entity_tag, "*"} for each in given)


def authorization_shown(wire: WireRequest) -> str | None:
    """Name the HTTP authentication that the request carries, if it is of a kind known here."""
    scheme, _ = _authorization(wire)
    return _SCHEMES.get(scheme)


def decode_authorization(wire: WireRequest, nonces: Nonces) -> HTTPBasic | HTTPDigest | None:
    """Read HTTP authentication; None without any. Raises Malformed for an improper Digest.

    A nonce that is answered is used up by this.
    """
    scheme, parameters = _authorization(wire)
    if _SCHEMES.get(scheme) == HTTP_DIGEST:
        return decode_digest(parameters, wire, lambda each: nonces.take(each, wire.received_at))
    return decode_basic(wire)


def decode_basic(wire: WireRequest) -> HTTPBasic | None:
    """Read Basic credentials (RFC 7617) in UTF-8; None without any, or with broken ones."""
    scheme, parameters = _authorization(wire)
    if _SCHEMES.get(scheme) != HTTP_BASIC:
        return None
    try:
        pair = binascii.a2b_base64(parameters, strict_mode=True).decode()
    except ValueError:
        return None
    username, colon, password = pair.partition(":")
    if not colon or not pair.isprintable():
        return None
    return HTTPBasic(username=username, password=password)


def decode_client_certificate(chain: tuple[bytes, ...]) -> TLSClientCertificate:
    """Read what the client sent in its handshake; of the certificates above its own, what can be.

    Raises EnrollmentError (SIGNER_NOT_TRUSTED) if its own cannot be read.
    """
    leaf = _certificate(chain[0])
    if leaf is None:
        raise EnrollmentError(
            FailureReason.SIGNER_NOT_TRUSTED,
            "the presented certificate cannot be read",
            finding="certificate_unreadable",
        )
    above = (_certificate(each) for each in chain[1:CHAIN_LENGTH])
    return TLSClientCertificate(chain=(leaf, *(each for each in above if each is not None)))


def _authorization(wire: WireRequest) -> tuple[str, str]:
    scheme, _, parameters = wire.headers.get("Authorization", "").strip().partition(" ")
    return scheme.lower(), parameters.strip()


def _printable(text: str) -> str:
    """Make a name from the wire fit for a record: short, and without control characters."""
    text = text[:NAME_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, OverflowError, x509.InvalidVersion, Warning):
        return None


def _unarmored(body: bytes) -> bytes:
    """Give what stands between the lines of one PEM certification request (RFC 7468 §7)."""
    _, begin, rest = body.partition(_PEM_BEGIN)
    label, dashes, rest = rest.partition(b"-----")
    if not begin or not dashes or label not in _PEM_LABELS:
        raise Malformed("the PEM is of something else than a certification request", finding="pem")
    content, end, after = rest.partition(b"-----END " + label + b"-----")
    if not end or _PEM_BEGIN in after:
        raise Malformed("the PEM has no end, or something after it", finding="pem")
    return content
