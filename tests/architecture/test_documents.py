"""What the documents say of the source is so: files, links, and the rows of the protocols."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/README.md")]
)
PROTOCOLS = sorted(
    ROOT / "docs" / "protocols" / f"{each.parent.name}.md"
    for each in ROOT.glob("protocols/*/handler.py")
)
SOURCE = re.compile(
    r"`((?:enroll|ca|registry|protocols|server|tests|benchmarks|docs|openssl-fixtures)"
    r"/[\w./-]+\.(?:py|md|toml|cnf))`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One requirement as a document has it."""

    name: str
    code: tuple[str, ...]
    tests: tuple[str, ...]


def rows(document: Path) -> Iterator[Row]:
    """Read the tables whose five columns are row, words, clause, code and tests."""
    for line in document.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.fullmatch(r"[A-Z]?\d+", cells[0]):
            code, tests = (tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells[3:])
            yield Row(name=cells[0], code=code, tests=tests)


def proven_in(file: Path, protocol: str) -> set[str]:
    """Give the rows that the names of a file's tests begin with."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = re.match(rf"test_{protocol}_((?:[A-Z]?\d+_(?:and_)?)+)", node.name)
            if named:
                found |= set(re.findall(r"[A-Z]?\d+", named[1]))
    return found


def not_met(document: Path) -> set[str]:
    """Give the rows that a document says are missing, in whole or in part."""
    _, _, rest = document.read_text(encoding="utf-8").partition("## Not met yet")
    found = set()
    for cell in re.findall(r"^\| ([A-Z]?\d+[^|]*?) \|", rest, re.MULTILINE):
        first_to_last = re.fullmatch(r"([A-Z])(\d+) to [A-Z](\d+)", cell)
        if first_to_last:
            letter, first, last = first_to_last.groups()
            found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
        else:
            found |= set(re.findall(r"[A-Z]?\d+", cell))
    return found


@pytest.fixture(params=PROTOCOLS, ids=lambda document: document.stem)
def protocol(request: pytest.FixtureRequest) -> Path:
    found = request.param
    assert isinstance(found, Path)
    return found


def test_there_is_a_document_for_every_protocol() -> None:
    assert PROTOCOLS
    assert [each.name for each in PROTOCOLS if not each.is_file()] == []


def test_a_row_names_code_that_exists(protocol: Path) -> None:
    missing = [
        f"{row.name}: {name}"
        for row in rows(protocol)
        for name in row.code or ("nothing",)
        if not (ROOT / name).is_file()
    ]

    assert missing == []


def test_a_row_names_tests_that_prove_it(protocol: Path) -> None:
    unproven = [
        f"{row.name}: {name}"
        for row in rows(protocol)
        for name in row.tests or ("nothing",)
        if not (ROOT / name).is_file() or row.name not in proven_in(ROOT / name, protocol.stem)
    ]

    assert unproven == []


def test_a_row_stands_in_its_document_once(protocol: Path) -> None:
    names = [row.name for row in rows(protocol)]

    assert names
    assert sorted(names) == sorted(set(names))


def test_a_row_that_a_test_proves_stands_in_its_document(protocol: Path) -> None:
    known = {row.name for row in rows(protocol)} | not_met(protocol)

    missing = {
        f"{row}: {file.relative_to(ROOT)}"
        for file in ROOT.glob("tests/**/test_*.py")
        for row in proven_in(file, protocol.stem) - known
    }

    assert missing == set()


def test_a_row_that_is_met_is_not_said_to_be_missing(protocol: Path) -> None:
    missing = not_met(protocol)

    assert missing & {row.name for row in rows(protocol)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.relative_to(ROOT).as_posix())
def test_a_document_names_files_and_links_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)

    missing = [
        link
        for link in links
        if not re.match(r"[a-z]+:", link) and not (document.parent / link).exists()
    ]
    missing += [name for name in SOURCE.findall(text) if not (ROOT / name).exists()]

    assert missing == []
