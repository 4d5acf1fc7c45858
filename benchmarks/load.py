"""A load generator that must not be the limit: prebuilt requests over raw sockets and one epoll.

Run as a program of its own: `python -m benchmarks.load PLAN.json`. It pins itself to the last core,
opens what connections it can beforehand, says `ready`, waits for a line, and prints what was
answered, as JSON. `benchmarks.driving` writes the plan and reads the answer.
"""

import json
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 65_536
_READ = select.EPOLLIN
_WRITE = select.EPOLLOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send where. With a `rate`, requests leave by the clock, whoever is late.

    `requests` names a packed file, of which those from `first` up to `last` are sent. `fresh` opens
    a connection for each request; else `connections` are kept. `certificate` (PEM, with its key)
    makes it TLS, and mutual.
    """

    requests: str
    first: int
    last: int
    connections: int
    unix: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    fresh: bool = False
    certificate: str | None = None
    rate: float | None = None
    repeat: int = 0


def pack(requests: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(each)) + each for each in requests)


def unpack(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        position += 4
        yield data[position : position + length]
        position += length


class Channel:
    """One connection, and the request that is on its way over it."""

    def __init__(self, plan: Plan, context: ssl.SSLContext | None) -> None:
        self._plan = plan
        self._context = context
        self.due = 0.0
        self.sent = False
        self.request = b""
        self._answer = bytearray()

    def open(self) -> None:
        """Connect. The handshake of a kept connection is done at once, of a fresh one in turn."""
        if self._plan.unix is not None:
            plain = socket.socket(socket.AF_UNIX)
            plain.connect(self._plan.unix)
        else:
            plain = socket.create_connection((self._plan.host, self._plan.port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            self._socket: socket.socket = plain
            self._shaken = True
        else:
            self._socket = self._context.wrap_socket(
                plain,
                do_handshake_on_connect=not self._plan.fresh,
                server_hostname="localhost",
                suppress_ragged_eofs=True,
            )
            self._shaken = not self._plan.fresh
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self, request: bytes, due: float) -> int | None:
        """Take a request on; give the events to wait for."""
        self.request, self.due, self.sent = request, due, False
        self._answer.clear()
        return self.go_on()

    def go_on(self) -> int | None:
        """Do what can be done now: events to wait for next, or None when the answer is whole."""
        try:
            if not self._shaken and isinstance(self._socket, ssl.SSLSocket):
                self._socket.do_handshake()
                self._shaken = True
            if not self.sent:
                self._socket.sendall(self.request)
                self.sent = True
                return _READ
            while not self._is_whole():
                more = self._socket.recv(CHUNK)
                if not more:
                    raise ConnectionError("the server hung up within an answer")
                self._answer += more
        except (BlockingIOError, ssl.SSLWantReadError):
            return _READ
        except ssl.SSLWantWriteError:
            return _WRITE
        return None

    @property
    def status(self) -> str:
        return self._answer[9:12].decode()

    @property
    def answer(self) -> bytes:
        return bytes(self._answer)

    @property
    def is_closed_by_peer(self) -> bool:
        return b"\r\nconnection: close" in self._answer.partition(b"\r\n\r\n")[0].lower()

    def _is_whole(self) -> bool:
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._answer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].partition(b"\r\n")[0]) if at >= 0 else 0
        return len(self._answer) >= end + 4 + length


class Generator:
    """Keeps every channel busy, or sends by the clock; one loop."""

    def __init__(self, plan: Plan, requests: list[bytes]) -> None:
        self._plan = plan
        self._requests = requests
        self._next = 0
        self._poll = select.epoll()
        context = _context(plan.certificate) if plan.certificate else None
        self._idle = [Channel(plan, context) for _ in range(plan.connections)]
        if not plan.fresh:
            for each in self._idle:
                each.open()
        self._busy: dict[int, Channel] = {}
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.first_refusal = ""

    def run(self) -> float:
        """Send all; give how many seconds it took."""
        self._start = time.perf_counter()
        while self._next < len(self._requests) or self._busy:
            wait = self._feed()
            for number, _ in self._poll.poll(wait):
                self._step(self._busy[number])
        return time.perf_counter() - self._start

    def _feed(self) -> float:
        """Give idle channels what is due; tell how long to sleep."""
        while self._idle and self._next < len(self._requests):
            now = time.perf_counter()
            due = now
            if self._plan.rate is not None:
                due = self._start + self._next / self._plan.rate
                if due > now:
                    return due - now
            channel = self._idle.pop()
            if self._plan.fresh:
                channel.open()
            request = self._requests[self._next]
            self._next += 1
            self._busy[channel.fileno()] = channel
            wanted = channel.start(request, due)
            self._poll.register(channel.fileno(), wanted or _READ)
        return -1

    def _step(self, channel: Channel) -> None:
        wanted = channel.go_on()
        if wanted is not None:
            self._poll.modify(channel.fileno(), wanted)
            return
        self.latencies.append(time.perf_counter() - channel.due)
        self.statuses[channel.status] += 1
        if channel.status != "200" and not self.first_refusal:
            self.first_refusal = channel.answer.decode("latin-1")
        self._poll.unregister(channel.fileno())
        del self._busy[channel.fileno()]
        if self._plan.fresh:
            channel.close()
        elif channel.is_closed_by_peer:
            channel.close()
            channel.open()
        self._idle.append(channel)


def _context(certificate: str) -> ssl.SSLContext:
    """Make a client that shows its certificate and does not spend time on the server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate)
    return context


def _quantile(latencies: list[float], part: float) -> float:
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    requests = list(unpack(Path(plan.requests).read_bytes()))[plan.first : plan.last]
    requests *= max(1, plan.repeat)
    generator = Generator(plan, requests)
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.process_time()
    seconds = generator.run()
    json.dump(
        {
            "seconds": seconds,
            "statuses": dict(generator.statuses),
            "first_refusal": generator.first_refusal,
            "p50": _quantile(generator.latencies, 0.5),
            "p99": _quantile(generator.latencies, 0.99),
            "generator_cpu": time.process_time() - begin,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
