"""One message that something has to be decided on, and how its sender must have the answer."""

from dataclasses import dataclass, replace

from enroll.failures import FailureReason
from enroll.request import CertificateRequest, Confirmation, EnrollmentRequest, PollRequest
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from protocols.cmp.encode import (
    CertResponse,
    encode_cert_responses,
    encode_pki_confirm,
    encode_poll_response,
)
from protocols.cmp.key_delivery import KeyDelivery
from protocols.cmp.macs import MACKey
from protocols.cmp.messages import (
    ENVELOPED_DATA_VERSION,
    BodyType,
    PKIStatus,
    PKIStatusInfo,
)
from protocols.cmp.modifications import is_modified
from protocols.cmp.nonces import Possession, Turn
from protocols.cmp.possession import encode_challenge, encrypt_certificate
from protocols.cmp.reply import Reply
from protocols.cmp.senders import ByMAC, Sender
from protocols.cms.chains import without_roots
from protocols.wire import WireResponse

_UNPROVEN = frozenset(
    {
        FailureReason.NOT_AUTHENTICATED,
        FailureReason.SIGNER_NOT_TRUSTED,
        FailureReason.BAD_MESSAGE_CHECK,
    }
)
_OF_THE_HEADER = _UNPROVEN | {
    FailureReason.MALFORMED_REQUEST,
    FailureReason.TRANSACTION_CONFLICT,
    FailureReason.CERTIFICATE_REVOKED,
}
"""What is no fault of the body of a request, and told in an error message."""

