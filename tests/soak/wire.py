"""Mutated requests over HTTP to a server of its own: none is answered 5xx, memory and CPU hold.

Every operation of EST, from callers that prove nothing, a code, or a certificate in the handshake.
One request at a time, so that the server's CPU between two moments is that of one.
"""

import http.client
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.soak.experiment import Outcome, Progress
from tests.soak.mutants import CPU_SECONDS, GROWTH_BYTES, Caller, callers_of, configure
from tests.soak.mutations import mutants
from tests.support.enrollment import Held
from tests.support.installation import Installation, Running
from tests.support.wire import PKCS10_HEADERS

REQUESTS, SLICE = 100_000, 600
SEED = 20_261_125
WARM_UP = 200
FAULT = 500
LIMITS = (
    "keys_per_device_and_hour = 0",
    "failures_per_address = 0",
    "keep_alive_seconds = 60",
)
QUERIES = ("cacerts", "csrattrs")
_LABELS = ("", "", "", "bootstrap/", "operational/", "nowhere/", "%62ootstrap/", "a/b/c/", "../")
_HEADERS = (
    ("Content-Type", "text/plain"),
    ("Content-Type", "application/pkcs10; charset=utf-8"),
    ("Content-Type", ""),
    ("Content-Transfer-Encoding", "quoted-printable"),
    ("Authorization", "Basic"),
    ("Authorization", "Basic " + "A" * 3_000),
    ("Authorization", 'Digest username="x", nc=zz, uri="'),
    ("Authorization", "Negotiate AAAA"),
    ("If-None-Match", '"x", *, W/"y"'),
    ("Client-Cert", ":AAAA:"),
    ("User-Agent", ""),
    ("X-Request-ID", "\u00e4" * 20),
)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was seen so far; CPU in seconds, memory in octets."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0
    costly: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    start: int = 0
    peak: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path} sha256:{sha256(self.body or b'').hexdigest()}"


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, send them all one after another, and judge."""
    total = SLICE if short else REQUESTS
    with tempfile.TemporaryDirectory(prefix="soak-wire-") as name:
        folder = Path(name)
        installation = Installation.initialize(folder / "home")
        configure(installation, *LIMITS)
        callers = callers_of(installation)
        with installation.serve() as server, ExitStack() as stack:
            lines = [
                stack.enter_context(line_of(each, server, installation, folder)) for each in callers
            ]
            tally = _send_all(server, list(zip(callers, lines, strict=True)), total, progress)
            alive = server.process.poll() is None
        ended = server.process.returncode
    growth = tally.peak - tally.start
    return Outcome(
        held={
            "the server lived, and ended as it should": alive and ended == 0,
            "no request was answered 5xx or not at all": not tally.faults,
            "memory grew by 50 MB at most": growth <= GROWTH_BYTES,
            "no request took more than 50 ms of CPU": not tally.costly,
        },
        figures={
            "requests": total,
            "seed": SEED,
            "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
            "operations": dict(sorted(tally.operations.items())),
            "faults": tally.faults[:20],
            "costly": tally.costly[:20],
            "worst_cpu_ms": round(tally.worst * 1000, 1),
            "growth_mb": round(growth / 1024 / 1024, 1),
        },
    )


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Line:
    """A connection of one caller's, opened anew whenever the server ends it."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def send(self, request: Request) -> Answer:
        """Send it, over another connection if the server had ended this one meanwhile."""
        try:
            return self._send(request)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()
            return self._send(request)

    def close(self) -> None:
        self._connection.close()

    def _send(self, request: Request) -> Answer:
        headers = {key: value.encode("utf-8") for key, value in request.headers.items()}
        self._connection.request(request.method, request.path, request.body, headers)
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.read())


@contextmanager
def line_of(
    caller: Caller, server: Running, installation: Installation, folder: Path
) -> Iterator[Line]:
    context = ssl.create_default_context(cafile=str(installation.root))
    if caller.held is not None:
        context.load_cert_chain(_pem(caller.held, folder))
    host, _, port = server.https.rpartition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
    line = Line(connection)
    try:
        yield line
    finally:
        line.close()


def _pem(held: Held, folder: Path) -> Path:
    path = folder / f"{sha256(held.der).hexdigest()}.pem"
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(held.certificate.public_bytes(Encoding.PEM) + key)
    return path


def _send_all(
    server: Running, callers: list[tuple[Caller, Line]], total: int, progress: Progress
) -> Tally:
    random = Random(SEED)  # noqa: S311 - an experiment wants to repeat itself
    process, tally = psutil.Process(server.process.pid), Tally()
    for number, body in enumerate(mutants(SEED, total), 1):
        caller, line = random.choice(callers)
        request = _request(random, caller, body)
        send(server, line, request, tally)
        tally.operations[request.path.partition("?")[0].rstrip("/").rpartition("/")[2][:40]] += 1
        note_memory(process, tally, number)
        progress.at(number, total, f"worst {tally.worst * 1000:.0f} ms")
    return tally


def _request(random: Random, caller: Caller, body: bytes) -> Request:
    """Make a request of the caller's, or a query; now and then the head is damaged too."""
    headers = dict(caller.headers)
    if random.random() < 0.1:
        path, method, sent = random.choice(QUERIES), "GET", None
        headers = {key: value for key, value in headers.items() if key not in PKCS10_HEADERS}
    else:
        path, method = caller.path, "POST"
        sent = body if caller.body is None else caller.body(random)
    if random.random() < 0.1:
        path = random.choice(_LABELS) + path.rpartition("/")[2]
        method = random.choice((method, "POST", "GET", "HEAD", "DELETE"))
        headers |= dict([random.choice(_HEADERS)])
    if random.random() < 0.02:
        path += random.choice(("/", "//", "?", "?a=%00", "%2f", "/x", "%00", ";v=1"))
    return Request(method=method, path=f"/.well-known/est/{path}", headers=headers, body=sent)


def send(server: Running, line: Line, request: Request, tally: Tally) -> Answer | None:
    """Send one request. One that was costly is tried again: it may have met something else."""
    costs: list[float] = []
    answer: Answer | None = None
    for _ in range(3):
        before = cpu_seconds(server.process.pid)
        try:
            answer = line.send(request)
        except (OSError, http.client.HTTPException) as error:
            tally.faults.append(f"{request.name}: {type(error).__name__}: {error}")
            line.close()
            return None
        costs.append(cpu_seconds(server.process.pid) - before)
        if costs[-1] <= CPU_SECONDS:
            break
    else:
        tally.costly.append(f"{request.name}: {min(costs) * 1000:.0f} ms")
    tally.worst = max(tally.worst, min(costs))
    if answer is None:
        return None
    tally.statuses[answer.status] += 1
    if answer.status >= FAULT:
        tally.faults.append(f"{request.name}: {answer.status}")
    return answer


def note_memory(process: psutil.Process, tally: Tally, number: int) -> None:
    """Take down how much memory the server has, now and then."""
    if number % WARM_UP:
        return
    resident = process.memory_info().rss
    tally.start = tally.start or resident
    tally.peak = max(tally.peak, resident)


def cpu_seconds(pid: int) -> float:
    """Tell the CPU time of a process and all its threads, to the nanosecond."""
    return (
        sum(
            int((thread / "schedstat").read_text().split()[0])
            for thread in Path(f"/proc/{pid}/task").iterdir()
        )
        / 1e9
    )
