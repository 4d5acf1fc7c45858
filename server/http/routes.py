"""Which endpoint a path belongs to: the longest mounted prefix, by whole segments."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from protocols.wire import WireRequest, WireResponse

Endpoint = Callable[[WireRequest], Awaitable[WireResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """An endpoint, the prefix that it is reached under, and the largest body that it takes."""

    prefix: str
    endpoint: Endpoint
    body_bytes: int = 64 * 1024
    name: str


class Router:
    """Finds the mount of a path. Double slashes count as one (est-H3)."""

    def __init__(self, mounts: tuple[Mount, ...]) -> None:
        self._mounts = tuple(sorted(mounts, key=lambda each: -len(each.prefix)))

    def find(self, path: str) -> tuple[Mount, str] | None:
        """Give the mount and what follows its prefix, without slashes around it."""
        while "//" in path:
            path = path.replace("//", "/")
        for mount in self._mounts:
            if path == mount.prefix:
                return mount, ""
            if path.startswith(mount.prefix + "/"):
                return mount, path[len(mount.prefix) :].strip("/")
        return None
