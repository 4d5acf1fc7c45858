"""Variants driven in turn, round after round, so that all meet the same noise."""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.driving import Drive, drive
from benchmarks.load import Plan
from benchmarks.measure import Ratio, ratio, yard
from benchmarks.servers import Served

HTTP_CONNECTIONS = 8
OUTLIER = 1.25
"""A round whose yard is this much off the median is of another machine than the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Something that can be driven; `drive` takes the number of the round."""

    name: str
    drive: Callable[[int], Drive]


def sending(name: str, served: Served, plan: Plan, requests: int) -> Variant:
    """Send the plan's packed requests to a server: in each round the next so many of them."""

    def run(number: int) -> Drive:
        first = plan.first + number * requests
        return drive(replace(plan, first=first, last=first + requests), served.cpu)

    return Variant(name=name, drive=run)


def over_http(
    name: str,
    served: Served,
    packed: Path,
    members: tuple[int, int],
    requests: int,
    *,
    fresh: bool = False,
) -> Variant:
    """Send packed requests over plain HTTP, from the first of the members to the last."""
    first, last = members
    plan = Plan(
        requests=str(packed),
        first=first,
        last=last,
        connections=HTTP_CONNECTIONS,
        port=served.port("http"),
        fresh=fresh,
    )
    return sending(name, served, plan, requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one turn of all variants gave; `cpu` in seconds for a request, by variant."""

    yard: float
    load: float
    cpu: Mapping[str, float]
    rates: Mapping[str, float]
    idle: Mapping[str, float]
    """The part of the time in which the generator was not busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The rounds that count, and how many were dropped."""

    rounds: tuple[Round, ...]
    dropped: int

    def ratio(
        self, name: str, of: Callable[[Mapping[str, float]], float], goal: float | None = None
    ) -> Ratio:
        """Give the median of a ratio between variants of the same round."""
        return ratio(name, [of(each.cpu) for each in self.rounds], goal)

    def yards(self, name: str, variant: str, goal: float | None = None) -> Ratio:
        return ratio(name, [each.cpu[variant] / each.yard for each in self.rounds], goal)

    def rate(self, variant: str) -> float:
        return statistics.median(each.rates[variant] for each in self.rounds)

    def facts(self) -> dict[str, object]:
        names = list(self.rounds[0].cpu)

        def medians(pick: Callable[[Round], Mapping[str, float]], digits: int) -> dict[str, float]:
            found = {name: [pick(each)[name] for each in self.rounds] for name in names}
            return {name: round(statistics.median(each), digits) for name, each in found.items()}

        return {
            "yard_us": round(statistics.median(each.yard for each in self.rounds) * 1e6, 1),
            "load": [each.load for each in self.rounds],
            "dropped_rounds": self.dropped,
            "cpu_us": {name: round(cpu * 1e6) for name, cpu in medians(lambda r: r.cpu, 7).items()},
            "requests_per_second": medians(lambda r: r.rates, 0),
            "generator_idle": medians(lambda r: r.idle, 2),
        }


def rotate(variants: Sequence[Variant], rounds: int) -> Rounds:
    """Warm every variant up, then drive them in turn; the yard is taken before each."""
    for each in variants:
        each.drive(0)
    found = tuple(_turn(variants, number) for number in range(1, rounds + 1))
    middle = statistics.median(each.yard for each in found)
    kept = tuple(each for each in found if middle / OUTLIER <= each.yard <= middle * OUTLIER)
    return Rounds(rounds=kept, dropped=len(found) - len(kept))


def _turn(variants: Sequence[Variant], number: int) -> Round:
    yards, drives = [], {}
    start = number % len(variants)
    for each in (*variants[start:], *variants[:start]):
        yards.append(yard(200))
        drives[each.name] = each.drive(number)
    return Round(
        yard=statistics.median(yards),
        load=round(os.getloadavg()[0], 2),
        cpu={each.name: drives[each.name].cpu for each in variants},
        rates={each.name: drives[each.name].rate for each in variants},
        idle={each.name: drives[each.name].generator_idle for each in variants},
    )
