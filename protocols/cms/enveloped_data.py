"""EnvelopedData (RFC 5652 §6), closed and opened."""

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptography.x509 import ObjectIdentifier

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.cms import content_ciphers
from protocols.cms.ber import to_der
from protocols.cms.content_ciphers import AES_CBC, ContentEncryption
from protocols.cms.content_info import DATA, ENVELOPED_DATA, decode_oid, encode_oid, unwrap
from protocols.cms.digests import Digest
from protocols.cms.recipient_info_form import ContentKey
from protocols.cms.recipients import Recipient
from protocols.limits import DEFAULT_LIMITS, DERLimits

_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_ENCRYPTED_CONTENT = 0x80
_REQUIRED = (der.INTEGER, der.SET, der.SEQUENCE)
_NOT_LOOKED_AT = frozenset({der.CONTEXT_0, der.CONTEXT_1})


class RecipientKey(Protocol):
    """A key that opens envelopes: TransportKey, AgreementKey, KeyEncryptionKey or Password."""

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to decrypt the content key, if the RecipientInfo names this key.

        Raises UNSUPPORTED_ALGORITHM, Malformed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEnvelope:
    """What was in an envelope.

    A wrong key does not always show: then the content is noise. Whoever cannot read it answers
    as if the envelope had not opened.
    """

    content_type: ObjectIdentifier
    content: bytes = field(repr=False)
    content_encryption: ContentEncryption
    key: RecipientKey
    """Which of the keys opened it."""
    oaep: Digest | None = None
    """With key transport by OAEP, its digest; so that an answer can be closed likewise."""
    unopened: bool = False
    """The content is what was to be taken where the envelope does not open."""


class _Envelope(NamedTuple):
    recipient_infos: list[der.Element]
    content_type: ObjectIdentifier
    cipher: ContentEncryption
    vector: bytes
    encrypted: bytes


def encode_enveloped_data(
    content: bytes,
    *,
    recipient: Recipient,
    content_type: ObjectIdentifier = DATA,
    content_encryption: ContentEncryption = ContentEncryption.AES_256_CBC,
) -> bytes:
    """Encrypt a content for one recipient, and write the ContentInfo in DER.

    Of a content type other than data, the content is its one DER element: a SignedData comes out
    of its own ContentInfo first (`content_info.unwrap`).

    Raises UNSUPPORTED_ALGORITHM when nothing can be encrypted to the recipient's key.
    """
    content_key = os.urandom(content_encryption.key_octets)
    algorithm, encrypted = content_encryption.encrypt(content_key, content)
    enveloped_data = der.encode(
        der.SEQUENCE,
        der.encode(der.INTEGER, bytes((recipient.envelope_version,))),
        der.encode(der.SET, recipient.encode(content_key)),
        der.encode(
            der.SEQUENCE,
            encode_oid(content_type),
            algorithm,
            der.encode(_ENCRYPTED_CONTENT, encrypted),
        ),
    )
    return der.encode(der.SEQUENCE, _ENVELOPED_DATA, der.encode(der.CONTEXT_0, enveloped_data))


def open_enveloped_data(
    message: bytes,
    *,
    keys: Iterable[RecipientKey],
    allowed: AbstractSet[ContentEncryption] = AES_CBC,
    limits: DERLimits = DEFAULT_LIMITS,
    otherwise: bytes | None = None,
) -> OpenedEnvelope:
    """Open a ContentInfo with an EnvelopedData, BER or DER, that names one of the keys.

    No RecipientInfo is tried but the first that names a key of ours, and it only with that key:
    trying others would tell what fits. From there on, every failure is the same. A content key
    that cannot be decrypted, or has another length, is replaced by a random one, and all goes on
    as before (RFC 3218 §2.3.2): so nobody learns from us whether the padding of RSA was good.
    With `otherwise` that failure is none: it is the content then, so that a caller can go on too.

    Raises Malformed, its finding "envelope_unopened" for that one failure, "envelope_not_for_us"
    when no recipient is ours; and UNSUPPORTED_ALGORITHM before anything is decrypted.
    """
    try:
        envelope = _read(message, allowed, limits)
        key, content_key = _find(envelope.recipient_infos, tuple(keys))
    except EnrollmentError:
        raise
    except Exception as error:
        # Form that nobody foresaw. It all means the same.
        raise Malformed(f"the EnvelopedData cannot be read: {error!s:.200}") from error
    content = _decrypt(envelope, content_key)
    unopened = content is None
    if content is None:
        content = otherwise
    if content is None:
        raise Malformed("the envelope cannot be opened", finding="envelope_unopened")
    return OpenedEnvelope(
        content_type=envelope.content_type,
        content=content,
        content_encryption=envelope.cipher,
        key=key,
        oaep=content_key.oaep,
        unopened=unopened,
    )


