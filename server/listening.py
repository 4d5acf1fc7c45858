"""Where a running server listens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Addresses as `host:port`, with the port that was taken; empty where switched off."""

    https: str
    http: str
    management: str
    unix: str
    pid: int
