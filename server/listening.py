"""Where a running server listens."""

from dataclasses import dataclass


class ListeningError(Exception):
    """An address cannot be listened on; the message says which, why, and where to change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Addresses as `host:port`, with the port that was taken; empty where switched off."""

    https: str
    http: str
    management: str
    unix: str
    pid: int
