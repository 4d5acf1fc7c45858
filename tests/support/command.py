"""The command `enroll` run within the test's process: a start of Python costs most of a second."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from server.cli.main import run

_ALONE = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: str) -> Ended:
    """Run `enroll` with these words and nobody at the keyboard; one at a time, from any thread."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        _ALONE,
        _nobody(),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        # In a thread of its own: a test may be a coroutine, and a command has its own loop.
        ThreadPoolExecutor(1, "enroll") as thread,
    ):
        code = thread.submit(run, words).result()
    return Ended(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


@contextlib.contextmanager
def _nobody() -> Iterator[None]:
    before = sys.stdin
    with Path(os.devnull).open() as nobody:
        sys.stdin = nobody
        try:
            yield
        finally:
            sys.stdin = before
