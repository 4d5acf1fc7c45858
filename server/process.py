"""The server's life: open, listen, say so, serve, drain, close."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import structlog

from enroll.profiles import ProtocolName
from protocols.est.handler import ESTHandler
from protocols.est.messages import ESTOperation
from server.background import Background, Chore
from server.backoff import Backoff
from server.config.load import Config
from server.config.model import parse_address
from server.exchange import ProtocolEndpoint
from server.home import Home, write_public
from server.http.front import Front
from server.http.limits import ConnectionLimits, Gate
from server.http.listener import Listener
from server.http.load import Load, LoadLimits
from server.http.routes import Mount, Router
from server.identity import ServerIdentity
from server.labels import Labels, PolicyMirror
from server.listening import Listening, ListeningError
from server.management import Management
from server.observability.logging import configure_logging
from server.observability.metrics import Metrics
from server.publishing import Publishing
from server.revocation import RevocationPublisher
from server.wiring import Works, crl_lifetimes, open_works

STREAM = "server"
Introduce = Callable[[Listening], Awaitable[None]]
_log = structlog.get_logger("server")


async def run_server(
    home: Home, config: Config, ready_file: Path | None, introduce: Introduce | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. Raises HomeError, RegistryUnavailable, ListeningError."""
    configure_logging(config.log.level)
    works = open_works(home, config, stream=STREAM)
    try:
        server = Server(works)
        await server.open()
        listening = await server.listen()
        if ready_file is not None:
            _write_ready_file(ready_file, listening)
        if introduce is not None:
            await introduce(listening)
        await _until_asked_to_end()
        await server.drain()
    finally:
        await works.office.close()
    _log.info("ended")


