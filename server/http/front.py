"""From an HTTP request to a `WireRequest`, bounded, and back to an `Answer`."""

import os
import time
from datetime import UTC, datetime

import structlog
from aiohttp import hdrs
from aiohttp.http import HttpVersion10, RawRequestMessage
from aiohttp.streams import StreamReader

from protocols.wire import WireRequest, WireResponse
from server.http.answers import Answer, encode_answer
from server.http.intake import Unreadable, read_body, read_target
from server.http.load import Load, LoadLimits
from server.http.peer import Peer
from server.http.proxies import Client, Proxies
from server.http.routes import Router
from server.observability.exchange_log import ExchangeLog
from server.observability.metrics import Metrics

_log = structlog.get_logger("front")
GONE = 499
"""How the log and the figures name a request whose sender did not wait; it is never sent."""


class Front:
    """Serves the requests of one listener: finds the endpoint, feeds it, answers, keeps the log."""

    def __init__(
        self,
        *,
        listener: str,
        router: Router,
        metrics: Metrics,
        body_seconds: float,
        load: Load | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._listener = listener
        self._router = router
        self._metrics = metrics
        self._body_seconds = body_seconds
        self._load = load if load is not None else Load(LoadLimits(exchanges=0, queue_seconds=0))
        self._proxies = proxies if proxies is not None else Proxies()
        self._exchange_log = ExchangeLog(listener)
        self.draining = False

    async def serve(
        self, message: RawRequestMessage, payload: StreamReader, peer: Peer, arrived: float
    ) -> Answer:
        """Answer one request, whatever becomes of it. `arrived` is in seconds of perf_counter."""
        correlation_id = os.urandom(8).hex()
        waited = time.perf_counter() - arrived
        client = None
        try:
            client = self._proxies.client_of(message, peer)
            mount, response = await self._answer(
                message, payload, peer, client, correlation_id, waited
            )
        except Unreadable as refused:
            mount, response = "", _refusal(refused.status, refused.words, correlation_id)
        address = peer.address if client is None else client.address
        return self._encode(
            message, payload, peer, address, arrived, mount, response, correlation_id
        )

    def refuse(self, status: int, words: str, peer: Peer, kind: str) -> Answer:
        """Answer what could not be parsed without repeating a byte of it."""
        correlation_id = os.urandom(8).hex()
        self._metrics.exchange(self._listener, "", status, 0.0)
        self._exchange_log.refused(correlation_id, status, peer.address, kind)
        response = _refusal(status, words, correlation_id)
        return encode_answer(response, correlation_id, close=True, keep=False, with_body=True)

    def _encode(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        peer: Peer,
        address: str,
        arrived: float,
        mount: str,
        response: WireResponse,
        correlation_id: str,
    ) -> Answer:
        """Write the answer, and the one line of the log."""
        close = (
            response.close
            or message.should_close
            or message.upgrade
            or self.draining
            or not payload.is_eof()
        )
        keep = not close and message.version == HttpVersion10
        head_only = message.method == hdrs.METH_HEAD
        try:
            answer = encode_answer(
                response, correlation_id, close=close, keep=keep, with_body=not head_only
            )
        except ValueError:
            _log.exception("an answer that cannot be sent", correlation_id=correlation_id)
            response = _failed(correlation_id)
            answer = encode_answer(
                response, correlation_id, close=True, keep=False, with_body=not head_only
            )
        elapsed = time.perf_counter() - arrived
        status = GONE if peer.gone else response.status
        self._metrics.exchange(self._listener, mount, status, elapsed)
        path = message.path.partition("?")[0]
        self._exchange_log.served(correlation_id, message.method, path, status, address, elapsed)
        return answer

    async def _answer(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        peer: Peer,
        client: Client,
        correlation_id: str,
        waited: float,
    ) -> tuple[str, WireResponse]:
        """Find the endpoint and have it answer. Raises Unreadable."""
        target, query = read_target(message)
        found = self._router.find(target)
        if found is None:
            words = "There is nothing at this address."
            return "", _refusal(404, words, correlation_id, close=False)
        mount, path = found
        fault, body = await read_body(
            message, payload, peer, octets=mount.body_bytes, seconds=self._body_seconds
        )
        load = self._load
        if not load.takes(waited):
            return mount.name, _busy(load.retry_after(), correlation_id)
        wire = WireRequest(
            method=message.method,
            path=path,
            query=query,
            headers=message.headers,
            body=body,
            peer_chain=client.chain,
            peer_address=client.address,
            channel=client.channel,
            correlation_id=correlation_id,
            received_at=datetime.now(UTC),
            target=message.path,
            fault=fault,
        )
        load.exchanges += 1
        try:
            return mount.name, await mount.endpoint(wire)
        except Exception:  # noqa: BLE001 - the last resort, where there is still someone to answer
            _log.exception("endpoint failed", correlation_id=correlation_id)
            return mount.name, _failed(correlation_id)
        finally:
            load.exchanges -= 1


def _refusal(
    status: int,
    words: str,
    correlation_id: str,
    *,
    close: bool = True,
    headers: tuple[tuple[str, str], ...] = (),
) -> WireResponse:
    return WireResponse(
        status=status,
        media_type="text/plain; charset=utf-8",
        body=f"{words} [{correlation_id}]\n".encode(),
        headers=headers,
        close=close,
    )


def _failed(correlation_id: str) -> WireResponse:
    return _refusal(500, "Something went wrong here; the log knows what.", correlation_id)


def _busy(retry_after: int, correlation_id: str) -> WireResponse:
    words = "There is more to do here than can be done; try again a little later."
    headers = (("Retry-After", str(retry_after)),)
    return _refusal(503, words, correlation_id, close=False, headers=headers)
