"""One exchange, whatever the protocol: decode, decide, answer; nothing escapes unanswered."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from enroll.failures import AuthorityUnavailable, EnrollmentError, FailureReason
from enroll.pipeline import Pipeline
from enroll.profiles import ProtocolName
from enroll.request import (
    AnyRequest,
    CertificateQuery,
    Confirmation,
    EnrollmentRequest,
    FaultyRequest,
    PollRequest,
)
from enroll.result import EnrollmentResult, Rejected, Relayed, RevocationResult
from protocols.wire import (
    Bundle,
    Exchange,
    ProtocolHandler,
    ProtocolViolation,
    Question,
    Revocation,
    WireRequest,
    WireResponse,
)
from server.backoff import Backoff
from server.observability.metrics import Metrics

_log = structlog.get_logger("enrollment")
_NOTHING_TRIED = frozenset({"no_credential", "nonce_stale"})
"""Findings of requests that tried no secret: they ask for a challenge, or for another."""

_UNPROVEN = frozenset({FailureReason.NOT_AUTHENTICATED, FailureReason.SIGNER_NOT_TRUSTED})


class ProtocolEndpoint:
    """Serves one protocol on any listener: an `Endpoint` of `server.http.front`."""

    def __init__(
        self,
        *,
        name: ProtocolName,
        handler: ProtocolHandler,
        pipeline: Pipeline,
        backoff: Backoff,
        metrics: Metrics,
        is_operation: Callable[[str], bool],
    ) -> None:
        self._name = name
        self._handler = handler
        self._pipeline = pipeline
        self._backoff = backoff
        self._metrics = metrics
        self._is_operation = is_operation

    async def __call__(self, wire: WireRequest) -> WireResponse:
        try:
            return await self._serve(wire)
        except Exception:  # noqa: BLE001 - whatever it was, the caller gets an answer
            _log.exception("internal error", correlation_id=wire.correlation_id)
            return self._handler.refuse(wire, await self._failed(wire))

    async def _serve(self, wire: WireRequest) -> WireResponse:
        wait = self._backoff.wait(wire.peer_address)
        if wait:
            return self._handler.refuse(wire, _rate_limited(wire, wait))
        try:
            opened = self._handler.receive(wire)
        except ProtocolViolation as violation:
            return await self._violated(wire, violation)
        except EnrollmentError as error:
            origin = self._handler.origin(wire)
            rejected = await self._pipeline.refuse(origin, error)
            self._note(wire, rejected, origin.operation)
            return self._handler.refuse(wire, rejected)
        match opened:
            case WireResponse():
                response = opened
            case Question():
                response = await self._tell(wire, opened)
            case Bundle():
                response = await self._unbundle(wire, opened)
            case _:
                response = await self._decide(wire, opened)
        return response

    async def _tell(self, wire: WireRequest, question: Question) -> WireResponse:
        """Answer a question; who shows a bad credential is told what all are, but more slowly."""
        try:
            described = await self._pipeline.inquiries(question.inquiry)
        except EnrollmentError as error:
            return self._handler.refuse(wire, _unanswered(wire, error))
        try:
            answer = question.answer(described)
        except EnrollmentError as error:
            if question.refuse is None:
                raise
            rejected = await self._pipeline.refuse(question.inquiry.origin, error)
            self._note(wire, rejected, question.inquiry.origin.operation)
            return question.refuse(rejected)
        refused = described.refused
        if refused is None or described.is_member:
            self._backoff.succeeded(wire.peer_address)
        else:
            self._slow_down(wire, refused.reason, refused.finding)
            _log.info(
                "not proven",
                correlation_id=wire.correlation_id,
                protocol=self._name.value,
                operation=question.inquiry.origin.operation,
                finding=refused.finding,
                detail=refused.detail,
                peer=wire.peer_address,
            )
        return answer

    async def _unbundle(self, wire: WireRequest, bundle: Bundle) -> WireResponse:
        """Serve each message by itself, one after the other, where its bearer may bring it.

        Each has a correlation id of its own, is recorded, and counts for the limits of its sender's
        address.
        """
        relayed = await self._pipeline.relays(bundle.relay)
        if isinstance(relayed, Rejected):
            self._note(wire, relayed, bundle.relay.origin.operation)
            return self._handler.refuse(wire, relayed)
        answers = [await self(_brought(each, relayed)) for each in bundle.messages]
        return bundle.gather(answers)

    async def _decide(self, wire: WireRequest, opened: Exchange | Revocation) -> WireResponse:
        if isinstance(opened, Revocation):
            judged = await self._pipeline.revoke(opened.request)
            self._note(wire, judged, opened.request.origin.operation)
            return opened.answer(judged)
        result = await self._ask(opened.request)
        self._note(wire, result, opened.request.origin.operation)
        return opened.respond(result)

    async def _ask(self, request: AnyRequest) -> EnrollmentResult:
        match request:
            case EnrollmentRequest():
                return await self._pipeline.handle(request)
            case PollRequest():
                return await self._pipeline.poll(request)
            case Confirmation():
                return await self._pipeline.confirm(request)
            case CertificateQuery():
                return await self._pipeline.retrieve(request)
            case FaultyRequest():
                return await self._pipeline.find_fault(request)

    async def _violated(self, wire: WireRequest, violation: ProtocolViolation) -> WireResponse:
        """Answer in the protocol's words, and leave a record if it was meant to enroll."""
        origin = self._handler.origin(wire)
        if self._is_operation(origin.operation):
            error = EnrollmentError(
                FailureReason.MALFORMED_REQUEST, violation.detail, finding=violation.finding
            )
            rejected = await self._pipeline.refuse(origin, error)
            self._note(wire, rejected, origin.operation)
            if rejected.reason is FailureReason.CA_UNAVAILABLE:
                return self._handler.refuse(wire, rejected)
        return violation.response

    async def _failed(self, wire: WireRequest) -> Rejected:
        """Leave a record of a fault of ours, if what it was meant to do leaves one."""
        internal = _internal(wire)
        error = EnrollmentError(internal.reason, internal.detail, finding=internal.finding)
        try:
            origin = self._handler.origin(wire)
            if self._is_operation(origin.operation):
                return await self._pipeline.refuse(origin, error)
        except Exception:  # noqa: BLE001 - the fault itself has been logged, and is answered
            _log.exception("no attempt recorded", correlation_id=wire.correlation_id)
        return internal

    def _note(
        self, wire: WireRequest, result: EnrollmentResult | RevocationResult, operation: str
    ) -> None:
        self._metrics.enrollment(self._name.value, result)
        if not isinstance(result, Rejected):
            self._backoff.succeeded(wire.peer_address)
            return
        self._slow_down(wire, result.reason, result.finding)
        _log.info(
            "refused",
            correlation_id=result.correlation_id,
            protocol=self._name.value,
            operation=operation,
            reason=result.reason.value,
            finding=result.finding,
            detail=result.detail,
            peer=wire.peer_address,
        )

    def _slow_down(self, wire: WireRequest, reason: FailureReason, finding: str) -> None:
        if reason in _UNPROVEN and finding not in _NOTHING_TRIED:
            self._backoff.failed(wire.peer_address)


def _brought(wire: WireRequest, relayed: Relayed) -> WireRequest:
    return replace(wire, relayed_by=relayed.authority)


def _unanswered(wire: WireRequest, error: EnrollmentError) -> Rejected:
    return replace(
        _internal(wire),
        reason=error.reason,
        detail=error.detail,
        finding=error.finding,
        retry_after=error.retry_after if isinstance(error, AuthorityUnavailable) else None,
    )


def _internal(wire: WireRequest) -> Rejected:
    return Rejected(
        reason=FailureReason.INTERNAL,
        correlation_id=wire.correlation_id,
        detail="an error of ours; the log has it under the correlation id",
        finding="internal",
    )


def _rate_limited(wire: WireRequest, wait: int) -> Rejected:
    return replace(
        _internal(wire),
        reason=FailureReason.RATE_LIMITED,
        detail="too many failed authentications from this address",
        finding="rate_limited",
        retry_after=wait,
    )
