"""From an HTTP request to a `WireRequest`, bounded, and back."""

import asyncio
import os
import time
from datetime import UTC, datetime

import structlog
from aiohttp import hdrs, web

from protocols.wire import TransportFault, WireRequest, WireResponse
from server.http.routes import Mount, Router
from server.http.tls_transport import peer_name
from server.observability.metrics import Metrics

_log = structlog.get_logger("exchange")
ONCE = (
    hdrs.HOST,
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_ENCODING,
    hdrs.TRANSFER_ENCODING,
    hdrs.AUTHORIZATION,
)
"""Headers that decide how a request is understood: sent twice, it cannot be (security T5)."""

BODILESS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS, hdrs.METH_TRACE})


class Front:
    """The handler that aiohttp calls for every request of one listener."""

    def __init__(
        self, *, listener: str, router: Router, metrics: Metrics, body_seconds: float
    ) -> None:
        self._listener = listener
        self._router = router
        self._metrics = metrics
        self._body_seconds = body_seconds
        self.draining = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.perf_counter()
        correlation_id = os.urandom(8).hex()
        mount, answer = await self._answer(request, correlation_id)
        elapsed = time.perf_counter() - started
        self._metrics.exchange(self._listener, mount, answer.status, elapsed)
        _log.info(
            "served",
            listener=self._listener,
            correlation_id=correlation_id,
            method=request.method,
            path=request.rel_url.raw_path[:200],
            status=answer.status,
            peer=_peer(request),
            ms=round(elapsed * 1000, 2),
        )
        return self._response(request, answer, correlation_id)

    async def _answer(
        self, request: web.BaseRequest, correlation_id: str
    ) -> tuple[str, WireResponse]:
        if any(len(request.headers.getall(name, ())) > 1 for name in ONCE):
            words = "A header that may come once came twice."
            return "", _refusal(400, words, correlation_id, close=True)
        found = self._router.find(request.rel_url.raw_path)
        if found is None:
            words = "There is nothing at this address."
            return "", _refusal(404, words, correlation_id, close=_has_body(request))
        mount, path = found
        wire = await self._read(request, mount, path, correlation_id)
        try:
            return mount.name, await mount.endpoint(wire)
        except Exception:  # noqa: BLE001 - the last resort, where there is still someone to answer
            _log.exception("endpoint failed", correlation_id=correlation_id)
            words = "Something went wrong here; the log knows what."
            return mount.name, _refusal(500, words, correlation_id, close=True)

    async def _read(
        self, request: web.BaseRequest, mount: Mount, path: str, correlation_id: str
    ) -> WireRequest:
        fault, body = await self._body(request, mount.body_bytes)
        transport = request.transport
        chain = transport.get_extra_info("peer_chain", ()) if transport is not None else ()
        return WireRequest(
            method=request.method,
            path=path,
            query=request.rel_url.raw_query_string,
            headers=request.headers,
            body=body,
            peer_chain=chain,
            peer_address=_peer(request),
            correlation_id=correlation_id,
            received_at=datetime.now(UTC),
            fault=fault,
        )

    async def _body(
        self, request: web.BaseRequest, limit: int
    ) -> tuple[TransportFault | None, bytes]:
        headers = request.headers
        if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            return TransportFault.CONTENT_ENCODING, b""
        if not _has_body(request):
            if request.method in BODILESS or hdrs.CONTENT_LENGTH in headers:
                return None, b""
            return TransportFault.LENGTH_REQUIRED, b""
        if (request.content_length or 0) > limit:
            return TransportFault.TOO_LARGE, b""
        if request.content.is_eof() and request.content.total_bytes <= limit:
            return None, request.content.read_nowait(-1)
        return await self._rest_of_body(request, limit)

    async def _rest_of_body(
        self, request: web.BaseRequest, limit: int
    ) -> tuple[TransportFault | None, bytes]:
        """Wait for a body that did not come together with its head."""
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._body_seconds):
                return await _read_bounded(request, limit)
        except TimeoutError:
            return TransportFault.BODY_TIMEOUT, b""

    def _response(
        self, request: web.BaseRequest, answer: WireResponse, correlation_id: str
    ) -> web.Response:
        response = web.Response(
            status=answer.status,
            body=b"" if request.method == hdrs.METH_HEAD else answer.body,
            headers={
                "Content-Type": answer.media_type,
                "Server": "enroll",
                "X-Request-ID": correlation_id,
            },
        )
        for name, value in answer.headers:
            response.headers.add(name, value)
        if request.method == hdrs.METH_HEAD:
            response.headers["Content-Length"] = str(len(answer.body))
        if answer.close or self.draining or not request.content.is_eof():
            response.force_close()
        return response


async def _read_bounded(
    request: web.BaseRequest, limit: int
) -> tuple[TransportFault | None, bytes]:
    parts = bytearray()
    while True:
        part = await request.content.readany()
        if not part:
            return None, bytes(parts)
        parts += part
        if len(parts) > limit:
            return TransportFault.TOO_LARGE, b""


def _has_body(request: web.BaseRequest) -> bool:
    return bool(request.content_length) or hdrs.TRANSFER_ENCODING in request.headers


def _peer(request: web.BaseRequest) -> str:
    return peer_name(request.transport) if request.transport is not None else "gone"


def _refusal(status: int, words: str, correlation_id: str, *, close: bool) -> WireResponse:
    return WireResponse(
        status=status,
        media_type="text/plain; charset=utf-8",
        body=f"{words} [{correlation_id}]\n".encode(),
        close=close,
    )