class Server:
    """Everything between an open installation and its sockets."""

    def __init__(self, works: Works) -> None:
        self._works = works
        office, config = works.office, works.office.config
        self._metrics = Metrics()
        limits = config.limits
        self._limits = ConnectionLimits(
            handshake_seconds=limits.handshake_seconds,
            header_seconds=limits.header_seconds,
            keep_alive_seconds=limits.keep_alive_seconds,
            connections=limits.connections,
            connections_per_address=limits.connections_per_address,
        )
        self._gate = Gate(self._limits)
        self._load = Load(
            LoadLimits(exchanges=limits.exchanges, queue_seconds=limits.queue_seconds)
        )
        self._identity = ServerIdentity(works)
        self._mirror = PolicyMirror(office.registry)
        lifetimes = crl_lifetimes(config)
        self._crls = RevocationPublisher(
            office.registry,
            {name: (works.issuers.get(name), lifetime) for name, lifetime in lifetimes.items()},
            office.clock,
        )
        self._management = Management(works, self._crls, self._metrics, lambda: self._gate.open)
        self._listeners: list[Listener] = []
        self._background = Background(self._chores())

    async def open(self) -> None:
        """Bring everything that is served from memory up to date."""
        await self._mirror.refresh()
        await self._crls.refresh()
        await self._identity.refresh()

    async def listen(self) -> Listening:
        """Bind every configured address and start the timers."""
        section = self._works.office.config.server
        https = await self._start("https", section.https, self._device_mounts(secure=True))
        http = await self._start("http", section.http, self._device_mounts(secure=False))
        management = await self._start("management", section.management, self._own_mounts())
        unix = await self._start_unix(section.unix)
        self._background.start()
        listening = Listening(
            https=https, http=http, management=management, unix=unix, pid=os.getpid()
        )
        _log.info(
            "ready", https=https, http=http, management=management, unix=unix, pid=os.getpid()
        )
        return listening

    async def drain(self) -> None:
        """Take no more, finish what runs, and stop."""
        _log.info("draining")
        self._management.draining = True
        for listener in self._listeners:
            listener.stop_accepting()
        seconds = self._works.office.config.server.drain_seconds
        await asyncio.gather(*(listener.drain(seconds) for listener in self._listeners))
        await self._background.stop()

    def handshake_failed(self, peer: str, reason: str) -> None:
        """Count and log a TLS handshake that came to nothing (see `HandshakeObserver`)."""
        self._metrics.handshake_failed()
        _log.info("handshake failed", peer=peer, reason=reason)

    async def _start(self, name: str, address: str, mounts: tuple[Mount, ...]) -> str:
        if not address:
            return ""
        context = {"https": self._identity.device, "management": self._identity.management}
        listener = self._listener(name, mounts)
        listener.context = context.get(name)
        host, port = parse_address(address)
        try:
            await listener.start_tcp(host, port)
        except OSError as error:
            raise ListeningError(
                f"cannot listen on {address}: {os.strerror(error.errno or 0)}; choose another "
                f"address with --{name} HOST:PORT, or server.{name} in the configuration"
            ) from error
        return listener.address

    async def _start_unix(self, path: str) -> str:
        if not path:
            return ""
        listener = self._listener("unix", self._device_mounts(secure=True))
        await listener.start_unix(Path(path))
        return listener.address

    def _listener(self, name: str, mounts: tuple[Mount, ...]) -> Listener:
        front = Front(
            listener=name,
            router=Router(mounts),
            metrics=self._metrics,
            body_seconds=self._works.office.config.limits.body_seconds,
            load=None if name == "management" else self._load,
        )
        listener = Listener(front=front, limits=self._limits, gate=self._gate, observer=self)
        self._listeners.append(listener)
        return listener

    def _device_mounts(self, *, secure: bool) -> tuple[Mount, ...]:
        """Lay out the device paths; EST is never served without TLS (RFC 7030 §3.2.1)."""
        published = Publishing(self._works.issuers, self._works.root, self._crls)
        mounts = (
            Mount(prefix="/ca", endpoint=published.ca, name="ca"),
            Mount(prefix="/crl", endpoint=published.crl, name="crl"),
            Mount(prefix="/roots.pem", endpoint=published.roots, name="roots"),
        )
        if not secure:
            return mounts
        limit = self._works.office.config.limits.body_bytes
        est = Mount(prefix="/.well-known/est", endpoint=self._est(), body_bytes=limit, name="est")
        return (est, *mounts)

    def _own_mounts(self) -> tuple[Mount, ...]:
        own = self._management
        return (
            Mount(prefix="/livez", endpoint=own.live, name="livez"),
            Mount(prefix="/readyz", endpoint=own.ready, name="readyz"),
            Mount(prefix="/version", endpoint=own.version, name="version"),
            Mount(prefix="/metrics", endpoint=own.metrics, name="metrics"),
        )

    def _est(self) -> ProtocolEndpoint:
        limits = self._works.office.config.limits
        labels = Labels(self._mirror, ProtocolName.EST, self._works.ca_certificates)
        recorded = {ESTOperation.SIMPLE_ENROLL.value, ESTOperation.SIMPLE_REENROLL.value}
        return ProtocolEndpoint(
            name=ProtocolName.EST,
            handler=ESTHandler(labels),
            pipeline=self._works.pipeline,
            backoff=Backoff(
                burst=limits.failures_per_address,
                per_second=limits.failures_recovered_per_second,
                monotonic=time.monotonic,
            ),
            metrics=self._metrics,
            is_operation=recorded.__contains__,
        )

    def _chores(self) -> tuple[Chore, ...]:
        return (
            Chore(name="policy", period=0.5, run=self._mirror.refresh),
            Chore(name="revocation", period=0.5, run=self._crls.refresh),
            Chore(name="confirmations", period=30, run=self._works.office.confirmations.settle),
            Chore(name="checkpoint", period=60, run=self._checkpoint),
            Chore(name="attempts", period=3600, run=self._prune_attempts),
            Chore(name="tls", period=3600, run=self._identity.refresh),
        )

    async def _checkpoint(self) -> None:
        await asyncio.to_thread(self._works.office.sign_checkpoint)

    async def _prune_attempts(self) -> None:
        office = self._works.office
        section = office.config.attempts
        async with office.registry.unit_of_work() as uow:
            before = office.clock.now() - timedelta(days=section.keep_days)
            uow.attempts.prune(before=before, keep=section.keep_rows)
            await uow.commit()


async def _until_asked_to_end() -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()


def _write_ready_file(path: Path, listening: Listening) -> None:
    document = {
        "https": listening.https,
        "http": listening.http,
        "management": listening.management,
        "unix": listening.unix,
        "pid": listening.pid,
    }
    write_public(path.absolute(), json.dumps(document).encode("utf-8") + b"\n")
