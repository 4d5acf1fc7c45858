"""What a listener hands to a protocol and gets back, whatever the protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from enroll.channel import Channel
from enroll.request import (
    AnyRequest,
    Inquiry,
    RelayRequest,
    RequestOrigin,
    RevocationRequest,
)
from enroll.result import Described, EnrollmentResult, Rejected, RevocationResult


class TransportFault(StrEnum):
    """Why the listener could not, or would not, read the request's body."""

    LENGTH_REQUIRED = "length_required"
    TOO_LARGE = "too_large"
    BODY_TIMEOUT = "body_timeout"
    CONTENT_ENCODING = "content_encoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One HTTP request as a listener read it: bounded, undecoded, with its peer.

    `path` is what follows the mount point, still percent-encoded; `query` is raw too, and `target`
    the whole address as it was sent. `headers`
    looks names up without regard to case. `peer_chain` holds the certificates that the client sent
    in its TLS handshake, DER, its own first; the handshake proved possession of the first one's
    key and nothing else. `channel` is the TLS connection to the client itself, where there is one.
    With a `fault`, `body` is empty and the connection closes afterwards. `relayed_by` is the
    registration authority in whose message this one came, if it did.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer_chain: tuple[bytes, ...]
    peer_address: str
    correlation_id: str
    received_at: datetime
    channel: Channel | None = None
    target: str = ""
    fault: TransportFault | None = None
    relayed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireResponse:
    """One HTTP answer; the listener adds Content-Length and nothing else of substance."""

    status: int
    media_type: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = field(default=False)


class ProtocolViolation(Exception):  # noqa: N818 - named after what the peer did
    """The message broke its protocol below the level of enrollment: path, method, media type.

    `response` answers it in the protocol's own words, `finding` names it in the attempts.
    """

    def __init__(self, response: WireResponse, finding: str, detail: str) -> None:
        super().__init__(detail)
        self.response = response
        self.finding = finding
        self.detail = detail


class Exchange(Protocol):
    """One request decoded, and all that its answer needs: the memory of a single message."""

    @property
    def request(self) -> AnyRequest: ...

    def respond(self, result: EnrollmentResult) -> WireResponse: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message that asks what a request should hold, and how the answer is worded.

    `answer` may raise EnrollmentError where there is a `refuse`, which words that once it has been
    recorded.
    """

    inquiry: Inquiry
    answer: Callable[[Described], WireResponse]
    refuse: Callable[[Rejected], WireResponse] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Messages of others in one, for whoever may bring them: each is served as if it came alone.

    `gather` makes one answer of theirs, in the same order.
    """

    relay: RelayRequest
    messages: tuple[WireRequest, ...]
    gather: Callable[[Sequence[WireResponse]], WireResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A message that asks to stop certificates, and how the answer is worded."""

    request: RevocationRequest
    answer: Callable[[RevocationResult], WireResponse]


class ProtocolHandler(Protocol):
    """One protocol: bytes to `EnrollmentRequest`, `EnrollmentResult` to bytes. Pure."""

    def receive(
        self, wire: WireRequest
    ) -> Exchange | Question | Revocation | Bundle | WireResponse:
        """Decode a request, a question or a revocation, or answer at once what needs no decision.

        Raises ProtocolViolation, and EnrollmentError for a message that cannot be enrolled from.
        """
        ...

    def origin(self, wire: WireRequest) -> RequestOrigin:
        """Say what can be said of any message, readable or not, for the record of its attempt."""
        ...

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer a message that `receive` could not turn into an Exchange."""
        ...
