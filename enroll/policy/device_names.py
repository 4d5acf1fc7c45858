"""What a device may be called."""

import unicodedata

MAXIMUM_NAME_LENGTH = 64


def objection_to_name(name: str) -> str | None:
    """Say why a new device cannot be called so, if it cannot."""
    if not 1 <= len(name) <= MAXIMUM_NAME_LENGTH or name != name.strip():
        return "a device name is 1 to 64 characters, without spaces around it"
    if ":" in name:
        return "a device name holds no colon: HTTP Basic could not carry it"
    if not name.isprintable():
        return "a device name holds no control character, and no space but the plain one"
    if unicodedata.normalize("NFC", name) != name:
        return "a device name is written in Unicode normal form C"
    return None
