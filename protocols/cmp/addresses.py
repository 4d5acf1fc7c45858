"""Reading a path: which operation and which profile it names (RFC 9483 §6.1, RFC 9811 §3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from protocols.cmp.messages import (
    CA_CERTS,
    CERT_REQ_TEMPLATE,
    CRL_STATUS_LIST,
    ROOT_CA_CERT,
    BodyType,
)

PATHS_KEPT = 256
NAME_CHARACTERS = 64
OPERATIONS: Mapping[str, BodyType] = {
    "initialization": BodyType.IR,
    "certification": BodyType.CR,
    "keyupdate": BodyType.KUR,
    "pkcs10": BodyType.P10CR,
    "revocation": BodyType.RR,
    "getcacerts": BodyType.GENM,
    "getrootupdate": BodyType.GENM,
    "getcertreqtemplate": BodyType.GENM,
    "getcrls": BodyType.GENM,
    "nested": BodyType.NESTED,
}
"""What a message must be that comes to an address with this label, when it begins an exchange."""

INFO_TYPES: Mapping[str, bytes] = {
    "getcacerts": CA_CERTS,
    "getrootupdate": ROOT_CA_CERT,
    "getcertreqtemplate": CERT_REQ_TEMPLATE,
    "getcrls": CRL_STATUS_LIST,
}
"""What a genm must ask for at such an address (RFC 9483 §6.1)."""

_PROFILE = "p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What is said of a message by where it was sent to; `is_known` unless the form is wrong."""

    profile: str | None = None
    operation: BodyType | None = None
    info_type: bytes | None = None
    is_known: bool = True


@lru_cache(maxsize=PATHS_KEPT)
def read_address(path: str) -> Address:
    """Read what follows the mount point: `[p/PROFILE][/OPERATION]`, `OPERATION` or `PROFILE`."""
    segments = [unquote(each) for each in path.split("/") if each]
    profile = None
    if segments and segments[0] == _PROFILE and len(segments) > 1:
        profile, segments = segments[1], segments[2:]
    elif len(segments) == 1 and segments[0] not in OPERATIONS:
        profile, segments = segments[0], []
    if not segments:
        return Address(profile=profile)
    is_known = len(segments) == 1 and segments[0] in OPERATIONS
    return Address(
        profile=profile,
        operation=OPERATIONS.get(segments[0]),
        info_type=INFO_TYPES.get(segments[0]),
        is_known=is_known,
    )


def without_operation(path: str) -> str:
    """Give the address of the same profile that names no operation."""
    profile = read_address(path).profile
    return f"/{_PROFILE}/{quote(profile, safe='')}" if profile is not None else ""


def printable(text: str) -> str:
    """Make a name from the wire fit for a record: short, and without control characters."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for each in text[:NAME_CHARACTERS]
    )
