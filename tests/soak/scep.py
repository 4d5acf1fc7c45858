"""Mutated messages of SCEP through everything but the sockets: nothing falls over, swells or drags.

Security P1 and S13. Each message goes through codec, pipeline, registry and CA as a real
installation has them, by POST or in a GET, to a usual profile or a legacy one, sealed to the RA of
the CA that issues or of the next.
"""

import asyncio
import re
import tempfile
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.service import SCEP_NEXT_RA, SCEP_RA
from enroll.failures import FailureReason
from protocols.scep.failures import FAILURES
from protocols.scep.messages import RegistrationAuthority
from protocols.wire import WireRequest
from server.clock import SystemClock
from server.config.load import load_config
from server.device_paths import SCEP_PATHS
from server.home import Home
from server.service_certificates import ServiceCertificate
from server.wiring import Works, open_works
from tests.soak.experiment import Outcome, Progress
from tests.soak.in_process import Share, device_endpoint, send_in_shares
from tests.soak.mutants import Tally, note_memory, send
from tests.soak.scep_mutations import scep_mutant, scep_query
from tests.soak.scep_seeds import Callers, Seed, callers_of, seeds_of
from tests.support.installation import Installation
from tests.support.scep import a_scep_wire

REQUESTS, SLICE = 1_000_000, 1_500
SEED = 20_261_126
"""That of the first share; each other has the next."""
BY_GET = 0.15
FAILED = FAILURES[FailureReason.INTERNAL][1].encode()
_PKI_STATUS = re.compile(rb"\x06\x0a\x60\x86\x48\x01\x86\xf8\x45\x01\x09\x03\x31\x03\x13\x01(.)")
_STATUSES = {b"0": "SUCCESS", b"2": "FAILURE", b"3": "PENDING"}


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Send them all, and judge."""
    total = SLICE if short else REQUESTS
    return send_in_shares(_send_share, SEED, total, short=short, progress=progress)


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
        endpoint = await device_endpoint(works, SCEP_PATHS[0])
        present, following = await _registration_authorities(works)
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


async def _registration_authorities(works: Works) -> list[RegistrationAuthority]:
    """Give the RA of the CA that issues, and that of the next."""
    found = []
    for kind in (SCEP_RA, SCEP_NEXT_RA):
        kept = ServiceCertificate(works, kind)
        await kept.refresh()
        identity = kept.current()
        assert isinstance(identity.key, rsa.RSAPrivateKey)
        found.append(RegistrationAuthority.holding(identity.certificate, identity.key))
    return found


def _request(random: Random, seed: Seed, number: int) -> WireRequest:
    message = scep_mutant(random, seed)
    if random.random() < BY_GET:
        wire = a_scep_wire(seed.path, method="GET", query=scep_query(random, message))
    else:
        wire = a_scep_wire(seed.path, body=message)
    return replace(wire, correlation_id=f"{number:016x}", received_at=SystemClock().now())
