"""What the management listener answers: is it alive, is it ready, what version, which figures."""

import importlib.metadata
import json
import time
from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives import hashes

from ca.ceremony import ISSUING
from enroll.failures import RegistryUnavailable
from protocols.wire import WireRequest, WireResponse
from server.api.certificates import Certificates
from server.api.endpoint import API
from server.api.enrollment_codes import EnrollmentCodes
from server.backoff import Backoff
from server.http.routes import Mount
from server.observability.metrics import Metrics
from server.revocation import RevocationPublisher
from server.wiring import Works

API_BODY_OCTETS = 64 * 1024


class Management:
    """Endpoints for `/livez`, `/readyz`, `/version`, `/metrics` and `/api/v1`."""

    def __init__(
        self,
        works: Works,
        crls: RevocationPublisher,
        metrics: Metrics,
        open_connections: Callable[[], int],
    ) -> None:
        self._works = works
        self._crls = crls
        self._metrics = metrics
        self._open_connections = open_connections
        self.draining = False

    def mounts(self) -> tuple[Mount, ...]:
        """Lay out the management listener."""
        office = self._works.office
        limits = office.config.limits
        backoff = Backoff(
            burst=limits.failures_per_address,
            per_second=limits.failures_recovered_per_second,
            monotonic=time.monotonic,
        )
        resources = (
            EnrollmentCodes(office.registration).resource,
            Certificates(office.registry, office.lifecycle).resource,
        )
        return (
            Mount(prefix="/livez", endpoint=self.live, name="livez"),
            Mount(prefix="/readyz", endpoint=self.ready, name="readyz"),
            Mount(prefix="/version", endpoint=self.version, name="version"),
            Mount(prefix="/metrics", endpoint=self.metrics, name="metrics"),
            Mount(
                prefix="/api/v1",
                endpoint=API(office.access_keys, backoff, resources),
                body_bytes=API_BODY_OCTETS,
                name="api",
            ),
        )

    async def live(self, wire: WireRequest) -> WireResponse:
        return _get(wire, 200, {"status": "ok"})

    async def ready(self, wire: WireRequest) -> WireResponse:
        """Answer 200 if a device could be served now, else 503 with what is missing."""
        problems = {
            name: problem for name, look in self._looks() if (problem := await look()) is not None
        }
        if problems:
            return _get(wire, 503, {"status": "not ready", "problems": problems})
        return _get(wire, 200, {"status": "ok"})

    async def version(self, wire: WireRequest) -> WireResponse:
        root = self._works.root
        return _get(
            wire,
            200,
            {
                "version": importlib.metadata.version("enrollment-server"),
                "root_fingerprint": root.fingerprint(hashes.SHA256()).hex(),
            },
        )

    async def metrics(self, wire: WireRequest) -> WireResponse:
        now = self._works.office.clock.now()
        self._metrics.connections.set(self._open_connections())
        for issuer in self._works.issuers:
            latest = self._crls.latest(issuer)
            if latest is not None:
                age = (now - latest.this_update).total_seconds()
                self._metrics.crl_age.labels(issuer).set(age)
        if wire.method not in {"GET", "HEAD"}:
            return _get(wire, 200, {})
        return WireResponse(
            status=200,
            media_type="text/plain; version=0.0.4; charset=utf-8",
            body=self._metrics.render(),
        )

    def _looks(self) -> tuple[tuple[str, Callable[[], Awaitable[str | None]]], ...]:
        return (
            ("server", self._server),
            ("database", self._database),
            ("issuer", self._issuer),
            ("crl", self._crl),
        )

    async def _server(self) -> str | None:
        return "the server is ending" if self.draining else None

    async def _database(self) -> str | None:
        try:
            await self._works.office.policy()
        except RegistryUnavailable as error:
            return error.detail
        return None

    async def _issuer(self) -> str | None:
        now = self._works.office.clock.now()
        if now >= self._works.authority.not_valid_after(self._works.authority.current(ISSUING)):
            return "the issuing CA has expired"
        return None

    async def _crl(self) -> str | None:
        latest = self._crls.latest(self._works.authority.current(ISSUING))
        if latest is None or latest.next_update <= self._works.office.clock.now():
            return "there is no current revocation list"
        return None


def _get(wire: WireRequest, status: int, document: dict[str, object]) -> WireResponse:
    if wire.method not in {"GET", "HEAD"}:
        status, document = 405, {"status": "only GET is served here"}
    return WireResponse(
        status=status,
        media_type="application/json",
        body=json.dumps(document).encode("utf-8") + b"\n",
        headers=(("Cache-Control", "no-store"),)
        + ((("Allow", "GET, HEAD"),) if status == 405 else ()),  # noqa: PLR2004 - see above
    )
