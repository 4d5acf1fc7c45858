"""Beginning a use case again when what it had read was changed before it committed."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from enroll.failures import ConcurrentChange

TRIES = 16

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def decided_anew(
    use_case: Callable[_Parameters, Awaitable[_Result]],
) -> Callable[_Parameters, Coroutine[Any, Any, _Result]]:
    """Let a use case decide again on what is true now, as often as it takes, within reason.

    A person's decision must not fail because the device was busy. Raises ConcurrentChange only
    where sixteen tries have not been enough.
    """

    @wraps(use_case)
    async def persistent(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        for _ in range(TRIES - 1):
            try:
                return await use_case(*args, **kwargs)
            except ConcurrentChange:
                continue
        return await use_case(*args, **kwargs)

    return persistent
