"""Mutated messages of SCEP through everything but the sockets, damaged at each of their layers.

Security P1 and S13. What is damaged is the message as it was signed, the envelope before it is
signed, or what is sealed in it; the others are good, so that some get as far as can be.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import psutil

from ca.service import SCEP_RA
from enroll.profiles import ProtocolName
from enroll.registration import MAXIMUM_USES
from protocols.scep.handler import RECORDED, SCEPHandler
from protocols.scep.messages import RegistrationAuthority
from protocols.wire import WireRequest, WireResponse
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
from tests.soak.mutations import mutant_of
from tests.support.csr import a_csr, a_key, a_name, sequence
from tests.support.desk import obtain
from tests.support.enrollment import Held, by_code, new_keys_are_rsa
from tests.support.installation import Installation
from tests.support.scep import Message, a_pkcs_req, a_renewal, a_scep_wire, read_answer

REQUESTS, SLICE = 100_000, 1_500
SEED = 20_261_125
CPU_SECONDS = 0.050
GROWTH_BYTES = 50 * 1024 * 1024
WARM_UP = 200
FAULT = 500
LAYERS = 3


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was seen so far; `answers` by HTTP status and pkiStatus."""

    answers: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0
    costly: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    start: int = 0
    peak: int = 0


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-scep-") as folder, new_keys_are_rsa():
        installation = Installation.initialize(Path(folder) / "home")
        callers = _callers(installation)
        tally = asyncio.run(_send_all(installation, callers, total, progress))
    growth = tally.peak - tally.start
    return Outcome(
        held={
            "no exception escaped and no request was answered 5xx": not tally.faults,
            "memory grew by 50 MB at most": growth <= GROWTH_BYTES,
            "no request took more than 50 ms of CPU": not tally.costly,
        },
        figures={
            "requests": total,
            "seed": SEED,
            "answers": dict(sorted(tally.answers.items())),
            "faults": tally.faults[:20],
            "costly": tally.costly[:20],
            "worst_cpu_ms": round(tally.worst * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


async def _send_all(
    installation: Installation, callers: tuple[str, Held], total: int, progress: Progress
) -> Tally:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    try:
        services = await _services(works)
        endpoint = _endpoint(works, services)
        seeds = _seeds(callers, services.registration_authorities()[0])
        random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
        tally = Tally()
        for number in range(1, total + 1):
            body = _damaged(random, random.choice(seeds))
            await _send(endpoint, body, number, tally)
            _note_memory(tally, number)
            progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    finally:
        await works.close()
    return tally


def _callers(installation: Installation) -> tuple[str, Held]:
    """Register two devices; give the code of one, and what the other holds."""
    installation.run("profile", "set", "bootstrap", "re_enrollment=allow", "allow_same_key=true")
    code, other = (
        installation.json("device", "add", name, "--uses", str(MAXIMUM_USES))["code"]
        for name in ("pump-1", "pump-2")
    )
    return code, obtain(installation, by_code("pump-2", other))


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


def _seeds(callers: tuple[str, Held], ra: RegistrationAuthority) -> tuple[Message, ...]:
    """Give a message of every type, from strangers, by a code and by a certificate."""
    code, held = callers
    key = a_key("rsa-2048")
    subjects = sequence(a_name("CA").public_bytes(), a_name().public_bytes())
    named = sequence(held.certificate.issuer.public_bytes(), b"\x02\x01\x05")
    first, renewed = a_pkcs_req(key, code, ra=ra), a_renewal(held, ra=ra)
    return (
        first,
        renewed,
        replace(renewed, kind=19),
        replace(first, content=a_csr(key)),
        *(replace(each, kind=20, content=subjects) for each in (first, renewed)),
        *(replace(each, kind=21, content=named) for each in (first, renewed)),
        replace(first, kind=22, content=named),
    )


def _damaged(random: Random, message: Message) -> bytes:
    match random.randrange(LAYERS):
        case 0:
            return mutant_of(random, message.encode())
        case 1:
            return replace(message, spoil=lambda envelope: mutant_of(random, envelope)).encode()
        case _:
            return replace(message, content=mutant_of(random, message.content)).encode()


async def _send(endpoint: ProtocolEndpoint, body: bytes, number: int, tally: Tally) -> None:
    """Send one message. One that was costly is tried again: it may have met a collection."""
    wire = replace(a_scep_wire(body=body), received_at=SystemClock().now())
    answer, cost = await _cost_of(endpoint, wire, number, 0)
    for attempt in (1, 2):
        if cost > CPU_SECONDS:
            answer, again = await _cost_of(endpoint, wire, number, attempt)
            cost = min(cost, again)
    if cost > CPU_SECONDS:
        tally.costly.append(f"{number}: {cost * 1000:.0f} ms")
    reply = read_answer(answer) if answer.status == 200 else None
    tally.answers[f"{answer.status} {reply.status if reply else ''}".strip()] += 1
    tally.worst = max(tally.worst, cost)
    # A fault of ours is told in a CertRep where one can be made.
    if answer.status >= FAULT or (reply is not None and "Correlation id" in (reply.text or "")):
        tally.faults.append(f"{number}: {answer.status} {reply.text if reply else ''}")


async def _cost_of(
    endpoint: ProtocolEndpoint, wire: WireRequest, number: int, attempt: int
) -> tuple[WireResponse, float]:
    before = time.process_time()
    answer = await endpoint(replace(wire, correlation_id=f"{attempt}{number:015x}"))
    return answer, time.process_time() - before


def _note_memory(tally: Tally, number: int) -> None:
    if number % WARM_UP:
        return
    resident = psutil.Process(os.getpid()).memory_info().rss
    tally.start = tally.start or resident
    tally.peak = max(tally.peak, resident)
