"""What devices find at which path, on each kind of listener."""

import time
from collections.abc import Set as AbstractSet
from functools import partial

from ca.service import KEY_GENERATION, MESSAGE_SIGNER, SCEP_NEXT_RA, SCEP_RA
from enroll.profiles import ProtocolName
from protocols.cmp.handler import RECORDED as CMP_RECORDED
from protocols.cmp.handler import CMPHandler
from protocols.est.handler import ESTHandler
from protocols.est.messages import ESTOperation
from protocols.est.nonces import Nonces
from protocols.scep.handler import RECORDED as SCEP_RECORDED
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolHandler
from server.backoff import Backoff
from server.cmp import CMPServices, sender_nonces
from server.cmp_support import CMPSupport
from server.exchange import ProtocolEndpoint
from server.http.routes import Mount
from server.key_packages import key_package_signer
from server.labels import Labels, PolicyMirror
from server.message_signer import MessageSigner
from server.next_ca import NextCA
from server.observability.metrics import Metrics
from server.publishing import Publishing
from server.revocation import RevocationPublisher
from server.scep import SCEPServices
from server.service_certificates import ServiceCertificates
from server.wiring import Works

CMP_PATHS = ("/.well-known/cmp", "/cmp", "/pkix")
SCEP_PATHS = ("/scep", "/cgi-bin/pkiclient.exe", "/certsrv/mscep/mscep.dll")
EST_RECORDED = frozenset(
    {
        ESTOperation.SIMPLE_ENROLL.value,
        ESTOperation.SIMPLE_REENROLL.value,
        ESTOperation.SERVER_KEY_GENERATION.value,
        ESTOperation.FULL_CMC.value,
    }
)
"""The operations of EST whose every message leaves an attempt, readable or not."""


class DevicePaths:
    """Makes the mounts of the device listeners; what was configured at the start stays."""

    def __init__(
        self,
        works: Works,
        mirror: PolicyMirror,
        services: ServiceCertificates,
        crls: RevocationPublisher,
        metrics: Metrics,
    ) -> None:
        self._works = works
        self._mirror = mirror
        self._services = services
        self.next_ca = NextCA(works, services.of(SCEP_NEXT_RA))
        self._crls = crls
        self._metrics = metrics

    def mounts(self, *, secure: bool) -> tuple[Mount, ...]:
        """Lay out the device paths; EST is never served without TLS (RFC 7030 §3.2.1)."""
        published = Publishing(lambda: self._works.authorities.now, self._crls)
        limit = self._works.office.config.limits.body_bytes
        scep, cmp = self._scep(), self._cmp()
        mounts = (
            Mount(prefix="/ca", endpoint=published.ca, name="ca"),
            Mount(prefix="/crl", endpoint=published.crl, name="crl"),
            Mount(prefix="/roots.pem", endpoint=published.roots, name="roots"),
            *(
                Mount(prefix=each, endpoint=scep, body_bytes=limit, name="scep", any_case=True)
                for each in SCEP_PATHS
            ),
            *(Mount(prefix=each, endpoint=cmp, body_bytes=limit, name="cmp") for each in CMP_PATHS),
        )
        if not secure:
            return mounts
        est = Mount(prefix="/.well-known/est", endpoint=self._est(), body_bytes=limit, name="est")
        return (est, *mounts)

    def _est(self) -> ProtocolEndpoint:
        handler = ESTHandler(
            Labels(self._mirror, ProtocolName.EST, self._works.ca_certificates),
            nonces=Nonces(self._works.office.secrets.nonce_key),
            responder=MessageSigner(self._services.of(MESSAGE_SIGNER)).responder,
            key_package_signer=partial(key_package_signer, self._services.of(KEY_GENERATION)),
        )
        return self._endpoint(ProtocolName.EST, handler, EST_RECORDED)

    def _scep(self) -> ProtocolEndpoint:
        services = SCEPServices(
            mirror=self._mirror,
            ra=self._services.of(SCEP_RA),
            next_ra=self._services.of(SCEP_NEXT_RA),
            next_ca=self.next_ca.message,
            ca_certificates=self._works.ca_certificates,
            authorities=lambda: self._works.authorities.now,
            crls=self._crls,
        )
        return self._endpoint(ProtocolName.SCEP, SCEPHandler(services), SCEP_RECORDED)

    def _cmp(self) -> ProtocolEndpoint:
        services = CMPServices(
            mirror=self._mirror,
            signer=self._services.of(MESSAGE_SIGNER),
            ca_certificates=self._works.ca_certificates,
            support=CMPSupport(
                lambda: self._works.authorities.now,
                self._crls,
                self._works.office.config.server.public_http_url,
            ),
        )
        nonces = sender_nonces(self._works.office.secrets.nonce_key)
        handler = CMPHandler(
            services=services,
            nonces=nonces,
            key_package_signer=partial(key_package_signer, self._services.of(KEY_GENERATION)),
        )
        return self._endpoint(ProtocolName.CMP, handler, CMP_RECORDED)

    def _endpoint(
        self, name: ProtocolName, handler: ProtocolHandler, recorded: AbstractSet[str]
    ) -> ProtocolEndpoint:
        limits = self._works.office.config.limits
        return ProtocolEndpoint(
            name=name,
            handler=handler,
            pipeline=self._works.pipeline,
            backoff=Backoff(
                burst=limits.failures_per_address,
                per_second=limits.failures_recovered_per_second,
                monotonic=time.monotonic,
            ),
            metrics=self._metrics,
            is_operation=recorded.__contains__,
        )