def addressed_to(
    message: bytes, keys: Iterable[RecipientKey], limits: DERLimits = DEFAULT_LIMITS
) -> RecipientKey | None:
    """Give the key that an envelope names, whatever else is wrong with it. Nothing is decrypted."""
    try:
        _, enveloped_data = unwrap(to_der(message, limits))
        (outer,) = der.split(enveloped_data)
        infos = next(each for each in der.split(outer.content) if each.tag == der.SET)
        return _first_named(der.split(infos.content), tuple(keys))
    except Exception:  # noqa: BLE001 - form that nobody foresaw: it names nobody
        return None


def _first_named(
    recipient_infos: list[der.Element], keys: tuple[RecipientKey, ...]
) -> RecipientKey | None:
    for recipient_info in recipient_infos:
        for key in keys:
            try:
                found = key.find(recipient_info) is not None
            except EnrollmentError as error:
                # Its algorithm is looked at once it has named the key.
                found = error.reason is FailureReason.UNSUPPORTED_ALGORITHM
            if found:
                return key
    return None


def _decrypt(envelope: _Envelope, wanted: ContentKey) -> bytes | None:
    """Give the content; None, without a cause, where there is none: that is nobody's business."""
    content_key = os.urandom(envelope.cipher.key_octets)
    try:
        decrypted = wanted.decrypt()
    except ValueError:
        decrypted = b""
    if len(decrypted) == len(content_key):
        content_key = decrypted
    try:
        return envelope.cipher.decrypt(content_key, envelope.vector, envelope.encrypted)
    except ValueError:
        return None


def _find(
    recipient_infos: list[der.Element], keys: tuple[RecipientKey, ...]
) -> tuple[RecipientKey, ContentKey]:
    for recipient_info in recipient_infos:
        for key in keys:
            content_key = key.find(recipient_info)
            if content_key is not None:
                return key, content_key
    raise Malformed("the envelope is for somebody else", finding="envelope_not_for_us")


def _read(message: bytes, allowed: AbstractSet[ContentEncryption], limits: DERLimits) -> _Envelope:
    content_type, enveloped_data = unwrap(to_der(message, limits))
    (outer,) = der.split(enveloped_data)
    # What the originator adds, and attributes that nobody vouches for, are not looked at.
    found = [each for each in der.split(outer.content) if each.tag not in _NOT_LOOKED_AT]
    required = tuple(each.tag for each in found)
    if content_type != ENVELOPED_DATA or outer.tag != der.SEQUENCE or required != _REQUIRED:
        raise Malformed("the message is no EnvelopedData")
    _, recipient_infos, encrypted_info = found
    encrypted = der.split(encrypted_info.content)
    if [each.tag for each in encrypted[:2]] != [der.OBJECT_IDENTIFIER, der.SEQUENCE]:
        raise Malformed("the envelope does not say what it holds")
    cipher, vector = content_ciphers.read_algorithm(encrypted[1].whole, allowed)
    return _Envelope(
        der.split(recipient_infos.content),
        decode_oid(encrypted[0].whole),
        cipher,
        vector,
        _encrypted_content(encrypted[2:]),
    )


def _encrypted_content(fields: list[der.Element]) -> bytes:
    """Join `[0] IMPLICIT OCTET STRING`, which Go's pkcs7 and BER have in pieces."""
    match fields:
        case [der.Element(tag=der.CONTEXT_0, content=content)]:
            pieces = der.split(content)
            if all(piece.tag == der.OCTET_STRING for piece in pieces):
                return b"".join([piece.content for piece in pieces])
        case [der.Element(tag=tag, content=content)] if tag == _ENCRYPTED_CONTENT:
            return content
        case _:
            pass
    raise Malformed("the envelope is empty, or its content is no OCTET STRING")
