"""The server's life: open, listen, say so, serve, drain, close."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
import uvloop
from OpenSSL import SSL

from enroll.failures import EnrollmentError
from server.background import Background, Chore
from server.config.load import Config, ConfigurationError
from server.config.model import LimitsSection, ProxySection, parse_address
from server.device_paths import DevicePaths
from server.home import Home, HomeError
from server.http.descriptors import room_for
from server.http.front import Front
from server.http.limits import ConnectionLimits, Gate
from server.http.listener import Listener, bind_unix
from server.http.load import Load, LoadLimits
from server.http.proxies import Proxies, ProxyTrust
from server.http.routes import Mount, Router
from server.identity import ServerIdentity
from server.labels import PolicyMirror
from server.listening import Listening, cannot_listen
from server.management import Management
from server.observability.logging import configure_logging
from server.observability.metrics import Metrics
from server.revocation import RevocationPublisher
from server.service_certificates import ServiceCertificates
from server.wiring import Works, crl_lifetimes, open_works, with_config

TLS_PERIOD = 60.0
NEEDS_RESTART: Mapping[str, tuple[str, ...]] = {
    "server": ("https", "http", "management", "unix", "public_http_url"),
    "database": ("url", "busy_timeout_seconds"),
    "keys": ("passphrase_file",),
    "limits": tuple(LimitsSection.model_fields),
    "proxy": tuple(ProxySection.model_fields),
}
"""What is taken from the configuration only once, at the start."""

Introduce = Callable[[Listening], Awaitable[None]]
_log = structlog.get_logger("server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of the work a process does: all of it, or that of one worker among others.

    `stream` names its chain of events. `leads`: it does what has to be done once, not by each.
    Workers bind the same ports, and accept from one unix socket that they inherit.
    """

    stream: str = "server"
    leads: bool = True
    shares_ports: bool = False
    unix: socket.socket | None = None


ALONE = Part()


async def run_server(
    home: Home,
    read_config: Callable[[], Config],
    introduce: Introduce,
    part: Part = ALONE,
) -> None:
    """Serve until SIGTERM or SIGINT; read the configuration anew at SIGHUP.

    Raises ConfigurationError, HomeError, RegistryUnavailable, ListeningError.
    """
    config = read_config()
    configure_logging(config.log.level)
    works = open_works(home, config, stream=part.stream)
    try:
        server = Server(works, part)
        await server.open()
        signals = Signals()
        listening = await server.listen()
        settle()
        await introduce(listening)
        while await signals.next() is signal.SIGHUP:
            await server.reload(read_config)
        await server.drain()
    finally:
        await works.close()
    _log.info("ended")


