"""EST in process: a site's requests on the wire, and its endpoint without a socket."""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import md5, sha256
from types import MappingProxyType

from multidict import CIMultiDict

from enroll.channel import Channel
from enroll.profiles import ProtocolName
from enroll.request import Operation
from protocols.cmc.responder import Responder
from protocols.cms.key_packages import KeyPackageSigner, no_signer
from protocols.est.handler import ESTHandler
from protocols.est.nonces import Nonces
from protocols.wire import WireRequest, WireResponse
from server.backoff import Backoff
from server.exchange import ProtocolEndpoint
from server.labels import Labels, PolicyMirror
from server.observability.metrics import Metrics
from tests.support.enrollment import PEER, Ask, Held, Site

Words = Callable[[str, str, WireRequest], str]
"""What Authorization says of a user name and a code, in a request."""


async def post(site: Site, ask: Ask) -> WireResponse:
    """Ask over EST, with a code by HTTP Basic."""
    return await _post(site, ask, _basic, _operation(ask), ask.csr)


async def post_by_digest(site: Site, ask: Ask, algorithm: str = "SHA-256") -> WireResponse:
    """Ask over EST, with a code by HTTP Digest."""
    nonce = _nonces(site).make(site.clock.now())

    def words(username: str, code: str, wire: WireRequest) -> str:
        return digest_words(username, code, wire, nonce=nonce, algorithm=algorithm)

    return await _post(site, ask, words, _operation(ask), ask.csr)


def digest_words(
    username: str,
    code: str,
    wire: WireRequest,
    *,
    nonce: str,
    algorithm: str = "SHA-256",
    changes: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Answer a challenge as RFC 7616 §3.4 says; `changes` are to single parameters."""
    hashed = {"SHA-256": sha256, "MD5": md5}[algorithm]

    def h(*parts: str) -> str:
        return hashed(":".join(parts).encode()).hexdigest()

    given = {
        "username": username,
        "realm": "enrollment",
        "uri": wire.target,
        "nonce": nonce,
        "nc": "00000001",
        "cnonce": "c2FsdA",
        "qop": "auth",
    }
    secret = h(given["username"], given["realm"], code)
    exchange = (given["nonce"], given["nc"], given["cnonce"], given["qop"])
    response = h(secret, *exchange, h(wire.method, given["uri"]))
    given |= {"response": response, "algorithm": algorithm, **changes}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in given.items())


async def post_for_key(
    site: Site,
    ask: Ask,
    csr: bytes | None = None,
    *,
    channel: Channel | None,
    signer: Callable[[], KeyPackageSigner] = no_signer,
) -> WireResponse:
    """Ask over EST for a key and its certificate, with a code by HTTP Basic."""
    return await _post(
        site, ask, _basic, "serverkeygen", csr or ask.csr, channel=channel, signer=signer
    )


async def _post(
    site: Site,
    ask: Ask,
    words: Words,
    operation: str,
    csr: bytes,
    *,
    channel: Channel | None = None,
    signer: Callable[[], KeyPackageSigner] = no_signer,
) -> WireResponse:
    path = f"{ask.profile}/{operation}" if ask.profile else operation
    headers = CIMultiDict({"Content-Type": "application/pkcs10"})
    wire = WireRequest(
        method="POST",
        path=path,
        query="",
        headers=headers,
        body=b64encode(csr),
        peer_chain=(ask.held.der,) if ask.held is not None else (),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=site.clock.now(),
        channel=channel,
        target=f"/.well-known/est/{path}",
    )
    if ask.code is not None:
        headers["Authorization"] = words(ask.reference or "", ask.code, wire)
    return await (await endpoint(site, signer=signer))(wire)


def _operation(ask: Ask) -> str:
    return "simpleenroll" if ask.operation is Operation.INITIAL else "simplereenroll"


async def get(
    site: Site,
    path: str,
    *,
    user: tuple[str, str] | None = None,
    held: Held | None = None,
    backoff: Backoff | None = None,
) -> WireResponse:
    """Ask what is asked with GET; `user` is a name and a code, for Basic."""
    served = await endpoint(site, backoff=backoff)
    return await served(a_question(site, path, user=user, held=held))


def a_question(
    site: Site,
    path: str,
    *,
    user: tuple[str, str] | None = None,
    held: Held | None = None,
) -> WireRequest:
    headers = CIMultiDict[str]()
    wire = WireRequest(
        method="GET",
        path=path,
        query="",
        headers=headers,
        body=b"",
        peer_chain=(held.der,) if held is not None else (),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=site.clock.now(),
        target=f"/.well-known/est/{path}",
    )
    if user is not None:
        headers["Authorization"] = _basic(*user, wire)
    return wire


def _basic(username: str, code: str, wire: WireRequest) -> str:
    del wire
    return "Basic " + b64encode(f"{username}:{code}".encode()).decode()


def _nonces(site: Site) -> Nonces:
    return Nonces(site.vault.nonce_key)


def nobody() -> Responder | None:
    return None


async def endpoint(
    site: Site,
    responder: Callable[[], Responder | None] = nobody,
    *,
    signer: Callable[[], KeyPackageSigner] = no_signer,
    backoff: Backoff | None = None,
) -> ProtocolEndpoint:
    """Give EST's endpoint on a site, and who signs answers of CMC, and generated keys, there."""
    mirror = PolicyMirror(site.registry)
    await mirror.refresh()
    return ProtocolEndpoint(
        name=ProtocolName.EST,
        handler=ESTHandler(
            Labels(mirror, ProtocolName.EST, tuple),
            nonces=_nonces(site),
            responder=responder,
            key_package_signer=signer,
        ),
        pipeline=site.pipeline,
        backoff=backoff or Backoff(burst=0, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=bool,
    )
