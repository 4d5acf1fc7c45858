"""Thousands of slow connections beside good clients: security S14, issue 3's fifth acceptance.

A third each drips in a head, in a body, and in its handshake, an octet a second, each at
its own time. As many come anew, evenly, as are cut off, so that the number stands all the while:
being slow is what is tried here, not a flood. Good clients make a TLS connection each.
"""

import json
import os
import resource
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.experiment import Outcome, Progress
from tests.support.hello import client_hello
from tests.support.installation import Installation, Running

KINDS = ("head", "body", "handshake")
LONGEST_SLOW_LIFE = 30.0
SLOWDOWN = 2.0
GOOD_PER_SECOND = 20.0
MEAN_LIFE = 12.0
"""A little less than the mean of the server's deadlines: so fast must slow clients come anew."""
DRIP_SECONDS = 1.0
HEAD = b"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEAD + b"Content-Type: application/pkcs10\r\nContent-Length: 60000\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it."""

    connections: int
    seconds: float
    baseline_seconds: float


WHOLE = Plan(connections=5_000, seconds=60.0, baseline_seconds=20.0)
SLICE = Plan(connections=400, seconds=14.0, baseline_seconds=5.0)


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, measure good clients alone, then beside the slow ones, and see all of those end."""
    plan = SLICE if short else WHOLE
    with tempfile.TemporaryDirectory(prefix="enroll-slow-") as name:
        installation = Installation.initialize(Path(name) / "home")
        with installation.serve() as server:
            progress.at(0, 3, "good clients alone")
            alone = latencies(server, plan.baseline_seconds)
            with attacking(server, plan) as attackers:
                progress.at(1, 3, f"beside {plan.connections} slow connections")
                beside = latencies(server, plan.seconds)
                progress.at(2, 3, "until the slow ones have ended")
                seen = attackers()
            progress.at(3, 3)
    return judge(plan, alone, beside, seen)


def judge(
    plan: Plan, alone: Sequence[float], beside: Sequence[float], seen: Mapping[str, Any]
) -> Outcome:
    baseline, loaded = percentile(alone, 99), percentile(beside, 99)
    ended = {kind: figures["longest"] for kind, figures in seen["kinds"].items()}
    most = int(seen["open"]["most"])
    return Outcome(
        held={
            f"good clients' p99 is at most {SLOWDOWN:g} times what it is alone": (
                loaded <= SLOWDOWN * baseline
            ),
            f"every slow connection ended within {LONGEST_SLOW_LIFE:g} s": (
                not seen["open"]["left"] and max(ended.values()) <= LONGEST_SLOW_LIFE
            ),
            "the slow connections were as many as they should be": most >= 0.9 * plan.connections,
        },
        figures={
            "slow connections at once": most,
            "good requests alone": len(alone),
            "good requests beside": len(beside),
            "p50 ms": [round(1000 * percentile(each, 50), 2) for each in (alone, beside)],
            "p99 ms": [round(1000 * each, 2) for each in (baseline, loaded)],
            "p99 ratio": round(loaded / baseline, 2),
            "slow": seen,
        },
    )


