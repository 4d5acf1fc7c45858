"""EST in process: a site's requests on the wire, and its endpoint without a socket."""

import time
from base64 import b64encode

from multidict import CIMultiDict

from enroll.profiles import ProtocolName
from enroll.request import Operation
from protocols.est.handler import ESTHandler
from protocols.wire import WireRequest, WireResponse
from server.backoff import Backoff
from server.exchange import ProtocolEndpoint
from server.labels import Labels, PolicyMirror
from server.observability.metrics import Metrics
from tests.support.enrollment import PEER, Ask, Site


async def post(site: Site, ask: Ask) -> WireResponse:
    """Ask over EST."""
    operation = "simpleenroll" if ask.operation is Operation.INITIAL else "simplereenroll"
    headers = {"Content-Type": "application/pkcs10"}
    if ask.code is not None:
        pair = b64encode(f"{ask.reference}:{ask.code}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    wire = WireRequest(
        method="POST",
        path=f"{ask.profile}/{operation}" if ask.profile else operation,
        query="",
        headers=CIMultiDict(headers),
        body=b64encode(ask.csr),
        peer_chain=(ask.held.der,) if ask.held is not None else (),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=site.clock.now(),
    )
    return await (await _endpoint(site))(wire)


async def _endpoint(site: Site) -> ProtocolEndpoint:
    mirror = PolicyMirror(site.registry)
    await mirror.refresh()
    return ProtocolEndpoint(
        name=ProtocolName.EST,
        handler=ESTHandler(Labels(mirror, ProtocolName.EST, tuple)),
        pipeline=site.pipeline,
        backoff=Backoff(burst=0, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=bool,
    )
