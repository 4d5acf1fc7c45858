"""Attributes of devices: which keys and values the registry keeps."""

import re

MAXIMUM_ATTRIBUTE_LENGTH = 1_024

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def objection_to_attribute(key: str, value: str) -> str | None:
    """Tell what speaks against an attribute, or None."""
    if not _KEY.fullmatch(key):
        return f"attribute {key!r}: a key is 1 to 64 letters, digits, dots, hyphens, underscores"
    if len(value) > MAXIMUM_ATTRIBUTE_LENGTH or not value.isprintable():
        return (
            f"attribute {key!r}: a value is at most {MAXIMUM_ATTRIBUTE_LENGTH} characters, "
            "no control character among them"
        )
    return None
