"""Many messages through everything but the sockets: shared among processes, judged together."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import NamedTuple

from server.device_paths import DevicePaths
from server.http.routes import Endpoint
from server.labels import PolicyMirror
from server.observability.logging import configure_logging
from server.observability.metrics import Metrics
from server.revocation import RevocationPublisher
from server.service_certificates import ServiceCertificates
from server.wiring import Works, crl_lifetimes
from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, Tally

SHARES = 8


class Share(NamedTuple):
    """What one process sent, and how it went."""

    tally: Tally
    answers: Counter[str]

    @property
    def growth(self) -> int:
        return self.tally.peak - self.tally.start


def send_in_shares(
    send: Callable[[int, int], Share], seed: int, total: int, *, short: bool, progress: Progress
) -> Outcome:
    """Have each process send its share under a seed of its own, and judge; a slice is one share."""
    seeds = [seed] if short else [seed + each for each in range(SHARES)]
    shares: list[Share] = []
    with ProcessPoolExecutor(
        len(seeds), initializer=configure_logging, initargs=("error",)
    ) as pool:
        for share in pool.map(send, seeds, repeat(total // len(seeds))):
            shares.append(share)
            progress.at(len(shares), len(seeds))
    faults = [fault for share in shares for fault in share.tally.faults]
    costly = [each for share in shares for each in share.tally.costly]
    growth = max(share.growth for share in shares)
    return Outcome(
        held={
            "no exception escaped, no message was answered 5xx or that we failed": not faults,
            "memory grew by 50 MB at most": growth <= GROWTH_BYTES,
            "no message took more than 50 ms of CPU": not costly,
        },
        figures={
            "messages": total,
            "processes": len(seeds),
            "seeds": seeds,
            "answers": dict(sorted(sum((each.answers for each in shares), Counter()).items())),
            "faults": faults[:20],
            "costly": costly[:20],
            "worst_cpu_ms": round(max(share.tally.worst for share in shares) * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


async def device_endpoint(works: Works, prefix: str) -> Endpoint:
    """Give what a worker serves at this path of the device listeners."""
    registry = works.office.registry
    mirror = PolicyMirror(registry)
    await mirror.refresh()
    lifetimes = crl_lifetimes(works.authorities.now.succession, works.office.config)
    crls = RevocationPublisher(registry, works.issuers, lifetimes, works.office.clock)
    await crls.refresh()
    services = ServiceCertificates(works)
    await services.refresh()
    paths = DevicePaths(works, mirror, services, crls, Metrics())
    return next(each.endpoint for each in paths.mounts(secure=False) if each.prefix == prefix)
