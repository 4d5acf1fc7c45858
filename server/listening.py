"""Where a running server listens."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from server.home import write_public


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


def cannot_listen(name: str, address: str, error: OSError) -> ListeningError:
    """Say why an address cannot be listened on, and where another is given."""
    return ListeningError(
        f"cannot listen on {address}: {os.strerror(error.errno or 0)}; choose another "
        f"address with --{name} HOST:PORT, or server.{name} in the configuration"
    )


def write_ready_file(path: Path, listening: Listening) -> None:
    """Say where the server listens, in a file that is whole when it is there."""
    write_public(path.absolute(), json.dumps(asdict(listening)).encode("utf-8") + b"\n")