def percentile(values: Sequence[float], part: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[part - 1]


def latencies(server: Running, seconds: float) -> list[float]:
    """Let good clients come by the clock, and give how long each waited for its answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = []
    started = time.perf_counter()
    for number in range(int(seconds * GOOD_PER_SECOND)):
        due = started + number / GOOD_PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        _get_ca_certificates(server.https, context)
        found.append(time.perf_counter() - due)
    return found


def _get_ca_certificates(address: str, context: ssl.SSLContext) -> None:
    host, port = address.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(b"GET /.well-known/est/cacerts HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(f"a good client was refused: {answer[:100]!r}")


@contextmanager
def attacking(server: Running, plan: Plan) -> Iterator[Callable[[], Mapping[str, Any]]]:
    """Run the slow clients in a process of their own until its block ends or asks what it saw."""
    words = [sys.executable, "-m", "tests.soak.slow", server.https, str(plan.connections)]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "all are there\n":
            raise ConnectionError("the slow connections could not be made")

        def end() -> Mapping[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            seen: Mapping[str, Any] = json.loads(process.stdout.read())
            return seen

        try:
            yield end
        finally:
            if process.poll() is None:
                process.kill()


class SlowConnection:
    """One that says an octet now and then."""

    def __init__(self, kind: str, address: tuple[str, int], context: ssl.SSLContext) -> None:
        self.kind = kind
        self.born = time.monotonic()
        self._at = 0
        plain = socket.create_connection(address, timeout=10)
        self.secured: ssl.SSLSocket | None = None
        self.socket: socket.socket = plain
        self._words = client_hello([0xC02B])
        if kind != "handshake":
            self.secured = context.wrap_socket(
                plain, server_hostname="localhost", do_handshake_on_connect=False
            )
            self.socket = self.secured
            self._words = (BODY if kind == "body" else HEAD + b"X: ") + b"a" * 4_000
        self.socket.setblocking(False)
        self.number = self.socket.fileno()
        self._begun = kind == "handshake"

    def go_on(self) -> bool:
        """Do what can be done now; tell whether the connection is still there."""
        try:
            if self.secured is not None and not self._begun:
                self.secured.do_handshake()
                self._begun = True
                # The body's is sent with its head whole: it is the body that drips.
                self._say(len(BODY) if self.kind == "body" else 1)
            return bool(self.socket.recv(4_096))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return True
        except OSError:
            return False

    def drip(self) -> None:
        if self._begun:
            with suppress(OSError):
                self._say(1)

    def _say(self, octets: int) -> None:
        self._at += self.socket.send(self._words[self._at : self._at + octets])


class Crowd:
    """Keeps so many slow connections open, and notes how long each lived."""

    def __init__(self, address: str, connections: int) -> None:
        host, port = address.rsplit(":", 1)
        self._address = (host, int(port))
        self._wanted = connections
        self._open: dict[int, SlowConnection] = {}
        self._turns: deque[SlowConnection] = deque()
        self._poll = select.epoll()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._made = 0
        self._most = 0
        self._lives: dict[str, list[float]] = defaultdict(list)
        self._dripped = self._paced = time.monotonic()
        self._pace, self._credit = connections / MEAN_LIFE, 0.0

    def grow(self) -> None:
        """Open all, and say so."""
        while len(self._open) < 0.95 * self._wanted:
            self._round()
        sys.stdout.write("all are there\n")
        sys.stdout.flush()

    def stay(self) -> None:
        """Keep the number until nobody wants to know any more."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            self._round()

    def fade(self) -> None:
        """Open no more, and wait until all have been cut off."""
        self._wanted = 0
        ends = time.monotonic() + LONGEST_SLOW_LIFE + 5
        while self._open and time.monotonic() < ends:
            self._round()

    def seen(self) -> dict[str, object]:
        return {
            "open": {"most": self._most, "left": len(self._open)},
            "kinds": {
                kind: {"ended": len(lives), "longest": round(max(lives), 2)}
                for kind, lives in sorted(self._lives.items())
            },
            "left": dict(Counter(each.kind for each in self._open.values())),
        }

    def _round(self) -> None:
        for _ in range(min(self._due(), self._wanted - len(self._open))):
            slow = SlowConnection(KINDS[self._made % 3], self._address, self._context)
            self._made += 1
            self._open[slow.number] = slow
            self._turns.append(slow)
            self._poll.register(slow.number, select.EPOLLIN)
            self._go_on(slow)
        self._most = max(self._most, len(self._open))
        for number, _ in self._poll.poll(0.002):
            self._go_on(self._open[number])
        self._drip()

    def _drip(self) -> None:
        """Let those say an octet whose turn it is: all of them once in DRIP_SECONDS."""
        now = time.monotonic()
        turns = min(len(self._turns), int((now - self._dripped) * len(self._turns) / DRIP_SECONDS))
        if turns:
            self._dripped = now
        for _ in range(turns):
            slow = self._turns.popleft()
            if self._open.get(slow.number) is slow:
                slow.drip()
                self._turns.append(slow)

    def _due(self) -> int:
        """Give how many may be opened now, at an even pace."""
        now = time.monotonic()
        self._credit += (now - self._paced) * self._pace
        self._paced = now
        due = int(self._credit)
        self._credit -= due
        return due

    def _go_on(self, slow: SlowConnection) -> None:
        if not slow.go_on():
            self._lives[slow.kind].append(time.monotonic() - slow.born)
            self._poll.unregister(slow.number)
            del self._open[slow.number]
            slow.socket.close()


def attack(address: str, connections: int) -> None:
    """Be the slow clients; print what became of them as JSON."""
    os.nice(10)  # The good clients' figures are to tell of the server, not of this process.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(address, connections)
    crowd.grow()
    crowd.stay()
    crowd.fade()
    json.dump(crowd.seen(), sys.stdout)


if __name__ == "__main__":
    attack(sys.argv[1], int(sys.argv[2]))
