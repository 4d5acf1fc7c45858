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
from server.device_paths import CMP_PATHS
from server.home import Home
from server.wiring import open_works
from tests.soak.cmp_mutations import cmp_mutant
from tests.soak.cmp_seeds import Seed, callers_of, seeds_of
from tests.soak.experiment import Outcome, Progress
from tests.soak.in_process import Share, device_endpoint, send_in_shares
from tests.soak.mutants import Tally, configure, note_memory, send
from tests.soak.wire import LIMITS
from tests.support.cmp_conversation import a_wire
from tests.support.installation import Installation

REQUESTS, SLICE = 1_000_000, 1_500
SEED = 20_261_138
"""That of the first share; each other has the next."""
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
    return send_in_shares(_send_share, SEED, total, short=short, progress=progress)


def _send_share(seed: int, total: int) -> Share:
    with tempfile.TemporaryDirectory(prefix="soak-cmp-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, *LIMITS)
        seeds = seeds_of(callers_of(installation))
        return asyncio.run(_send_all(installation, seeds, seed, total))


def answered(status: int, body: bytes) -> str:
    """Name an answer: by its body if it is a PKIMessage, else by the status of HTTP."""
    if status != 200:
        return str(status)
    (message,) = split(body)
    _, kind, *_ = split(message.content)
    return f"200 {_BODIES[kind.tag]}"


async def _send_all(
    installation: Installation, seeds: tuple[Seed, ...], seed: int, total: int
) -> Share:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="soak")
    tally, answers = Tally(), Counter[str]()
    try:
        endpoint = await device_endpoint(works, CMP_PATHS[0])
        nonces = sender_nonces(works.office.secrets.nonce_key)
        random = Random(seed)  # noqa: S311 - an experiment wants to repeat itself
        for number in range(1, total + 1):
            wire = _request(random, cmp_mutant(random, seeds, nonces), number)
            answer = await send(endpoint, wire, tally)
            if answer is not None:
                answers[answered(answer.status, answer.body)] += 1
            if answer is None or FAILED in answer.body:
                tally.faults.append(f"{number} {wire.path} {b64encode(wire.body).decode()}")
            note_memory(tally, number)
    finally:
        await works.close()
    return Share(tally, answers)


def _request(random: Random, message: bytes, number: int) -> WireRequest:
    wire = a_wire(message, random.choice(PATHS))
    return replace(wire, correlation_id=f"{number:016x}", received_at=SystemClock().now())
