"""The signed attributes of a pkiMessage (RFC 8894 §3.2.1), read and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.x509 import ObjectIdentifier

from enroll.failures import Malformed
from protocols import der
from protocols.cms.signed_data import Attribute
from protocols.scep.messages import (
    LONGEST_NONCE,
    TRANSACTION_ID_CHARACTERS,
    FailInfo,
    MessageType,
    PKIStatus,
)

_UTF8_STRING = 0x0C
_PRINTABLE_STRING = 0x13
_IA5_STRING = 0x16
# The RFC has a PrintableString, and some clients have their own way (scep-17).
_STRINGS = {_PRINTABLE_STRING: "ascii", _UTF8_STRING: "utf-8", _IA5_STRING: "ascii"}
_TYPE_DIGITS = 3

MESSAGE_TYPE = ObjectIdentifier("2.16.840.1.113733.1.9.2")
PKI_STATUS = ObjectIdentifier("2.16.840.1.113733.1.9.3")
FAIL_INFO = ObjectIdentifier("2.16.840.1.113733.1.9.4")
SENDER_NONCE = ObjectIdentifier("2.16.840.1.113733.1.9.5")
RECIPIENT_NONCE = ObjectIdentifier("2.16.840.1.113733.1.9.6")
TRANSACTION_ID = ObjectIdentifier("2.16.840.1.113733.1.9.7")
FAIL_INFO_TEXT = ObjectIdentifier("1.3.6.1.5.5.7.24.1")


class TransactionID(NamedTuple):
    """A transactionID: the element as received, for its echo, and the text in it."""

    element: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What an answer must repeat of the message that it answers."""

    transaction_id: TransactionID
    sender_nonce: bytes


Attributes = Mapping[ObjectIdentifier, tuple[bytes, ...]]
"""The values of each attribute, as `protocols.cms` reads them."""


def read_transaction(attributes: Attributes) -> Transaction:
    """Read what makes an answer possible at all. Raises Malformed."""
    return Transaction(
        transaction_id=_transaction_id(_only(attributes, TRANSACTION_ID)),
        sender_nonce=_sender_nonce(_only(attributes, SENDER_NONCE)),
    )


def read_message_type(attributes: Attributes) -> MessageType:
    """Read the kind of the message, of which only those in the table exist. Raises Malformed."""
    element = _only(attributes, MESSAGE_TYPE)
    text = _text(element) if element is not None else ""
    if text.isascii() and text.isdecimal() and len(text) <= _TYPE_DIGITS:
        for each in MessageType:
            if text == str(each.value):
                return each
    raise Malformed(f"there is no messageType {text[:16]!r}", finding="message_type_unknown")


def reply_attributes(
    transaction: Transaction,
    status: PKIStatus,
    sender_nonce: bytes,
    *,
    fail_info: FailInfo | None = None,
    text: str = "",
) -> tuple[Attribute, ...]:
    """Write those of a CertRep (RFC 8894 §3.2.1); contentType and messageDigest are CMS's."""
    attributes = [
        Attribute(type=TRANSACTION_ID, values=(transaction.transaction_id.element,)),
        _number(MESSAGE_TYPE, MessageType.CERT_REP),
        _number(PKI_STATUS, status),
        Attribute(
            type=RECIPIENT_NONCE, values=(der.encode(der.OCTET_STRING, transaction.sender_nonce),)
        ),
        Attribute(type=SENDER_NONCE, values=(der.encode(der.OCTET_STRING, sender_nonce),)),
    ]
    if fail_info is not None:
        attributes.append(_number(FAIL_INFO, fail_info))
        if text:
            element = der.encode(_UTF8_STRING, text.encode())
            attributes.append(Attribute(type=FAIL_INFO_TEXT, values=(element,)))
    return tuple(attributes)


def _number(kind: ObjectIdentifier, value: int) -> Attribute:
    return Attribute(type=kind, values=(der.encode(_PRINTABLE_STRING, str(value).encode()),))


def _only(attributes: Attributes, kind: ObjectIdentifier) -> der.Element | None:
    """Give the one value of an attribute; None if there is none, or are several."""
    values = attributes.get(kind, ())
    return der.split(values[0])[0] if len(values) == 1 else None


def _transaction_id(element: der.Element | None) -> TransactionID:
    text = _text(element) if element is not None else ""
    if element is None or not 0 < len(text) <= TRANSACTION_ID_CHARACTERS:
        raise Malformed(
            f"a transactionID has 1 to {TRANSACTION_ID_CHARACTERS} characters",
            finding="transaction_id_unreadable",
        )
    return TransactionID(element.whole, text)


def _sender_nonce(element: der.Element | None) -> bytes:
    if (
        element is None
        or element.tag != der.OCTET_STRING
        or not 0 < len(element.content) <= LONGEST_NONCE
    ):
        raise Malformed(
            f"a senderNonce has 16 octets; 1 to {LONGEST_NONCE} will do",
            finding="sender_nonce_unreadable",
        )
    return element.content


def _text(element: der.Element) -> str:
    encoding = _STRINGS.get(element.tag)
    if encoding is None:
        return ""
    try:
        return element.content.decode(encoding)
    except UnicodeDecodeError:
        return ""
