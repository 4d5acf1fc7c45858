"""The five packages are ours, lie side by side, and keep their walls."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from server.fence import PACKAGES as FENCED
from server.fence import check_packages
from tests.architecture.source import PACKAGES, ROOT

TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def test_the_five_packages_are_siblings() -> None:
    check_packages()


def test_fence_and_wheel_know_the_same_packages() -> None:
    assert set(FENCED) == set(PACKAGES)
    assert set(TOOLS["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
    assert set(TOOLS["importlinter"]["root_packages"]) == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_no_import_contract_has_an_exception() -> None:
    contracts = TOOLS["importlinter"]["contracts"]

    assert contracts
    assert not [each["name"] for each in contracts if "ignore_imports" in each]


def test_the_import_contracts_hold() -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter, "lint-imports is not in this environment: run make dev"

    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
