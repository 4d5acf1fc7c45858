"""What ties a request to the very connection that it came over: channel bindings (RFC 5056)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class ChannelBindingKind(StrEnum):
    """The channel bindings of TLS: of RFC 5929 §3 up to version 1.2, of RFC 9266 from 1.3 on."""

    TLS_UNIQUE = "tls-unique"
    TLS_EXPORTER = "tls-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBinding:
    """What the two ends of one TLS connection know, and nobody beside them.

    Without the extended master secret (RFC 7627) somebody in between could have brought it about
    that two connections have the same.
    """

    kind: ChannelBindingKind
    value: bytes = field(repr=False)
    extended_master_secret: bool = True


class Channel(Protocol):
    """The TLS connection that a request came over; asked only when there is need."""

    def binding(self) -> ChannelBinding | None: ...

    def strength(self) -> int:
        """Tell how many bits the secret of its cipher has."""
        ...
