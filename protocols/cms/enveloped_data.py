"""EnvelopedData (RFC 5652 §6), closed and opened."""

import os

from cryptography.x509 import ObjectIdentifier

from protocols import der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA, encode_oid
from protocols.cms.recipients import Recipient

_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_ENCRYPTED_CONTENT = 0x80


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
