"""Mutated messages of CMP over HTTP to a server of its own: nothing falls or drags.

One at a time, so that the server's CPU between two moments is that of one.
"""

import http.client
import tempfile
from base64 import b64encode
from collections import Counter
from pathlib import Path
from random import Random

import psutil

from server.device_paths import CMP_PATHS
from tests.soak.cmp import FAILED, PATHS, answered
from tests.soak.cmp_mutations import cmp_mutant
from tests.soak.cmp_seeds import Seed, callers_of, seeds_of
from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, configure
from tests.soak.wire import LIMITS, Line, Request, Tally, note_memory, send
from tests.support.installation import Installation, Running

REQUESTS, SLICE = 100_000, 600
SEED = 20_261_129
_TYPES = (*("application/pkixcmp",) * 12, "application/pkixcmp-poll", "text/plain", "")


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, send them all one after another, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-cmp-wire-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, *LIMITS)
        seeds = seeds_of(callers_of(installation))
        with installation.serve() as server:
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


def _send_all(
    server: Running, seeds: tuple[Seed, ...], total: int, progress: Progress
) -> tuple[Tally, Counter[str]]:
    random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
    host, _, port = server.http.rpartition(":")
    line = Line(http.client.HTTPConnection(host, int(port), timeout=30))
    process, tally, answers = psutil.Process(server.process.pid), Tally(), Counter[str]()
    for number in range(1, total + 1):
        request = _request(random, cmp_mutant(random, seeds, None))
        answer = send(server, line, request, tally)
        if answer is not None:
            answers[answered(answer.status, answer.body)] += 1
        if answer is None or FAILED in answer.body:
            tally.faults.append(f"{request.path} {b64encode(request.body or b'').decode()}")
        note_memory(process, tally, number)
        progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    line.close()
    return tally, answers


def _request(random: Random, message: bytes) -> Request:
    path = f"{random.choice(CMP_PATHS)}/{random.choice(PATHS)}".rstrip("/")
    headers = {"Content-Type": random.choice(_TYPES)}
    return Request(method="POST", path=path, headers=headers, body=message)
