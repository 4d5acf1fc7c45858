"""The house's own source, as the tests of its shape read it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("enroll", "ca", "registry", "protocols", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of the five packages."""

    path: str
    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported name; level counts the dots of a relative import."""

    name: str
    level: int
    line: int


def modules() -> list[Module]:
    """Read every module of the five packages."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            name = path.relative_to(ROOT).as_posix()
            found.append(Module(path=name, text=text, tree=ast.parse(text, name)))
    return found


def imports(tree: ast.Module) -> Iterator[Import]:
    """Find what a module imports, wherever in it, under `if TYPE_CHECKING` too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(name=alias.name, level=0, line=node.lineno)
            case ast.ImportFrom():
                yield Import(name=node.module or "", level=node.level, line=node.lineno)
            case _:
                pass
