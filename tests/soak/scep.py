"""Mutated messages of SCEP through everything but the sockets: nothing falls over, swells or drags.

Security P1 and S13. Each message goes through codec, pipeline, registry and CA as a real
installation has them, by POST or in a GET, to a usual profile or a legacy one, sealed to the RA of
the CA that issues or of the next.
"""

import asyncio
import re
import tempfile
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from random import Random
from typing import NamedTuple

from ca.service import SCEP_NEXT_RA, SCEP_RA
from enroll.failures import FailureReason
from enroll.profiles import ProtocolName
from protocols.scep.failures import FAILURES
from protocols.scep.handler import RECORDED, SCEPHandler
from protocols.wire import WireRequest
from server.backoff import Backoff
from server.clock import SystemClock
from server.config.load import load_config
from server.exchange import ProtocolEndpoint
from server.home import Home
from server.labels import PolicyMirror
from server.next_ca import NextCA
from server.observability.logging import configure_logging
from server.observability.metrics import Metrics
from server.revocation import RevocationPublisher
from server.scep import SCEPServices
from server.service_certificates import ServiceCertificate
from server.wiring import Works, crl_lifetimes, open_works
from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, Tally, note_memory, send
from tests.soak.scep_mutations import scep_mutant, scep_query
from tests.soak.scep_seeds import Callers, Seed, callers_of, seeds_of
from tests.support.installation import Installation
from tests.support.scep import a_scep_wire

REQUESTS, SLICE = 1_000_000, 1_500
SHARES = 8
SEED = 20_261_126
"""That of the first share; each other has the next."""
BY_GET = 0.15
FAILED = FAILURES[FailureReason.INTERNAL][1].encode()
_PKI_STATUS = re.compile(rb"\x06\x0a\x60\x86\x48\x01\x86\xf8\x45\x01\x09\x03\x31\x03\x13\x01(.)")
_STATUSES = {b"0": "SUCCESS", b"2": "FAILURE", b"3": "PENDING"}


class Share(NamedTuple):
    """What one process sent, and how it went."""

    tally: Tally
    answers: Counter[str]

    @property
    def growth(self) -> int:
        return self.tally.peak - self.tally.start


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, each process its share under a seed of its own, and judge."""
    total = SLICE if short else REQUESTS
    seeds = [SEED] if short else [SEED + each for each in range(SHARES)]
    shares: list[Share] = []
    with ProcessPoolExecutor(
        len(seeds), initializer=configure_logging, initargs=("error",)
    ) as pool:
        for share in pool.map(_send_share, seeds, repeat(total // len(seeds))):
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


def _send_share(seed: int, total: int) -> Share:
    with tempfile.TemporaryDirectory(prefix="soak-scep-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        callers = callers_of(installation)
        installation.run("issuer", "rollover", "prepare")
        installation.run("issuer", "rollover", "publish")
        return asyncio.run(_send_all(installation, callers, seed, total))


def answered(status: int, body: bytes) -> str:
    """Name an answer: its pkiStatus if it is a CertRep, else the status of HTTP."""
    found = _PKI_STATUS.search(body) if status == 200 else None
    return f"{status} {_STATUSES[found[1]]}" if found else str(status)


async def _send_all(installation: Installation, callers: Callers, seed: int, total: int) -> Share:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    tally, answers = Tally(), Counter[str]()
    try:
        services = await _services(works)
        endpoint = _endpoint(works, services)
        present, following = services.registration_authorities()
        seeds = (*seeds_of(callers, present), *seeds_of(callers, following))
        random = Random(seed)  # noqa: S311 - an experiment wants to repeat itself
        for number in range(1, total + 1):
            wire = _request(random, random.choice(seeds), number)
            answer = await send(endpoint, wire, tally)
            if answer is not None:
                answers[answered(answer.status, answer.body)] += 1
            if answer is None or FAILED in answer.body:
                shown = b64encode(wire.body).decode() or wire.query
                tally.faults.append(f"{number} {wire.path} {shown}")
            note_memory(tally, number)
    finally:
        await works.close()
    return Share(tally, answers)


async def _services(works: Works) -> SCEPServices:
    registry = works.office.registry
    mirror = PolicyMirror(registry)
    await mirror.refresh()
    lifetimes = crl_lifetimes(works.authorities.now.succession, works.office.config)
    crls = RevocationPublisher(registry, works.issuers, lifetimes, works.office.clock)
    await crls.refresh()
    ra, next_ra = ServiceCertificate(works, SCEP_RA), ServiceCertificate(works, SCEP_NEXT_RA)
    await ra.refresh()
    await next_ra.refresh()
    return SCEPServices(
        mirror=mirror,
        ra=ra,
        next_ra=next_ra,
        next_ca=NextCA(works, next_ra).message,
        ca_certificates=works.ca_certificates,
        authorities=lambda: works.authorities.now,
        crls=crls,
    )


def _endpoint(works: Works, services: SCEPServices) -> ProtocolEndpoint:
    return ProtocolEndpoint(
        name=ProtocolName.SCEP,
        handler=SCEPHandler(services),
        pipeline=works.pipeline,
        backoff=Backoff(burst=0, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=RECORDED.__contains__,
    )


def _request(random: Random, seed: Seed, number: int) -> WireRequest:
    message = scep_mutant(random, seed)
    if random.random() < BY_GET:
        wire = a_scep_wire(seed.path, method="GET", query=scep_query(random, message))
    else:
        wire = a_scep_wire(seed.path, body=message)
    return replace(wire, correlation_id=f"{number:016x}", received_at=SystemClock().now())
