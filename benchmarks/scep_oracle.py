"""Can anybody tell by its answer, or by the time that takes, why a sealed request was refused?

Whole messages of SCEP go through endpoint and pipeline, or over HTTP to a server of its own; every
cause as often, in random order.
Every two causes are compared by the test of Kolmogorov and Smirnov: its p is above one percent
divided by the number of pairs (Bonferroni) in one of three attempts at least. The answers
may differ in nonces and signatures alone.

Run: python -m benchmarks.scep_oracle [samples] [messageType] [http]
"""

import asyncio
import http.client as http_client
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import exp, sqrt
from pathlib import Path
from time import perf_counter, thread_time

from cryptography import x509

from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import Ratio, ratio, write
from protocols.scep.messages import MessageType
from server.observability.logging import configure_logging
from tests.support.enrollment import open_site
from tests.support.installation import Installation
from tests.support.scep import a_scep_wire, an_endpoint, the_ra_at
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


def main(samples: int = 20_000, kind: int = MessageType.PKCS_REQ, *, http: bool = False) -> None:
    """Print for every two causes how far apart they are. Raises BenchmarkFailed."""
    configure_logging("error")
    attempts: list[list[Compared]] = []
    times: Mapping[str, list[float]] = {}
    while len(attempts) < ATTEMPTS:
        times = _over_http(samples, kind) if http else asyncio.run(_in_process(samples, kind))
        attempts.append([_compare(times, *pair) for pair in combinations(times, 2)])
        if min(each.p for each in attempts[-1]) > LEVEL / len(attempts[-1]):
            break
    write(
        "scep_oracle",
        _ratios(attempts),
        samples=samples,
        message_type=kind,
        http=http,
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


async def _in_process(samples: int, kind: int) -> Mapping[str, list[float]]:
    """Time the refusals of a site in this process: its CPU, of which a busy machine hides least."""
    site = await open_site()
    await site.register()
    endpoint = await an_endpoint(site)
    measured = Measured(messages=_messages(kind, None))
    for cause, body in measured.order(samples):
        wire = replace(a_scep_wire(body=body), received_at=site.clock.now())
        begin = thread_time()
        answer = await endpoint(wire)
        measured.take(cause, thread_time() - begin, answer.body)
    return measured.judged(samples)


def _over_http(samples: int, kind: int) -> Mapping[str, list[float]]:
    """Time the refusals of a server of its own, over one connection of the loopback."""
    with tempfile.TemporaryDirectory(prefix="scep-oracle-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        with (installation.home / "enroll.toml").open("a") as file:
            file.write("\n[limits]\nfailures_per_address = 0\n")
        with installation.serve() as server:
            measured = Measured(messages=_messages(kind, the_ra_at(server.http)))
            host, _, port = server.http.rpartition(":")
            connection = http_client.HTTPConnection(host, int(port), timeout=30)
            for cause, body in measured.order(samples):
                begin = perf_counter()
                connection.request("POST", "/scep", body)
                answer = connection.getresponse().read()
                measured.take(cause, perf_counter() - begin, answer)
            connection.close()
    return measured.judged(samples)


def _messages(kind: int, recipient: x509.Certificate | None) -> Mapping[str, list[bytes]]:
    return {
        cause: [make() for _ in range(MESSAGES)] for cause, make in makers(kind, recipient).items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is sent, by cause; how long it took to refuse, and what was said."""

    messages: Mapping[str, Sequence[bytes]]
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    said: set[bytes] = field(default_factory=set)

    def order(self, samples: int) -> Iterator[tuple[str, bytes]]:
        """Give a message of every cause, again and again, in an order that hides nothing."""
        for _ in range(WARM_UP + samples):
            for cause in random.sample(list(self.messages), len(self.messages)):
                yield cause, random.choice(self.messages[cause])  # noqa: S311 - as it says

    def take(self, cause: str, seconds: float, answer: bytes) -> None:
        self.times[cause].append(seconds)
        self.said.add(lasting(answer))

    def judged(self, samples: int) -> Mapping[str, list[float]]:
        """Give the times, if the answers are the same octets. Raises BenchmarkFailed."""
        if len(self.said) != 1:
            raise BenchmarkFailed(f"the answers are of {len(self.said)} kinds; one is wanted")
        return {cause: self.times[cause][-samples:] for cause in self.messages}


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
    main(*(int(each) for each in sys.argv[1:3]), http="http" in sys.argv[3:])
