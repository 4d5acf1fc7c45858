"""Each module says what it owns, stays readable, and imports only what its place allows."""

import ast

import pytest

from tests.architecture.source import Module, imports, modules

LONGEST_FILE = 350

# Where asn1crypto, which is untyped, may read and write: its objects do not leave these places.
ASN1_PLACES = (
    "ca/keys/",
    "ca/template.py",
    "ca/twin.py",
    "protocols/cms/",
    "protocols/der.py",
    "protocols/pkcs10.py",
)
ASN1_FILES = ("decode.py", "encode.py")

# On the path of an editable installation, and not in the wheel.
OUTSIDE = {"tests", "benchmarks", "docs"}

BANNED_NAMES = {"util", "utils", "common", "helpers", "manager", "base", "misc"}

MODULES = modules()


@pytest.fixture(params=MODULES, ids=lambda module: module.path)
def module(request: pytest.FixtureRequest) -> Module:
    found = request.param
    assert isinstance(found, Module)
    return found


def test_the_house_was_found() -> None:
    assert {each.path.split("/")[0] for each in MODULES} == {
        "enroll",
        "ca",
        "registry",
        "protocols",
        "server",
    }


def test_a_module_says_in_its_first_line_what_it_owns(module: Module) -> None:
    docstring = ast.get_docstring(module.tree)

    assert docstring, f"{module.path} has no docstring"
    assert docstring.splitlines()[0].endswith("."), f"{module.path}: the first line has no end"


def test_a_module_is_not_too_long_to_have_one_subject(module: Module) -> None:
    length = len(module.text.splitlines())

    assert length <= LONGEST_FILE, f"{module.path} has {length} lines: it has two subjects"


def test_a_module_has_a_name_of_its_own(module: Module) -> None:
    words = {part.removesuffix(".py") for part in module.path.split("/")}

    assert not words & BANNED_NAMES


def test_a_module_imports_by_full_names(module: Module) -> None:
    relative = [each.line for each in imports(module.tree) if each.level]

    assert not relative, f"{module.path}: relative imports in lines {relative}"


def test_a_module_imports_nothing_that_is_not_shipped(module: Module) -> None:
    outside = [each.name for each in imports(module.tree) if each.name.split(".")[0] in OUTSIDE]

    assert not outside, f"{module.path} imports {outside}, which is not in the wheel"


def test_asn1crypto_stays_where_octets_are_read_and_written(module: Module) -> None:
    uses = any(each.name.split(".")[0] == "asn1crypto" for each in imports(module.tree))
    allowed = module.path.startswith(ASN1_PLACES) or (
        module.path.startswith("protocols/") and module.path.endswith(ASN1_FILES)
    )

    assert allowed or not uses, f"{module.path} imports asn1crypto"
