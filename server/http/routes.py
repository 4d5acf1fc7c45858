"""Which endpoint a path belongs to: the longest mounted prefix, by whole segments."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from protocols.wire import WireRequest, WireResponse

Endpoint = Callable[[WireRequest], Awaitable[WireResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """An endpoint, the prefix that it is reached under, and the largest body that it takes.

    With `any_case`, the prefix stands in lower case and is found in any.
    """

    prefix: str
    endpoint: Endpoint
    body_bytes: int = 64 * 1024
    name: str
    any_case: bool = False


class Router:
    """Finds the mount of a path. Double slashes count as one (est-H3)."""

    def __init__(self, mounts: tuple[Mount, ...]) -> None:
        self._mounts = tuple(sorted(mounts, key=lambda each: -len(each.prefix)))

    def find(self, path: str) -> tuple[Mount, str] | None:
        """Give the mount and what follows its prefix, without slashes around it."""
        while "//" in path:
            path = path.replace("//", "/")
        lower = path.lower()
        for mount in self._mounts:
            sought = lower if mount.any_case else path
            if sought == mount.prefix:
                return mount, ""
            if sought.startswith(mount.prefix + "/"):
                return mount, path[len(mount.prefix) :].strip("/")
        return None
