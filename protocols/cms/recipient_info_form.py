"""The form of RecipientInfo (RFC 5652 §6.2): its choices by tag, their fields, what they give."""

from collections.abc import Callable
from typing import NamedTuple

from enroll.failures import Malformed
from protocols import der
from protocols.cms.digests import Digest

KTRI = der.SEQUENCE
KARI = 0xA1
KEKRI = 0xA2
PWRI = 0xA3
ORI = 0xA4


class ContentKey(NamedTuple):
    """A content-encryption key that one of ours can decrypt."""

    decrypt: Callable[[], bytes]
    """Raises ValueError when it cannot be decrypted."""
    oaep: Digest | None = None
    """With key transport by OAEP, its digest."""


def fields_of(element: der.Element, tags: tuple[int, ...]) -> list[der.Element]:
    """Take a constructed element apart that has exactly such fields. Raises Malformed."""
    fields = der.split(element.content)
    if tuple([field.tag for field in fields]) != tags:
        raise Malformed("the envelope's recipient is no RecipientInfo of its kind")
    return fields