_NO_ORDER = frozenset({"order_unknown", "order_answered"})
_WAITING = PKIStatusInfo(status=PKIStatus.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExchange:
    """ir, cr, kur and p10cr, and pollReq for one of them: the `Exchange` of CMP.

    `wanted` is what is asked for with this message; `ca_pubs` go along with an ip under a MAC.
    `delivery` is how a key leaves that was made for it. `polls`: it was asked for again, so waiting
    is told by pollRep.
    """

    request: EnrollmentRequest | PollRequest
    reply: Reply
    sender: Sender
    turn: Turn
    ca_pubs: tuple[bytes, ...]
    delivery: KeyDelivery | None = None
    wanted: CertificateRequest | None = None
    polls: bool = False

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if self.turn.possession is Possession.CHALLENGED and not isinstance(result, Rejected):
            return self._challenge(modified=_is_modified(result))
        match result:
            case Issued():
                return self._give(result)
            case Pending():
                return self._wait(result)
            case Rejected():
                return self._refuse(result)

    def _challenge(self, *, modified: bool) -> WireResponse:
        """Ask for the proof of possession before anything is told (RFC 9810 §5.2.8.3.3)."""
        assert self.wanted is not None  # noqa: S101 - what is challenged is a request
        assert self.wanted.public_key is not None  # noqa: S101 - and it has a key
        turn = replace(self.turn, modified=modified)
        nonce = self.reply.nonce(turn, self._about)
        number = self.reply.nonces.challenge(nonce, self.reply.request.transaction_id or b"")
        body = encode_challenge(
            self.wanted.public_key, self.turn.cert_req_id, number, self.reply.sender
        )
        return self.reply.send(body, key=self.sender.key, turn=turn, nonce=nonce)

    def _give(self, issued: Issued) -> WireResponse:
        record = issued.record
        modified = self.turn.modified or _is_modified(issued)
        status = PKIStatus.GRANTED_WITH_MODS if modified else PKIStatus.ACCEPTED
        encrypted = self.turn.possession is Possession.ENCRYPTED
        pvno = self.reply.request.pvno
        response = CertResponse(
            cert_req_id=self.turn.cert_req_id,
            status=PKIStatusInfo(status=status),
            certificate=None if encrypted else record.der,
            encrypted_certificate=encrypt_certificate(record.der, pvno) if encrypted else None,
            private_key=self._private_key(issued),
        )
        is_ip = self.turn.answer is BodyType.IP
        ca_pubs = self.ca_pubs if is_ip and self.turn.by_mac else ()
        waits = record.confirm_until if record.awaits_owner else None
        known = issued.repeated and not record.awaits_owner
        return self.reply.send(
            encode_cert_responses(self.turn.answer, [response], ca_pubs),
            key=self.sender.key,
            turn=replace(self.turn, waiting=False, modified=False, known=known),
            about=self._about,
            certificates=without_roots(issued.chain),
            implicit_confirm=waits is None and self.reply.request.implicit_confirm,
            confirm_until=waits,
            least_version=ENVELOPED_DATA_VERSION if issued.generated is not None else 0,
        )

    def _private_key(self, issued: Issued) -> bytes | None:
        if issued.generated is None:
            return None
        assert self.delivery is not None  # noqa: S101 - a key was asked for with it
        return self.delivery.encode(issued.generated)

    def _wait(self, pending: Pending) -> WireResponse:
        turn = replace(self.turn, waiting=True, modified=False)
        if self.polls:
            body = encode_poll_response([self.turn.cert_req_id], pending.retry_after)
        else:
            response = CertResponse(cert_req_id=self.turn.cert_req_id, status=_WAITING)
            body = encode_cert_responses(self.turn.answer, [response])
        return self.reply.send(body, key=self.sender.key, turn=turn, about=self._about)

    @property
    def _about(self) -> str | None:
        """Name the key that is asked for; what follows another message is about its key."""
        request = self.request
        return request.recognized_by if isinstance(request, EnrollmentRequest) else None

    def _refuse(self, rejected: Rejected) -> WireResponse:
        key = key_for(rejected, self.sender)
        if rejected.finding in _NO_ORDER:
            return self.reply.error(replace(rejected, finding="transaction_unknown"), key)
        if rejected.reason in _OF_THE_HEADER or (isinstance(self.sender, ByMAC) and key is None):
            return self.reply.error(rejected, key)
        return self.reply.rejection(rejected, self.turn.answer, self.turn.cert_req_id, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationExchange:
    """certConf, which is answered by pkiConf, if it may say what it says and is the first to.

    Who asked again, and was given what was `known`, is the first in this exchange.
    """

    request: Confirmation
    reply: Reply
    sender: Sender
    known: bool = False

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Rejected):
            return self.reply.error(result, key_for(result, self.sender))
        said_before = isinstance(result, Issued) and result.said_before
        if said_before and self.request.accepted and not self.known:
            return self.reply.error(self._again(), self.sender.key)
        return self.reply.send(encode_pki_confirm(), key=self.sender.key)

    def _again(self) -> Rejected:
        return Rejected(
            reason=FailureReason.TRANSACTION_CONFLICT,
            correlation_id=self.request.origin.correlation_id,
            detail="the certificate had been confirmed before",
            finding="certificate_confirmed",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingExchange:
    """An error message of a client's, which ends its transaction (RFC 9810 §5.3.21).

    It rejects the certificate that it might have confirmed. Where there is none, no harm is done.
    """

    request: Confirmation
    reply: Reply
    sender: Sender

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Rejected) and result.finding != "transaction_unknown":
            return self.reply.error(result, key_for(result, self.sender))
        return self.reply.send(encode_pki_confirm(), key=self.sender.key)


def _is_modified(result: Issued | Pending) -> bool:
    if not isinstance(result, Issued) or result.wanted is None:
        return False
    if result.generated is not None and not result.generated.as_wished:
        return True
    return is_modified(result.wanted, result.record.certificate)


def key_for(rejected: Rejected, sender: Sender) -> MACKey | None:
    """Give the key of the request's MAC, unless nothing was proven by it.

    An answer under the MAC would tell that there is such a secret.
    """
    return None if rejected.reason in _UNPROVEN else sender.key
