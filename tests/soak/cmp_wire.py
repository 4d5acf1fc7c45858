"""Mutated messages of CMP over HTTP to a server of its own: nothing falls or drags."""

from collections.abc import Callable
from random import Random

from server.device_paths import CMP_PATHS
from tests.soak.cmp import FAILED, PATHS, answered
from tests.soak.cmp_mutations import cmp_mutant
from tests.soak.cmp_seeds import callers_of, seeds_of
from tests.soak.experiment import Outcome, Progress
from tests.soak.over_http import MakeRequest, send_over_http
from tests.soak.wire import Request
from tests.support.installation import Installation, Running

REQUESTS, SLICE = 100_000, 600
SEED = 20_261_129
_TYPES = (*("application/pkixcmp",) * 12, "application/pkixcmp-poll", "text/plain", "")


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, send them all one after another, and judge."""
    return send_over_http(
        _prepare,
        seed=SEED,
        total=SLICE if short else REQUESTS,
        answered=answered,
        failed=FAILED,
        progress=progress,
    )


def _prepare(installation: Installation) -> Callable[[Running], MakeRequest]:
    seeds = seeds_of(callers_of(installation))
    return lambda _: lambda random: _request(random, cmp_mutant(random, seeds, None))


def _request(random: Random, message: bytes) -> Request:
    path = f"{random.choice(CMP_PATHS)}/{random.choice(PATHS)}".rstrip("/")
    headers = {"Content-Type": random.choice(_TYPES)}
    return Request(method="POST", path=path, headers=headers, body=message)
