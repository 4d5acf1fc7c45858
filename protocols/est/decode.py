"""Reading EST: paths, headers and bodies into vocabulary."""

import binascii
from urllib.parse import unquote

from cryptography import x509

from enroll.credentials import HTTPBasic, TLSClientCertificate
from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols.est import failures
from protocols.est.messages import PKCS10, AnswerLayout, ESTAddress, ESTOperation
from protocols.wire import WireRequest

CHAIN_LENGTH = 10
_WHITE_SPACE = b" \t\r\n"
_SEQUENCE = 0x30
_PEM_BEGIN = b"-----BEGIN "
_PEM_LABELS = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_BASIC = "basic"
_LABEL_AND_OPERATION = 2


def decode_address(wire: WireRequest) -> ESTAddress:
    """Read `<operation>` or `<label>/<operation>`, with as many slashes as anybody likes.

    Raises ProtocolViolation.
    """
    segments = path_segments(wire.path)
    if not 1 <= len(segments) <= _LABEL_AND_OPERATION:
        raise failures.unknown_path(
            wire.correlation_id, "a path is an operation, or a label and an operation"
        )
    try:
        operation = ESTOperation(segments[-1])
    except ValueError:
        raise failures.unknown_path(
            wire.correlation_id, f"no operation {segments[-1][:64]!r} is served"
        ) from None
    return ESTAddress(
        operation=operation,
        label=segments[0] if len(segments) == _LABEL_AND_OPERATION else None,
    )


def path_segments(path: str) -> list[str]:
    """Split a raw path into segments, and only then take off percent-encoding."""
    return [unquote(segment) for segment in path.split("/") if segment]


def check_media_type(wire: WireRequest) -> None:
    """Demand application/pkcs10, in any case and with any parameters. Raises ProtocolViolation."""
    given = wire.headers.get("Content-Type", "")
    if given.partition(";")[0].strip().lower() != PKCS10:
        raise failures.unsupported_media_type(wire.correlation_id, given, PKCS10)


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
    return AnswerLayout(in_lines=bool(wire.headers.get("User-Agent")))


def has_entity(wire: WireRequest, entity_tag: str) -> bool:
    """Tell whether If-None-Match names the entity, by weak comparison (RFC 9110 §13.1.2)."""
    given = [each.strip() for each in wire.headers.get("If-None-Match", "").split(",")]
    return any(each.removeprefix("W/") in {entity_tag, "*"} for each in given)


def shows_authorization(wire: WireRequest) -> bool:
    """Tell whether the request carries HTTP authentication of a kind that is known here."""
    return _basic_parameters(wire) is not None


def decode_basic(wire: WireRequest) -> HTTPBasic | None:
    """Read Basic credentials (RFC 7617) in UTF-8; None without any, or with broken ones."""
    parameters = _basic_parameters(wire)
    if parameters is None:
        return None
    try:
        pair = binascii.a2b_base64(parameters.encode("ascii"), strict_mode=True).decode()
    except ValueError:
        return None
    username, colon, password = pair.partition(":")
    if not colon or not pair.isprintable():
        return None
    return HTTPBasic(username=username, password=password)


def decode_client_certificate(chain: tuple[bytes, ...]) -> TLSClientCertificate | None:
    """Read what the client sent in its handshake; of the certificates above its own, what can be.

    Raises EnrollmentError (SIGNER_NOT_TRUSTED) if its own cannot be read.
    """
    if not chain:
        return None
    leaf = _certificate(chain[0])
    if leaf is None:
        raise EnrollmentError(
            FailureReason.SIGNER_NOT_TRUSTED,
            "the presented certificate cannot be read",
            finding="certificate_unreadable",
        )
    above = (_certificate(each) for each in chain[1:CHAIN_LENGTH])
    return TLSClientCertificate(chain=(leaf, *(each for each in above if each is not None)))


def _basic_parameters(wire: WireRequest) -> str | None:
    scheme, _, parameters = wire.headers.get("Authorization", "").strip().partition(" ")
    return parameters.strip() if scheme.lower() == _BASIC else None


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
