"""Can anybody tell by its answer, or by the time that takes, why a sealed request was refused?

Whole messages of SCEP go through endpoint and pipeline, the causes in turn and in random order.
Every two causes are compared by the test of Kolmogorov and Smirnov: its p is above one percent
divided by the number of pairs (Bonferroni) in one of three attempts at least. The answers
may differ in nonces and signatures alone.

Run: python -m benchmarks.scep_oracle [samples] [messageType]
"""

import asyncio
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import exp, sqrt
from time import perf_counter

from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import Ratio, ratio, write
from protocols.scep.messages import MessageType
from protocols.wire import WireResponse
from server.exchange import ProtocolEndpoint
from server.observability.logging import configure_logging
from tests.support.enrollment import Site, open_site
from tests.support.scep import a_scep_wire, an_endpoint
from tests.support.scep_causes import lasting, makers

LEVEL = 0.01
ATTEMPTS = 3
APART = 50.0
"""Microseconds that medians may differ by (security P5)."""
MESSAGES = 40
WARM_UP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two causes: how far apart, as medians in microseconds, and p that this is chance."""

    names: str
    microseconds: float
    p: float


def main(samples: int = 20_000, kind: int = MessageType.PKCS_REQ) -> None:
    """Print for every two causes how far apart they are. Raises BenchmarkFailed."""
    configure_logging("error")
    attempts: list[list[Compared]] = []
    times: Mapping[str, list[float]] = {}
    while len(attempts) < ATTEMPTS:
        times = asyncio.run(_measure(samples, kind))
        attempts.append([_compare(times, *pair) for pair in combinations(times, 2)])
        if min(each.p for each in attempts[-1]) > LEVEL / len(attempts[-1]):
            break
    write(
        "scep_oracle",
        _ratios(attempts),
        samples=samples,
        message_type=kind,
        microseconds={cause: round(_median(each), 1) for cause, each in times.items()},
        p=[{each.names: each.p for each in attempt} for attempt in attempts],
    )


def _ratios(attempts: Sequence[Sequence[Compared]]) -> list[Ratio]:
    """Give the best attempt of all pairs at once: its distances, and the level as multiple of p."""
    best = max(attempts, key=lambda attempt: min(each.p for each in attempt))
    level = LEVEL / len(best)
    return [
        *[ratio(f"{each.names}, microseconds", [each.microseconds], APART) for each in best],
        *[ratio(f"{each.names}, level / p", [level / max(each.p, 1e-99)], 1.0) for each in best],
    ]


async def _measure(samples: int, kind: int) -> Mapping[str, list[float]]:
    """Time the refusals of every cause, and demand that they are the same octets."""
    site = await open_site()
    await site.register()
    endpoint = await an_endpoint(site)
    causes = {cause: [make() for _ in range(MESSAGES)] for cause, make in makers(kind).items()}
    times: dict[str, list[float]] = {cause: [] for cause in causes}
    said: set[bytes] = set()
    for number in range(WARM_UP + samples):
        for cause in random.sample(list(causes), len(causes)):
            body = random.choice(causes[cause])  # noqa: S311 - an order that hides nothing
            took, answer = await _time(site, endpoint, body)
            said.add(lasting(answer.body))
            if number >= WARM_UP:
                times[cause].append(took)
    if len(said) != 1:
        raise BenchmarkFailed(f"the answers are of {len(said)} kinds, where one is wanted")
    return times


async def _time(site: Site, endpoint: ProtocolEndpoint, body: bytes) -> tuple[float, WireResponse]:
    wire = replace(a_scep_wire(body=body), received_at=site.clock.now())
    begin = perf_counter()
    answer = await endpoint(wire)
    return perf_counter() - begin, answer


def _compare(times: Mapping[str, Sequence[float]], one: str, other: str) -> Compared:
    return Compared(
        names=f"{one} / {other}",
        microseconds=abs(_median(times[one]) - _median(times[other])),
        p=_likelihood(times[one], times[other]),
    )


def _median(times: Sequence[float]) -> float:
    return statistics.median(times) * 1e6


def _likelihood(one: Sequence[float], other: Sequence[float]) -> float:
    """Give p of the two-sample test of Kolmogorov and Smirnov, for equally many samples."""
    merged = sorted([(each, 1) for each in one] + [(each, -1) for each in other])
    furthest = at = 0
    for _, step in merged:
        at += step
        furthest = max(furthest, abs(at))
    effective = sqrt(len(one) / 2)
    scaled = (effective + 0.12 + 0.11 / effective) * furthest / len(one)
    if scaled < 0.2:  # There the series does not converge, and p is 1 to ten digits.
        return 1.0
    signs = ((1 if k % 2 else -1, k) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(sign * exp(-2 * (k * scaled) ** 2) for sign, k in signs)))


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
