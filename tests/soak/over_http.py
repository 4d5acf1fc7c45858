"""Many messages over HTTP to a server of its own, one at a time, judged together.

One at a time, so that the server's CPU between two moments is that of one.
"""

import http.client
import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil

from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import GROWTH_BYTES, configure
from tests.soak.wire import LIMITS, Line, Request, Tally, note_memory, send
from tests.support.installation import Installation, Running

MakeRequest = Callable[[Random], Request]
Prepare = Callable[[Installation], Callable[[Running], MakeRequest]]
"""Sets an installation up; when it is served, gives what makes the requests."""


def send_over_http(
    prepare: Prepare,
    *,
    seed: int,
    total: int,
    answered: Callable[[int, bytes], str],
    failed: bytes,
    progress: Progress,
) -> Outcome:
    """Serve, send them all, and judge; an answer with `failed` in it says that the server did."""
    with tempfile.TemporaryDirectory(prefix="soak-wire-") as folder:
        installation = Installation.initialize(Path(folder) / "home")
        configure(installation, *LIMITS)
        prepared = prepare(installation)
        tally, answers = Tally(), Counter[str]()
        with installation.serve() as server:
            random = Random(seed)  # noqa: S311 - an experiment wants to repeat itself
            line, make = _line(server), prepared(server)
            process = psutil.Process(server.process.pid)
            for number in range(1, total + 1):
                request = make(random)
                answer = send(server, line, request, tally)
                if answer is not None:
                    answers[answered(answer.status, answer.body)] += 1
                if answer is None or failed in answer.body:
                    shown = b64encode(request.body or b"").decode()
                    tally.faults.append(f"{request.path} {shown}")
                note_memory(process, tally, number)
                progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
            line.close()
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
            "seed": seed,
            "answers": dict(sorted(answers.items())),
            "faults": tally.faults[:20],
            "costly": tally.costly[:20],
            "worst_cpu_ms": round(tally.worst * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


def _line(server: Running) -> Line:
    host, _, port = server.http.rpartition(":")
    return Line(http.client.HTTPConnection(host, int(port), timeout=30))
