"""What a request for a certificate should hold, before any protocol words it."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from enroll.profiles import KeyAlgorithm, KeyUsageBit


class AlternativeNameKind(StrEnum):
    """The sorts of alternative name that a certificate profile may give."""

    URI = "uri"
    DNS = "dns"
    EMAIL = "email"
    IP = "ip"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAttribute:
    """An attribute of the subject; without a value, its sender knows which."""

    type: x509.ObjectIdentifier
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedName:
    """An alternative name; without a value, its sender knows which."""

    kind: AlternativeNameKind
    value: x509.GeneralName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRequirements:
    """What a request should hold; what is empty, or None, is its sender's choice.

    `channel_binding` asks for the one of the connection that the request will come over.
    """

    key: KeyAlgorithm | None = None
    subject: tuple[WantedAttribute, ...] = ()
    alternative_names: tuple[WantedName, ...] = ()
    key_usage: frozenset[KeyUsageBit] = frozenset()
    extended_key_usage: tuple[x509.ObjectIdentifier, ...] = ()
    channel_binding: bool = False
