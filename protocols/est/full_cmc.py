"""The operation /fullcmc (RFC 7030 §4.3): CMC in base64, and HTTP's status beside CMC's."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.credentials import SharedSecretMAC, SignerCertificate, TLSClientCertificate
from enroll.failures import AuthorityUnavailable, EnrollmentError, FailureReason
from enroll.request import EnrollmentRequest, Operation, RequestOrigin
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from protocols.cmc.encode import Outcome, PendInfo
from protocols.cmc.faults import CMCFault, fail_info
from protocols.cmc.full_request import FullRequest, Opened, judge, open_message
from protocols.cmc.messages import NOTHING_HEARD, WHOLE_MESSAGE, FailInfo, Heard, Status
from protocols.cmc.responder import Responder
from protocols.cms import certs_only
from protocols.cms.chains import without_roots
from protocols.est import decode, encode, failures
from protocols.est.messages import (
    CERTIFICATE,
    CLIENT_CERTIFICATE,
    CMC_RESPONSE,
    MESSAGE_MAC,
    SIGNER_CERTIFICATE,
    AnswerLayout,
)
from protocols.limits import DERLimits
from protocols.wire import ProtocolViolation, WireRequest, WireResponse

# Where the fault lies when it is not in the certification request.
_OF_THE_CREDENTIAL = frozenset(
    {
        FailureReason.NOT_AUTHENTICATED,
        FailureReason.SIGNER_NOT_TRUSTED,
        FailureReason.CERTIFICATE_REVOKED,
    }
)
_UNREAD = frozenset({FailureReason.RATE_LIMITED, FailureReason.INTERNAL})
_MALFORMED = "The request is not a Full PKI Request that is served here, in base64 of DER."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How the answer to one message has to be: signed by whom, laid out how, giving back what."""

    responder: Responder | None = field(repr=False)
    layout: AnswerLayout
    heard: Heard = NOTHING_HEARD

    def refusal(self, plain: WireResponse, outcome: Outcome) -> WireResponse:
        """Put CMC's words into HTTP's refusal, in place of the text that says the same."""
        if self.responder is None:
            return plain
        words = plain.body.decode().strip()
        return self._full(plain, replace(outcome, words=words or None))

    def success(self, issued: Issued) -> WireResponse:
        """Answer with certificates alone, unless there is something to be given back."""
        certificates = (issued.record.der, *without_roots(issued.chain))
        if self.responder is None or not self.heard.anything:
            body = encode.encode_base64(certs_only.encode(certificates), self.layout)
            return WireResponse(
                status=200, media_type=CERTIFICATE, body=body, headers=encode.ENCODED
            )
        plain = WireResponse(status=200, media_type=CMC_RESPONSE)
        return self._full(plain, Outcome(status=Status.SUCCESS), certificates)

    def _full(
        self, plain: WireResponse, outcome: Outcome, certificates: tuple[bytes, ...] = ()
    ) -> WireResponse:
        assert self.responder is not None  # noqa: S101 - asked before; for the type checker
        message = self.responder.respond(outcome, self.heard, certificates)
        return replace(
            plain,
            media_type=CMC_RESPONSE,
            body=encode.encode_base64(message, self.layout),
            headers=(*plain.headers, *encode.ENCODED),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FullCMCExchange:
    """One enrollment by CMC: the request, its body parts, and how the answer has to be."""

    request: EnrollmentRequest
    full: FullRequest
    reply: Reply

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Issued):
            return self.reply.success(result)
        if isinstance(result, Pending):
            plain = failures.encode_pending(result.retry_after)
            return self.reply.refusal(plain, self._pending(result))
        faulty = result.reason in _OF_THE_CREDENTIAL
        number = self.full.proof_number if faulty else self.full.number
        return self.reply.refusal(*_worded(result, (number,)))

    def _pending(self, pending: Pending) -> Outcome:
        at = self.request.origin.received_at + timedelta(seconds=pending.retry_after)
        return Outcome(
            status=Status.PENDING,
            body_parts=(self.full.number,),
            info=PendInfo(token=pending.order_id.encode(), at=at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FullCMC:
    """Receives and refuses for the handler of EST. There may be no responder yet."""

    responder: Callable[[], Responder | None]
    limits: DERLimits

    def receive(self, wire: WireRequest, origin: RequestOrigin) -> FullCMCExchange:
        """Read a Full PKI Request. Raises ProtocolViolation and EnrollmentError."""
        reply = self._reply(wire)
        if reply.responder is None:
            raise AuthorityUnavailable("there is no message signer yet", finding="signer_missing")
        try:
            decode.check_cmc_media_type(wire)
        except ProtocolViolation as violation:
            raise self.reworded(wire, violation) from violation
        opened = open_message(decode.decode_body(wire.body), self.limits)
        return self._judged(wire, origin, opened, replace(reply, heard=opened.heard))

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer what could not be read; all that the answer must repeat is read once more.

        But not where nothing was read at all, or where reading may be what failed.
        """
        reply, status = self._reply(wire), Status.FAILED
        numbers: tuple[int, ...] = (WHOLE_MESSAGE,)
        if rejected.reason not in _UNREAD:
            try:
                opened = open_message(decode.decode_body(wire.body), self.limits)
                reply = replace(reply, heard=opened.heard)
                judge(opened, self.limits, _connected(wire)[:1])
            except CMCFault as fault:
                numbers, status = fault.body_parts, fault.status
            except EnrollmentError:
                pass  # It is the whole message that cannot be read.
        plain, outcome = _worded(rejected, numbers)
        if status is not Status.FAILED:
            outcome = replace(outcome, status=status, info=None)
        return reply.refusal(plain, outcome)

    def reworded(self, wire: WireRequest, violation: ProtocolViolation) -> ProtocolViolation:
        """Say in CMC what HTTP has against a message."""
        outcome = Outcome(status=Status.FAILED, info=FailInfo.BAD_REQUEST)
        response = self._reply(wire).refusal(violation.response, outcome)
        return ProtocolViolation(response, violation.finding, violation.detail)

    def _reply(self, wire: WireRequest) -> Reply:
        return Reply(responder=self.responder(), layout=decode.decode_layout(wire))

    def _judged(
        self, wire: WireRequest, origin: RequestOrigin, opened: Opened, reply: Reply
    ) -> FullCMCExchange:
        connected = _connected(wire)
        full = judge(opened, self.limits, connected[:1])
        credentials = full.credentials
        if connected:
            # It proves nothing here, but whose it is has to fit.
            credentials = (TLSClientCertificate(chain=connected), *credentials)
        return FullCMCExchange(
            request=EnrollmentRequest(
                origin=_shown(origin, full),
                operation=Operation.BY_CERTIFICATE,
                certificate_request=full.certificate_request,
                credentials=credentials,
                channel=wire.channel,
            ),
            full=full,
            reply=reply,
        )


def _worded(rejected: Rejected, numbers: tuple[int, ...]) -> tuple[WireResponse, Outcome]:
    plain = failures.encode_words(rejected)
    if rejected.reason is FailureReason.MALFORMED_REQUEST:
        plain = failures.encode_sentence(plain.status, _MALFORMED, rejected.correlation_id)
    info = fail_info(rejected)
    return plain, Outcome(status=Status.FAILED, body_parts=numbers, info=info)


def _connected(wire: WireRequest) -> tuple[x509.Certificate, ...]:
    """Give the chain that the TLS connection showed, as far as it can be read."""
    if not wire.peer_chain:
        return ()
    try:
        return decode.decode_client_certificate(wire.peer_chain).chain
    except EnrollmentError:
        return ()


def _shown(origin: RequestOrigin, full: FullRequest) -> RequestOrigin:
    """Say what was shown: in the message, and by the connection."""
    shown = [each for each in origin.credentials_shown if each == CLIENT_CERTIFICATE]
    for each in full.credentials:
        if isinstance(each, SharedSecretMAC):
            shown.append(MESSAGE_MAC)
        if isinstance(each, SignerCertificate):
            shown.append(SIGNER_CERTIFICATE)
            fingerprint = each.leaf.fingerprint(hashes.SHA256()).hex()
            origin = replace(origin, client_certificate_sha256=fingerprint)
    return replace(origin, credentials_shown=tuple(shown))
