"""Mutated messages and queries of SCEP over HTTP to a server of its own: nothing falls or drags.

One at a time, so that the server's CPU between two moments is that of one.
"""

import http.client
import tempfile
from base64 import b64encode
from collections import Counter
from pathlib import Path
from random import Random
from urllib.parse import quote

import psutil
from cryptography.hazmat.primitives.asymmetric import rsa

from protocols.scep.messages import PKI_MESSAGE, RegistrationAuthority
from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, configure
from tests.soak.scep import BY_GET, FAILED, answered
from tests.soak.scep_mutations import scep_mutant, scep_query
from tests.soak.scep_seeds import Seed, callers_of, seeds_of
from tests.soak.wire import LIMITS, Line, Request, Tally, note_memory, send
from tests.support.csr import a_key
from tests.support.installation import Installation, Running
from tests.support.scep import the_ra_at

REQUESTS, SLICE = 100_000, 600
SEED = 20_261_127
_MOUNTS = ("/scep", "/scep", "/scep", "/SCEP", "/cgi-bin/pkiclient.exe", "/certsrv/mscep/mscep.dll")
_TYPES = (PKI_MESSAGE, PKI_MESSAGE, "application/octet-stream", "text/plain", "")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, send them all one after another, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-scep-wire-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, *LIMITS)
        callers = callers_of(installation)
        with installation.serve() as server:
            seeds = seeds_of(callers, _authority(server))
            tally, answers = _send_all(server, seeds, total, progress)
            alive = server.process.poll() is None
        ended = server.process.returncode
    growth = tally.peak - tally.start
    return Outcome(
        held={
            "the server lived, and ended as it should": alive and ended == 0,
            "no message was answered 5xx, that we failed, or not at all": not tally.faults,
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


def _authority(server: Running) -> RegistrationAuthority:
    """Give the RA by its certificate; its key stays with the server."""
    key = a_key("rsa-2048", 9)
    assert isinstance(key, rsa.RSAPrivateKey)
    return RegistrationAuthority.holding(the_ra_at(server.http), key)


def _send_all(
    server: Running, seeds: tuple[Seed, ...], total: int, progress: Progress
) -> tuple[Tally, Counter[str]]:
    random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
    host, _, port = server.http.rpartition(":")
    line = Line(http.client.HTTPConnection(host, int(port), timeout=30))
    process, tally, answers = psutil.Process(server.process.pid), Tally(), Counter[str]()
    for number in range(1, total + 1):
        request = _request(random, random.choice(seeds))
        answer = send(server, line, request, tally)
        if answer is not None:
            answers[answered(answer.status, answer.body)] += 1
        if answer is None or FAILED in answer.body:
            tally.faults.append(f"{request.path} {b64encode(request.body or b'').decode()}")
        note_memory(process, tally, number)
        progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    line.close()
    return tally, answers


def _request(random: Random, seed: Seed) -> Request:
    message = scep_mutant(random, seed)
    path = f"{random.choice(_MOUNTS)}/{seed.path}".rstrip("/")
    if random.random() < BY_GET:
        query = quote(scep_query(random, message), safe=_PRINTABLE)
        return Request(method="GET", path=f"{path}?{query}", headers={}, body=None)
    if random.random() < 0.8:
        path += "?operation=PKIOperation"
    return Request(
        method="POST",
        path=path,
        headers={"Content-Type": random.choice(_TYPES)},
        body=message,
    )
