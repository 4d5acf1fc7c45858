"""Reading a path: which profile a SCEP client means, however it spells the rest."""

from functools import lru_cache
from urllib.parse import unquote

PATHS_KEPT = 256
NAME_CHARACTERS = 64
_PROGRAM = "pkiclient.exe"


@lru_cache(maxsize=PATHS_KEPT)
def read_label(path: str) -> str | None:
    """Give the label, in lower case, that follows the mount point; None if there is none.

    What follows the label is of no importance: RFC 8894 §4.1 wants SCEPPATH ignored, and clients
    put all sorts of things there.
    """
    segments = [unquote(each) for each in path.split("/") if each]
    if not segments or segments[0].lower() == _PROGRAM:
        return None
    return segments[0].lower()


def printable(text: str) -> str:
    """Make a name from the wire fit for a record: short, and without control characters."""
    text = text[:NAME_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
