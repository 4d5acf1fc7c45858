"""The process's limit of descriptors, which each test changes in a process of its own."""

import subprocess
import sys

import pytest

ASK = """
import resource, sys
from server.http.descriptors import room_for
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(room_for(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def ask(soft: int, hard: int, wanted: int) -> tuple[int, ...]:
    """Give the connections that fit, and the limits afterwards."""
    words = [sys.executable, "-c", ASK, *map(str, (soft, hard, wanted))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return tuple(int(each) for each in done.stdout.split())


@pytest.mark.parametrize(
    ("limits", "wanted", "expected"),
    [
        ((1024, 4096), 500, (500, 1024, 4096)),
        ((1024, 4096), 2_000, (2_000, 2_128, 4096)),
        ((1024, 4096), 20_000, (4_096 - 128, 4096, 4096)),
        ((1024, 1024), 20_000, (1_024 - 128, 1024, 1024)),
    ],
)
def test_security_S14_the_limit_is_raised_as_far_as_it_may_be(
    limits: tuple[int, int], wanted: int, expected: tuple[int, int, int]
) -> None:
    assert ask(*limits, wanted) == expected
