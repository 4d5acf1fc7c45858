"""Mutated requests through everything but the sockets: nothing falls over, swells or drags.

Security P1 and S13. Each request goes through codec, pipeline, registry and CA as a real
installation has them, from callers that prove nothing, a code, or a certificate.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

import psutil

from ca.service import KEY_GENERATION, MESSAGE_SIGNER
from enroll.profiles import ProtocolName
from enroll.registration import MAXIMUM_USES
from protocols.est.handler import ESTHandler
from protocols.wire import WireRequest, WireResponse
from server.backoff import Backoff
from server.clock import SystemClock
from server.config.load import load_config
from server.exchange import ProtocolEndpoint
from server.home import Home
from server.http.routes import Endpoint
from server.key_packages import key_package_signer
from server.labels import Labels, PolicyMirror
from server.message_signer import MessageSigner
from server.observability.metrics import Metrics
from server.service_certificates import ServiceCertificate
from server.wiring import Works, open_works
from tests.soak.experiment import Outcome, Progress
from tests.soak.full_cmc import full_cmc_mutant
from tests.soak.mutations import mutants
from tests.soak.seeds import SHARED_KEY_ID
from tests.support.desk import obtain
from tests.support.enrollment import Held, by_certificate, by_code
from tests.support.full_cmc import CMC_REQUEST
from tests.support.installation import Installation
from tests.support.key_generation import FixedCipher
from tests.support.wire import PKCS10_HEADERS, a_wire, basic

REQUESTS, SLICE = 100_000, 1_500
SEED = 20_261_124
CPU_SECONDS = 0.050
GROWTH_BYTES = 50 * 1024 * 1024
WARM_UP = 200
"""Requests until what is made once is made: caches, pools, the pages of code."""

FAULT = 500
RECORDED = frozenset({"simpleenroll", "simplereenroll", "serverkeygen", "fullcmc"})
NAMES = ("pump-1", "pump-2")
"""The device that the requests name, and one that they contradict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a request goes, and what is shown with it."""

    path: str
    headers: Mapping[str, str] = field(default_factory=lambda: dict(PKCS10_HEADERS))
    held: Held | None = None
    """The certificate that it shows in its handshake."""
    body: Callable[[Random], bytes] | None = None
    """What this one sends in place of certification requests."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was seen so far."""

    statuses: Counter[int] = field(default_factory=Counter)
    worst: float = 0.0
    costly: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    start: int = 0
    peak: int = 0


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, and judge."""
    with tempfile.TemporaryDirectory(prefix="soak-mutants-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, "keys_per_device_and_hour = 0")
        callers = callers_of(installation)
        total = SLICE if short else REQUESTS
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
            "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
            "faults": tally.faults[:20],
            "costly": tally.costly[:20],
            "worst_cpu_ms": round(tally.worst * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


def configure(installation: Installation, *limits: str) -> None:
    """Lift limits that would stand in the way of so many requests."""
    with (installation.home / "enroll.toml").open("a") as file:
        file.write("\n".join(("\n[limits]", *limits, "")))


def callers_of(installation: Installation) -> tuple[Caller, ...]:
    """Register devices, and give what they and strangers may show."""
    installation.run("profile", "set", "bootstrap", "re_enrollment=allow", "allow_same_key=true")
    installation.run("profile", "set", "operational", "allow_same_key=true")
    for profile in ("bootstrap", "operational"):
        # Of RSA a key takes 150 ms and more, whatever the request: that is held by rates, not here.
        options = (
            "est.server_key_generation=allowed",
            "est.key_generation_algorithms=p-256,p-384,ed25519,ml-dsa-65",
            "est.fullcmc=true",
        )
        installation.run("profile", "set", profile, *options)
    callers = [Caller(path="simpleenroll"), Caller(path="simplereenroll")]
    callers.append(Caller(path="simpleenroll", headers=basic("pump-1", "AAAA-AAAA-AAAA-AAAA-AAAA")))
    for name in NAMES:
        words = ("device", "add", name, "--uses", str(MAXIMUM_USES))
        code = installation.json(*words)["code"]
        _share_a_key(installation, name)
        callers.append(Caller(path="simpleenroll", headers=basic(name, code)))
        callers.append(Caller(path="serverkeygen", headers=basic(name, code)))
        held = obtain(installation, by_code(name, code))
        certificate = held.certificate
        operational = obtain(installation, by_certificate(held, subject=certificate.subject))
        callers += [
            Caller(path="operational/simpleenroll", held=held),
            Caller(path="operational/serverkeygen", held=held),
            Caller(path="simplereenroll", held=operational),
            Caller(
                path="fullcmc",
                headers={"Content-Type": CMC_REQUEST},
                body=partial(full_cmc_mutant, held=held, name=name, code=code),
            ),
        ]
    return tuple(callers)


def _share_a_key(installation: Installation, name: str) -> None:
    """Register the symmetric key that some of the seeds name."""
    file = installation.home / "shared.key"
    file.write_text("00" * 32)
    file.chmod(0o600)
    words = ("device", "decryption-key", "add", name, SHARED_KEY_ID.hex())
    installation.run(*words, "--key-file", str(file))


async def _send_all(
    installation: Installation, callers: tuple[Caller, ...], total: int, progress: Progress
) -> Tally:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    try:
        endpoint = await _endpoint(works)
        random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
        tally = Tally()
        for number, body in enumerate(mutants(SEED, total), 1):
            caller = random.choice(callers)
            sent = body if caller.body is None else caller.body(random)
            await send(endpoint, _request(caller, number, sent), tally)
            note_memory(tally, number)
            progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    finally:
        await works.close()
    return tally


async def _endpoint(works: Works) -> ProtocolEndpoint:
    """Build what a listener hands requests to."""
    mirror = PolicyMirror(works.office.registry)
    await mirror.refresh()
    signer = ServiceCertificate(works, KEY_GENERATION)
    messages = ServiceCertificate(works, MESSAGE_SIGNER)
    for each in (signer, messages):
        await each.refresh()
    return ProtocolEndpoint(
        name=ProtocolName.EST,
        handler=ESTHandler(
            Labels(mirror, ProtocolName.EST, works.ca_certificates),
            key_package_signer=partial(key_package_signer, signer),
            responder=MessageSigner(messages).responder,
        ),
        pipeline=works.pipeline,
        backoff=Backoff(burst=0, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=RECORDED.__contains__,
    )


def _request(caller: Caller, number: int, body: bytes) -> WireRequest:
    wire = a_wire(caller.path, body=body, headers=dict(caller.headers))
    return replace(
        wire,
        peer_chain=() if caller.held is None else (caller.held.der,),
        correlation_id=f"{number:016x}",
        received_at=SystemClock().now(),
        channel=FixedCipher(),
    )


async def send(endpoint: Endpoint, wire: WireRequest, tally: Tally) -> WireResponse | None:
    """Send one request. One that was costly is tried again: it may have met a collection."""
    name = f"{wire.correlation_id} {wire.path} sha256:{sha256(wire.body).hexdigest()}"
    costs: list[float] = []
    answer: WireResponse | None = None
    for attempt in range(3):
        again = replace(wire, correlation_id=f"{attempt}{wire.correlation_id[1:]}")
        before = time.process_time()
        try:
            answer = await endpoint(again)
        except Exception as error:  # noqa: BLE001 - that nothing escapes is what is tested
            tally.faults.append(f"{name}: {type(error).__name__}: {error}")
            return None
        costs.append(time.process_time() - before)
        if costs[-1] <= CPU_SECONDS:
            break
    else:
        tally.costly.append(f"{name}: {min(costs) * 1000:.0f} ms")
    tally.worst = max(tally.worst, min(costs))
    if answer is None:
        return None
    tally.statuses[answer.status] += 1
    if answer.status >= FAULT:
        tally.faults.append(f"{name}: {answer.status}")
    return answer


def note_memory(tally: Tally, number: int) -> None:
    """Take down how much memory this process has, now and then."""
    if number % WARM_UP:
        return
    resident = psutil.Process(os.getpid()).memory_info().rss
    tally.start = tally.start or resident
    tally.peak = max(tally.peak, resident)
