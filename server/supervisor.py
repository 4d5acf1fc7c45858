"""Several worker processes on the same addresses: started together, restarted when one dies."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
from prometheus_client import multiprocess

from server.config.load import Config
from server.config.model import ServerSection, parse_address
from server.home import Home
from server.http.listener import bind_unix
from server.listening import Listening, cannot_listen
from server.observability.logging import configure_logging
from server.observability.metrics import MULTIPROCESS_FOLDER

SHORT_LIFE = 5.0
LONGEST_PAUSE = 30.0
_log = structlog.get_logger("supervisor")


class WorkerError(Exception):
    """The workers could not be started; the log says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a worker is told: its number, its addresses, and the descriptors that it inherits.

    It writes one line to `report` when it listens. `life` ends when the supervisor does.
    """

    home: str
    number: int
    server: Mapping[str, str]
    report: int
    life: int
    unix: int | None

    def encode(self) -> str:
        return json.dumps({each: getattr(self, each) for each in self.__slots__})

    @classmethod
    def decode(cls, text: str) -> "Assignment":
        return cls(**json.loads(text))


def supervise(
    home: Home, config: Config, workers: int, announce: Callable[[Listening], None]
) -> None:
    """Serve with this many workers until SIGTERM or SIGINT; SIGHUP is passed on to them.

    Raises ListeningError, WorkerError.
    """
    configure_logging(config.log.level)
    with ExitStack() as kept:
        reserved = {
            name: kept.enter_context(_reserved(name, getattr(config.server, name)))
            for name in ("https", "http", "management")
        }
        unix = None
        if config.server.unix:
            unix = kept.enter_context(contextlib.closing(bind_unix(Path(config.server.unix))))
            unix.listen(socket.SOMAXCONN)
        shared = tempfile.mkdtemp(prefix="enroll-metrics-")
        kept.callback(shutil.rmtree, shared, ignore_errors=True)
        crew = _Crew(home, config.server, reserved, unix, shared)
        kept.callback(crew.close)
        crew.start(workers)
        announce(Listening(**reserved, unix=config.server.unix, pid=os.getpid()))
        _log.info("ready", workers=workers, pid=os.getpid(), **reserved)
        crew.watch()
    _log.info("ended")


class _Crew:
    """The workers that there are."""

    def __init__(
        self,
        home: Home,
        section: ServerSection,
        addresses: Mapping[str, str],
        unix: socket.socket | None,
        metrics: str,
    ) -> None:
        self._home = home
        self._server = {**addresses, "unix": section.unix}
        self._unix = unix
        self._metrics = metrics
        self._life, self._end = os.pipe()
        self._numbers: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._stopping = False

    def start(self, workers: int) -> None:
        """Start all, and return when every one listens. Raises WorkerError."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        # The first makes what all need, such as the TLS certificate; the others start together.
        self._await(self._spawn(1))
        for report in [self._spawn(number) for number in range(2, workers + 1)]:
            self._await(report)

    def _await(self, report: int) -> None:
        with os.fdopen(report, "rb") as said:
            if said.readline() or self._stopping:
                return
        self._stop(signal.SIGTERM, None)
        while self._numbers:
            self._numbers.pop(os.wait()[0], None)
        raise WorkerError("a worker did not start; what it logged says why")

    def watch(self) -> None:
        """Put a new worker in the place of one that dies, until all are told to end."""
        while self._numbers:
            pid, status = os.wait()
            number = self._numbers.pop(pid, None)
            if number is None:
                continue
            multiprocess.mark_process_dead(pid, self._metrics)  # type: ignore[no-untyped-call]  # theirs
            if self._stopping:
                continue
            _log.error("a worker died", worker=number, status=os.waitstatus_to_exitcode(status))
            self._pause(number)
            if not self._stopping:
                os.close(self._spawn(number))

    def close(self) -> None:
        os.close(self._life)
        os.close(self._end)

    def _spawn(self, number: int) -> int:
        """Start one worker, and give where its report can be read."""
        report, say = os.pipe()
        unix = self._unix.fileno() if self._unix is not None else None
        assignment = Assignment(
            home=str(self._home.path),
            number=number,
            server=self._server,
            report=say,
            life=self._life,
            unix=unix,
        )
        passed = [say, self._life, *([unix] if unix is not None else [])]
        # Held back until the worker can take it; by itself it would end a process that starts.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            process = subprocess.Popen(  # noqa: S603 - this very Python, and words of ours
                # -P: the working directory is no place to import from.
                [sys.executable, "-P", "-m", "server.worker", assignment.encode()],
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                env={**os.environ, MULTIPROCESS_FOLDER: self._metrics},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        os.close(say)
        self._numbers[process.pid] = number
        self._started[number] = time.monotonic()
        process.returncode = 0  # It is waited for in `watch`, by its process id.
        if self._stopping:  # The signal came before there was anyone to tell.
            self._signal(signal.SIGTERM)
        return report

    def _pause(self, number: int) -> None:
        """Wait before a worker that keeps dying is started again, longer each time."""
        lived = time.monotonic() - self._started[number]
        pause = 0.0 if lived > SHORT_LIFE else min(LONGEST_PAUSE, self._pauses.get(number, 0.5) * 2)
        self._pauses[number] = pause
        ends_at = time.monotonic() + pause
        while not self._stopping and time.monotonic() < ends_at:
            time.sleep(0.1)  # In parts: a signal does not cut a sleep short.

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._stopping = True
        self._signal(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._signal(number)

    def _signal(self, number: int) -> None:
        for pid in tuple(self._numbers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def _reserved(name: str, address: str) -> Iterator[str]:
    """Hold a port that workers will bind too, so that all have the same; give its address."""
    if not address:
        yield ""
        return
    host, port = parse_address(address)
    try:
        holder = _bound(host, port)
    except OSError as error:
        raise cannot_listen(name, address, error) from error
    with contextlib.closing(holder):
        yield f"{f'[{host}]' if ':' in host else host}:{holder.getsockname()[1]}"


def _bound(host: str, port: int) -> socket.socket:
    """Bind without listening: no connection comes here while workers listen on the same port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    holder = socket.socket(family, kind, protocol)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(where)
    except OSError:
        holder.close()
        raise
    return holder
