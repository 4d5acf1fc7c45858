"""Mutated messages of SCEP through everything but the sockets: nothing falls over, swells or drags.

Security P1 and S13. Each message goes through codec, pipeline, registry and CA as a real
installation has them, by POST or in a GET, to a usual profile or a legacy one.
"""

import asyncio
import re
import tempfile
import time
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from ca.service import SCEP_RA
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
SEED = 20_261_126
BY_GET = 0.15
FAILED = FAILURES[FailureReason.INTERNAL][1].encode()
_PKI_STATUS = re.compile(rb"\x06\x0a\x60\x86\x48\x01\x86\xf8\x45\x01\x09\x03\x31\x03\x13\x01(.)")
_STATUSES = {b"0": "SUCCESS", b"2": "FAILURE", b"3": "PENDING"}


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-scep-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        callers = callers_of(installation)
        tally, answers = asyncio.run(_send_all(installation, callers, total, progress))
    growth = tally.peak - tally.start
    return Outcome(
        held={
            "no exception escaped, no message was answered 5xx or that we failed": not tally.faults,
            "memory grew by 50 MB at most": growth <= GROWTH_BYTES,
            "no message took more than 50 ms of CPU": not tally.costly,
        },
        figures={
            "messages": total,
            "seed": SEED,
            "answers": dict(sorted(answers.items())),
            "faults": tally.faults[:20],
            "costly": tally.costly[:20],
            "worst_cpu_ms": round(tally.worst * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


def answered(status: int, body: bytes) -> str:
    """Name an answer: its pkiStatus if it is a CertRep, else the status of HTTP."""
    found = _PKI_STATUS.search(body) if status == 200 else None
    return f"{status} {_STATUSES[found[1]]}" if found else str(status)


async def _send_all(
    installation: Installation, callers: Callers, total: int, progress: Progress
) -> tuple[Tally, Counter[str]]:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    tally, answers = Tally(), Counter[str]()
    try:
        services = await _services(works)
        endpoint = _endpoint(works, services)
        seeds = seeds_of(callers, services.registration_authorities()[0])
        random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
        for number in range(1, total + 1):
            wire = _request(random, random.choice(seeds), number)
            answer = await send(endpoint, wire, tally)
            if answer is not None:
                answers[answered(answer.status, answer.body)] += 1
            if answer is None or FAILED in answer.body:
                shown = b64encode(wire.body).decode() or wire.query
                tally.faults.append(f"{number} {wire.path} {shown}")
            note_memory(tally, number)
            progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    finally:
        await works.close()
    return tally, answers


async def _services(works: Works) -> SCEPServices:
    registry = works.office.registry
    mirror = PolicyMirror(registry)
    await mirror.refresh()
    lifetimes = crl_lifetimes(works.authorities.now.succession, works.office.config)
    crls = RevocationPublisher(registry, works.issuers, lifetimes, works.office.clock)
    await crls.refresh()
    ra = ServiceCertificate(works, SCEP_RA)
    await ra.refresh()
    return SCEPServices(
        mirror=mirror,
        ra=ra,
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
