"""Reading a CertTemplate (RFC 4211 §5): each field once, in order, in the form it must have."""

from datetime import UTC, datetime

from enroll.failures import FailureReason, Malformed, PolicyViolation
from protocols import der
from protocols.crmf.messages import CertTemplate
from protocols.request_attributes import extension_values

_VERSION = 0x80
_SERIAL_NUMBER = 0x81
_SIGNING_ALGORITHM = 0xA2
_ISSUER = 0xA3
_VALIDITY = 0xA4
_SUBJECT = 0xA5
_PUBLIC_KEY = 0xA6
_ISSUER_UNIQUE_ID = 0x87
_SUBJECT_UNIQUE_ID = 0x88
_EXTENSIONS = 0xA9
_X509_V3 = b"\x02"
_NOT_BEFORE = 0xA0
_NOT_AFTER = 0xA1
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
# RFC 5280 §4.1.2.5.1: two digits from here on are of the twentieth century.
_CENTURY_TURNS = 50


def read_template(template: der.Element, *, asks: bool = True) -> CertTemplate:
    """Read a template that has passed `check_der`.

    It `asks` for a certificate, unless it says which one is meant (RFC 9810 §5.3.9). Raises
    Malformed, and BAD_CERTIFICATE_TEMPLATE for what RFC 4211 §5 keeps out of one that asks.
    """
    fields = _fields(template)
    if fields.get(_VERSION, _X509_V3) != _X509_V3:
        raise _forbidden("the template asks for another version than X.509 version 3", "version")
    for tag, field in _NOT_TO_ASK.items():
        if asks and tag in fields:
            raise _forbidden(f"the template holds {field}, which is not to be asked for", field)
    serial_number = fields.get(_SERIAL_NUMBER)
    if serial_number is not None and not serial_number:
        raise Malformed("the template's serial number is empty")
    validity = fields.get(_VALIDITY)
    not_before, not_after = _validity(validity) if validity is not None else (None, None)
    public_key, extensions = fields.get(_PUBLIC_KEY), fields.get(_EXTENSIONS)
    return CertTemplate(
        serial_number=(
            int.from_bytes(serial_number, signed=True) if serial_number is not None else None
        ),
        signing_algorithm=fields.get(_SIGNING_ALGORITHM),
        issuer=_name(fields.get(_ISSUER)),
        not_before=not_before,
        not_after=not_after,
        subject=_name(fields.get(_SUBJECT)),
        spki=der.encode(der.SEQUENCE, public_key) if public_key is not None else None,
        extensions=(extension_values(der.split(extensions)) if extensions is not None else None),
        has_unique_identifiers=not fields.keys().isdisjoint(
            {_ISSUER_UNIQUE_ID, _SUBJECT_UNIQUE_ID}
        ),
    )


def _fields(template: der.Element) -> dict[int, bytes]:
    """Give the content of each field by its tag."""
    if template.tag != der.SEQUENCE:
        raise Malformed("there is something else where a CertTemplate should be")
    fields: dict[int, bytes] = {}
    last = -1
    for field in der.split(template.content):
        number = field.tag & 0x1F
        if field.tag not in _TAGS or number <= last:
            raise Malformed("the template holds a field that must not be there, or not so")
        fields[field.tag] = field.content
        last = number
    return fields


def _name(content: bytes | None) -> bytes | None:
    """Take the tag off that a Name has because it is a CHOICE."""
    if content is None:
        return None
    name = der.only(content, der.SEQUENCE)
    if name is None:
        raise Malformed("there is something else where a Name should be")
    return name.whole


def _validity(content: bytes) -> tuple[datetime | None, datetime | None]:
    times: dict[int, datetime] = {}
    for part in der.split(content):
        if part.tag not in {_NOT_BEFORE, _NOT_AFTER} or any(each >= part.tag for each in times):
            raise Malformed("the template's validity holds something else than its two times")
        times[part.tag] = read_time(part.content)
    if not times:
        raise _forbidden("the template's validity is empty", "validity")
    return times.get(_NOT_BEFORE), times.get(_NOT_AFTER)


def read_time(content: bytes) -> datetime:
    """Read the one Time in a content, in the forms of RFC 5280 §4.1.2.5, which are DER's."""
    parts = der.split(content)
    digits = parts[0].content[:-1] if len(parts) == 1 else b""
    if len(parts) == 1 and parts[0].content[-1:] == b"Z" and digits.isdigit():
        text = digits.decode()
        if parts[0].tag == _UTC_TIME:
            text = ("19" if int(text[:2]) >= _CENTURY_TURNS else "20") + text
        if parts[0].tag in {_UTC_TIME, _GENERALIZED_TIME} and len(text) == _TIME_DIGITS:
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    raise Malformed("there is something else where a Time should be")


def _forbidden(detail: str, field: str) -> PolicyViolation:
    return PolicyViolation(FailureReason.BAD_CERTIFICATE_TEMPLATE, detail, field=field)


_TIME_DIGITS = 14
_NOT_TO_ASK = {
    _SIGNING_ALGORITHM: "signingAlg",
    _ISSUER_UNIQUE_ID: "issuerUID",
    _SUBJECT_UNIQUE_ID: "subjectUID",
}
_TAGS = frozenset(
    {
        _VERSION,
        _SERIAL_NUMBER,
        _SIGNING_ALGORITHM,
        _ISSUER,
        _VALIDITY,
        _SUBJECT,
        _PUBLIC_KEY,
        _EXTENSIONS,
        *_NOT_TO_ASK,
    }
)
