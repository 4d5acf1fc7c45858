"""The attributes of a PKCS#10 request that mean something here; the others are passed over."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat import asn1

from enroll.failures import Malformed
from enroll.profiles import KeyUsageBit
from protocols import der
from protocols.limits import DERLimits, check_der

CHALLENGE_PASSWORD_CHARACTERS = 255

_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
_MICROSOFT_EXTENSION_REQUEST = bytes.fromhex("060a2b06010401823702010e")
_CHALLENGE_PASSWORD = bytes.fromhex("06092a864886f70d010907")
CHANGE_SUBJECT_NAME = bytes.fromhex("06082b06010505070724")
_SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
_EXTENDED_KEY_USAGE = bytes.fromhex("0603551d25")
_KEY_USAGE = bytes.fromhex("0603551d0f")
_READ = frozenset({_SUBJECT_ALTERNATIVE_NAME, _EXTENDED_KEY_USAGE, _KEY_USAGE})
# basicConstraints that say what is so in any case: this is no CA.
_NO_AUTHORITY = (bytes.fromhex("0603551d13"), bytes.fromhex("3000"))
# Bits of the first octet of RFC 5280 §4.2.1.3 KeyUsage; bit 0 is its highest.
_KEY_USAGE_BITS = (
    (0x80, KeyUsageBit.DIGITAL_SIGNATURE),
    (0x40, KeyUsageBit.NON_REPUDIATION),
    (0x20, KeyUsageBit.KEY_ENCIPHERMENT),
    (0x08, KeyUsageBit.KEY_AGREEMENT),
)
# UTF8String, PrintableString, T61String as everybody writes it, IA5String.
_STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the attributes ask for. Names are still DER, within the limits.

    `beyond` all that there are other extensions, or key usages that no end entity has.
    """

    key_usage: frozenset[KeyUsageBit] | None = None
    extended_key_usage: frozenset[x509.ObjectIdentifier] | None = None
    subject_alternative_names: bytes | None = None
    change_subject: bytes | None = None
    change_subject_alternative_names: bytes | None = None
    challenge_password: str | None = field(default=None, repr=False)
    beyond: bool = False


def read_attributes(attributes: bytes, limits: DERLimits) -> Wishes:
    """Read the content of RFC 2986 §4.1 Attributes, in whatever order they come.

    Raises Malformed for what has not the shape that its RFC gives it, and for what is there twice.
    """
    values = attribute_values(attributes)
    challenge = values.get(_CHALLENGE_PASSWORD)
    change = values.get(CHANGE_SUBJECT_NAME)
    return read_wishes(
        requested_extensions(values),
        only_one(change) if change is not None else None,
        _challenge_password(challenge) if challenge is not None else None,
        limits,
    )


def read_wishes(
    extensions: dict[bytes, bytes],
    change: der.Element | None,
    challenge_password: str | None,
    limits: DERLimits,
) -> Wishes:
    """Put together what extensions and a ChangeSubjectName ask for. Raises Malformed."""
    usage = extensions.get(_KEY_USAGE)
    purposes = extensions.get(_EXTENDED_KEY_USAGE)
    names = extensions.get(_SUBJECT_ALTERNATIVE_NAME)
    change_subject, change_names = _change_of_names(change) if change is not None else (None, None)
    return Wishes(
        key_usage=_key_usage(usage, limits) if usage is not None else None,
        extended_key_usage=_purposes(purposes, limits) if purposes is not None else None,
        subject_alternative_names=_general_names(names, limits) if names is not None else None,
        change_subject=change_subject,
        change_subject_alternative_names=change_names,
        challenge_password=challenge_password,
        beyond=any(
            each not in _READ and (each, value) != _NO_AUTHORITY
            for each, value in extensions.items()
        )
        or (usage is not None and _has_other_usages(usage)),
    )


def attribute_values(content: bytes) -> dict[bytes, list[der.Element]]:
    """Give the values of each attribute by its type, an OBJECT IDENTIFIER in DER."""
    found: dict[bytes, list[der.Element]] = {}
    for attribute in der.split(content):
        parts = der.split(attribute.content) if attribute.tag == der.SEQUENCE else []
        if [part.tag for part in parts] != [der.OBJECT_IDENTIFIER, der.SET]:
            raise Malformed("an attribute is no pair of type and values")
        kind, values = parts
        if kind.whole in found:
            raise Malformed("an attribute is there twice", finding="duplicate_attribute")
        found[kind.whole] = der.split(values.content)
    return found


