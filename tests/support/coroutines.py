"""Tests that are coroutines, each run to its end in one event loop with its fixtures.

A `conftest.py` imports both names.
"""

import asyncio
import inspect
from collections.abc import Iterator

import pytest


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of one test, for fixtures that open and close things in it."""
    with asyncio.Runner() as made:
        yield made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine that is a test; leave any other to pytest."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    wanted = inspect.signature(test).parameters
    given = {name: pyfuncitem.funcargs[name] for name in wanted}
    runner = pyfuncitem.funcargs.get("runner")
    if isinstance(runner, asyncio.Runner):
        runner.run(test(**given))
    else:
        asyncio.run(test(**given))
    return True
