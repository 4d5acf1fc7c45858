"""The five packages must be ours: plain names can be mixed up with a stranger's."""

import importlib
from pathlib import Path

PACKAGES = ("enroll", "ca", "registry", "protocols", "server")


class FenceError(Exception):
    """A package of another distribution stands in the place of one of ours."""


def check_packages() -> None:
    """Check that the five packages lie side by side. Raises FenceError, naming the stranger."""
    places = {name: _folder(name) for name in PACKAGES}
    home = places["server"]
    for name, place in places.items():
        if place != home:
            raise FenceError(
                f"package {name!r} comes from {place}, not from {home}: another distribution has "
                "a package of that name; install enrollment-server in an environment of its own"
            )


def _folder(name: str) -> Path:
    module = importlib.import_module(name)
    if module.__file__ is None:
        raise FenceError(f"package {name!r} has no file: another distribution shadows it")
    return Path(module.__file__).resolve().parent.parent