def requested_extensions(attributes: dict[bytes, list[der.Element]]) -> dict[bytes, bytes]:
    """Give the value of each requested extension by its OBJECT IDENTIFIER in DER."""
    lists = [
        only_one(attributes[kind])
        for kind in (_EXTENSION_REQUEST, _MICROSOFT_EXTENSION_REQUEST)
        if kind in attributes
    ]
    if len(lists) > 1:
        raise Malformed("extensions are asked for twice", finding="duplicate_attribute")
    return extension_values(_elements(lists[0])) if lists else {}


def extension_values(extensions: Iterable[der.Element]) -> dict[bytes, bytes]:
    """Give the value of each extension by its OBJECT IDENTIFIER in DER. Raises Malformed."""
    found: dict[bytes, bytes] = {}
    for extension in extensions:
        parts = _elements(extension)
        if [part.tag for part in parts] not in _EXTENSION_SHAPES:
            raise Malformed("a requested extension has not the shape of one")
        kind = parts[0].whole
        if kind in found:
            raise Malformed("an extension is asked for twice", finding="duplicate_extension")
        found[kind] = parts[-1].content
    return found


def _key_usage(value: bytes, limits: DERLimits) -> frozenset[KeyUsageBit] | None:
    """Give the usages that an end entity may have, or None if none of them is asked for."""
    check_der(value, limits)
    (bits,) = der.split(value)
    if bits.tag != der.BIT_STRING:
        raise Malformed("the requested keyUsage is no BIT STRING")
    first = bits.content[1] if len(bits.content) > 1 else 0
    return frozenset(usage for mask, usage in _KEY_USAGE_BITS if first & mask) or None


def _has_other_usages(value: bytes) -> bool:
    """Tell whether a keyUsage that `_key_usage` has read holds more than it gives."""
    (bits,) = der.split(value)
    known = sum(mask for mask, _ in _KEY_USAGE_BITS)
    octets = bits.content[1:]
    return any(octet & ~(known if at == 0 else 0) for at, octet in enumerate(octets))


def _purposes(value: bytes, limits: DERLimits) -> frozenset[x509.ObjectIdentifier]:
    check_der(value, limits)
    (purposes,) = der.split(value)
    if any(each.tag != der.OBJECT_IDENTIFIER for each in _elements(purposes)):
        raise Malformed("the requested extendedKeyUsage holds something else than purposes")
    return frozenset(
        asn1.decode_der(x509.ObjectIdentifier, each.whole) for each in _elements(purposes)
    )


def _general_names(value: bytes, limits: DERLimits) -> bytes:
    check_der(value, limits)
    (names,) = der.split(value)
    if names.tag != der.SEQUENCE or not names.content:
        raise Malformed("the requested subjectAltName holds no names")
    return value


def _change_of_names(change: der.Element) -> tuple[bytes | None, bytes | None]:
    """Read RFC 6402 §2.8 ChangeSubjectName: a Name, GeneralNames or both, neither of them tagged.

    A Name is a SEQUENCE of SETs and GeneralNames are not, which tells the two apart.
    """
    parts = _elements(change)
    subject = names = None
    for part in parts:
        inner = [element.tag for element in _elements(part)]
        if subject is None and names is None and all(tag == der.SET for tag in inner):
            subject = part.whole
        elif names is None and inner and der.SET not in inner:
            names = part.whole
        else:
            raise Malformed("a ChangeSubjectName holds something else than a name and names")
    if subject is None and names is None:
        raise Malformed("a ChangeSubjectName is empty")
    return subject, names


def _challenge_password(values: list[der.Element]) -> str:
    """Read RFC 2985 §5.4.1 challengePassword."""
    value = only_one(values)
    encoding = _STRINGS.get(value.tag)
    if encoding is None:
        raise Malformed("the challengePassword is of no string type that is read here")
    try:
        password = value.content.decode(encoding)
    except UnicodeDecodeError:
        # The cause is not chained: it would carry the password into a traceback.
        raise Malformed("the challengePassword is not in its string type's encoding") from None
    if not 0 < len(password) <= CHALLENGE_PASSWORD_CHARACTERS:
        raise Malformed(f"a challengePassword has 1 to {CHALLENGE_PASSWORD_CHARACTERS} characters")
    return password


def only_one(values: list[der.Element]) -> der.Element:
    if len(values) != 1:
        raise Malformed("an attribute of one value has none, or several")
    return values[0]


def _elements(sequence: der.Element) -> list[der.Element]:
    if sequence.tag != der.SEQUENCE:
        raise Malformed("there is something else where a SEQUENCE should be")
    return der.split(sequence.content)


_EXTENSION_SHAPES = (
    [der.OBJECT_IDENTIFIER, der.OCTET_STRING],
    [der.OBJECT_IDENTIFIER, der.BOOLEAN, der.OCTET_STRING],
)
