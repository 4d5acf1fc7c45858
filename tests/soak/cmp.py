"""Mutated messages of CMP through everything but the sockets: nothing falls over, swells or drags.

Security P1 and S13. Each message goes through codec, pipeline, registry and CA as a real
installation has them, under a secret or a signature, to a usual profile or a strict one.
"""

import asyncio
import tempfile
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from enroll.failures import FailureReason
from protocols.cmp.failures import FAILURES
from protocols.der import split
from protocols.wire import WireRequest
from server.clock import SystemClock
from server.cmp import sender_nonces
from server.config.load import load_config
from server.device_paths import CMP_PATHS, DevicePaths
from server.home import Home
from server.http.routes import Endpoint
from server.labels import PolicyMirror
from server.observability.metrics import Metrics
from server.revocation import RevocationPublisher
from server.service_certificates import ServiceCertificates
from server.wiring import Works, crl_lifetimes, open_works
from tests.soak.cmp_mutations import cmp_mutant
from tests.soak.cmp_seeds import callers_of, seeds_of
from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, Tally, configure, note_memory, send
from tests.soak.wire import LIMITS
from tests.support.cmp_conversation import a_wire
from tests.support.installation import Installation

REQUESTS, SLICE = 1_000_000, 1_500
SEED = 20_261_128
PATHS = ("", "", "", "p/bootstrap", "p/operational", "p/strict", "initialization", "nested", "%00")
FAILED = FAILURES[FailureReason.INTERNAL][1].encode()
_BODIES = {
    0xA1: "ip",
    0xA3: "cp",
    0xA5: "popdecc",
    0xA8: "kup",
    0xAC: "rp",
    0xB3: "pkiconf",
    0xB4: "nested",
    0xB6: "genp",
    0xB7: "error",
    0xBA: "pollRep",
}


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-cmp-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, *LIMITS)
        tally, answers = asyncio.run(_send_all(installation, total, progress))
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
    """Name an answer: by its body if it is a PKIMessage, else by the status of HTTP."""
    if status != 200:
        return str(status)
    (message,) = split(body)
    _, kind, *_ = split(message.content)
    return f"200 {_BODIES[kind.tag]}"


async def _send_all(
    installation: Installation, total: int, progress: Progress
) -> tuple[Tally, Counter[str]]:
    seeds = seeds_of(await asyncio.to_thread(callers_of, installation))
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    tally, answers = Tally(), Counter[str]()
    try:
        endpoint = await _endpoint(works)
        nonces = sender_nonces(works.office.secrets.nonce_key)
        random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
        for number in range(1, total + 1):
            wire = _request(random, cmp_mutant(random, seeds, nonces), number)
            answer = await send(endpoint, wire, tally)
            if answer is not None:
                answers[answered(answer.status, answer.body)] += 1
            if answer is None or FAILED in answer.body:
                tally.faults.append(f"{number} {wire.path} {b64encode(wire.body).decode()}")
            note_memory(tally, number)
            progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    finally:
        await works.close()
    return tally, answers


async def _endpoint(works: Works) -> Endpoint:
    """Give the endpoint that a worker serves CMP by."""
    registry = works.office.registry
    mirror = PolicyMirror(registry)
    await mirror.refresh()
    lifetimes = crl_lifetimes(works.authorities.now.succession, works.office.config)
    crls = RevocationPublisher(registry, works.issuers, lifetimes, works.office.clock)
    await crls.refresh()
    services = ServiceCertificates(works)
    await services.refresh()
    paths = DevicePaths(works, mirror, services, crls, Metrics())
    return next(each.endpoint for each in paths.mounts(secure=False) if each.prefix == CMP_PATHS[0])


def _request(random: Random, message: bytes, number: int) -> WireRequest:
    wire = a_wire(message, random.choice(PATHS))
    return replace(wire, correlation_id=f"{number:016x}", received_at=SystemClock().now())
