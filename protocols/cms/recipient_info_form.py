"""The form of RecipientInfo (RFC 5652 §6.2): its choices by tag, and their fields."""

from enroll.failures import Malformed
from protocols import der

KTRI = der.SEQUENCE
KARI = 0xA1
KEKRI = 0xA2
PWRI = 0xA3


def fields_of(element: der.Element, tags: tuple[int, ...]) -> list[der.Element]:
    """Take a constructed element apart that has exactly such fields. Raises Malformed."""
    fields = der.split(element.content)
    if tuple([field.tag for field in fields]) != tags:
        raise Malformed("the envelope's recipient is no RecipientInfo of its kind")
    return fields