def settle() -> None:
    """Keep the garbage collector off what stays, and short: all clients wait while it works.

    An exchange leaves nothing to it, so that the oldest objects are hardly worth looking through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 3, 1_000)


class Server:
    """Everything between an open installation and its sockets."""

    def __init__(self, works: Works, part: Part = ALONE) -> None:
        self._works = works
        self._part = part
        office, config = works.office, works.office.config
        self._metrics = Metrics()
        works.webhooks.observe = self._metrics.webhook
        limits = config.limits
        self._limits = ConnectionLimits(
            handshake_seconds=limits.handshake_seconds,
            header_seconds=limits.header_seconds,
            keep_alive_seconds=limits.keep_alive_seconds,
            connections=room_for(limits.connections),
            connections_per_address=limits.connections_per_address,
        )
        if self._limits.connections < limits.connections:
            _log.warning("fewer connections than configured", connections=self._limits.connections)
        self._gate = Gate(self._limits)
        self._load = Load(
            LoadLimits(exchanges=limits.exchanges, queue_seconds=limits.queue_seconds)
        )
        self._identity = ServerIdentity(works, renews=part.leads)
        self._services = ServiceCertificates(works, renews=part.leads)
        self._mirror = PolicyMirror(office.registry)
        self._crls = RevocationPublisher(
            office.registry,
            works.issuers,
            crl_lifetimes(works.authorities.now.succession, config),
            office.clock,
        )
        self._management = Management(works, self._crls, self._metrics, lambda: self._gate.open)
        self._device_paths = DevicePaths(
            works, self._mirror, self._services, self._crls, self._metrics
        )
        self._listeners: list[Listener] = []
        self._background = Background(self._chores())

    async def open(self) -> None:
        """Bring everything that is served from memory up to date."""
        await self._mirror.refresh()
        await self._crls.refresh()
        await self._identity.refresh()
        await self._services.refresh()
        await self._device_paths.next_ca.refresh()

    async def listen(self) -> Listening:
        """Bind every configured address and start the timers."""
        section = self._works.office.config.server
        https = await self._start("https", section.https, self._device_paths.mounts(secure=True))
        http = await self._start("http", section.http, self._device_paths.mounts(secure=False))
        management = await self._start("management", section.management, self._management.mounts())
        unix = await self._start_unix(section.unix)
        self._background.start()
        listening = Listening(
            https=https, http=http, management=management, unix=unix, pid=os.getpid()
        )
        _log.info(
            "ready", https=https, http=http, management=management, unix=unix, pid=os.getpid()
        )
        return listening

    async def reload(self, read_config: Callable[[], Config]) -> None:
        """Take over what may change while serving; new connections see it, open ones stay.

        A configuration that cannot be used changes nothing.
        """
        old = self._works.office.config
        try:
            config = read_config()
            self._works = with_config(self._works, config)
            self._identity.works = self._works
            await self._identity.refresh()
        except (ConfigurationError, HomeError, EnrollmentError, SSL.Error) as error:
            self._works = with_config(self._works, old)
            self._identity.works = self._works
            _log.error("the configuration was not reloaded", detail=str(error))
            return
        configure_logging(config.log.level)
        self._follow_authorities()
        restart = sorted(
            f"{section}.{key}"
            for section, keys in NEEDS_RESTART.items()
            for key in keys
            if getattr(getattr(old, section), key) != getattr(getattr(config, section), key)
        )
        if old.webhooks != config.webhooks:
            restart.append("webhooks")
        _log.info("configuration reloaded", needs_restart=restart)

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
            await listener.start_tcp(host, port, shared=self._part.shares_ports)
        except OSError as error:
            raise cannot_listen(name, address, error) from error
        return listener.address

    async def _start_unix(self, path: str) -> str:
        if not path:
            return ""
        listener = self._listener("unix", self._device_paths.mounts(secure=True))
        await listener.start_unix(self._part.unix or bind_unix(Path(path)))
        return path

    def _listener(self, name: str, mounts: tuple[Mount, ...]) -> Listener:
        front = Front(
            listener=name,
            router=Router(mounts),
            metrics=self._metrics,
            body_seconds=self._works.office.config.limits.body_seconds,
            load=None if name == "management" else self._load,
            proxies=self._proxies(name),
        )
        listener = Listener(front=front, limits=self._limits, gate=self._gate, observer=self)
        self._listeners.append(listener)
        return listener

    def _proxies(self, listener: str) -> Proxies:
        """Believe proxies where clients come through them: over TLS, and over the unix socket."""
        section = self._works.office.config.proxy
        if listener not in {"https", "unix"}:
            return Proxies()
        return Proxies(
            ProxyTrust(
                form=section.client_certificate,
                pinned=frozenset(section.pinned),
                over_unix=listener == "unix",
                address_from=section.client_address,
            )
        )

    def _chores(self) -> tuple[Chore, ...]:
        each = (
            Chore(name="policy", period=0.5, run=self._mirror.refresh),
            Chore(name="revocation", period=0.5, run=self._crls.refresh),
            Chore(name="issuers", period=0.5, run=self._follow_succession),
            Chore(name="next-ca", period=0.5, run=self._device_paths.next_ca.refresh),
            Chore(name="tls", period=TLS_PERIOD, run=self._identity.refresh),
            Chore(name="services", period=TLS_PERIOD, run=self._services.refresh),
        )
        if not self._part.leads:
            return each
        return (
            *each,
            Chore(name="confirmations", period=30, run=self._works.office.confirmations.settle),
            Chore(name="approvals", period=5, run=self._settle_orders),
            Chore(name="checkpoint", period=60, run=self._checkpoint),
            Chore(name="attempts", period=3600, run=self._prune_attempts),
        )

    async def _follow_succession(self) -> None:
        """Let another CA issue, and show what it certified, within a second of its activation."""
        if self._works.follow_succession():
            self._follow_authorities()
            _log.info("CAs changed", phase=self._works.authorities.now.succession.phase)
        await self._identity.follow()

    def _follow_authorities(self) -> None:
        self._crls.issuers = self._works.issuers
        self._crls.lifetimes = crl_lifetimes(
            self._works.authorities.now.succession, self._works.office.config
        )

    async def _checkpoint(self) -> None:
        await asyncio.to_thread(self._works.office.sign_checkpoint)

    async def _settle_orders(self) -> None:
        approvals = self._works.office.approvals
        await approvals.expire()
        self._metrics.orders_pending.set(await approvals.count_pending())

    async def _prune_attempts(self) -> None:
        """Forget old attempts, and orders that ended as long ago."""
        office = self._works.office
        section = office.config.attempts
        async with office.registry.unit_of_work() as uow:
            before = office.clock.now() - timedelta(days=section.keep_days)
            uow.attempts.prune(before=before, keep=section.keep_rows)
            uow.orders.prune(before)
            await uow.commit()


def serve_until_done(serving: Coroutine[object, object, None]) -> None:
    """Run it in an event loop of uvloop's: the fastest there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


class Signals:
    """The signals that the server acts upon, in the order in which they came."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._came.put_nowait, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # See the supervisor.

    async def next(self) -> signal.Signals:
        return await self._came.get()
