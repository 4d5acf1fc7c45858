"""popdecr: the answer to a challenge, which only the holder of the key can read (RFC 9810)."""

import hmac
from dataclasses import dataclass
from functools import partial

from enroll.failures import FailureReason, Malformed
from enroll.request import Acknowledgement, Confirmation, PollRequest
from enroll.result import EnrollmentResult, Rejected
from protocols.cmp.enrollments import Asked
from protocols.cmp.exchanges import CertificateExchange, key_for
from protocols.cmp.followups import reference_of, rejection_in, turn_of
from protocols.cmp.messages import POPODecKeyRespContent
from protocols.cmp.nonces import SenderNonces
from protocols.cmp.reply import Reply
from protocols.cmp.senders import Sender
from protocols.cmp.terms import Terms
from protocols.wire import WireResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedChallenge:
    """A wrong answer: what was issued for the right one is revoked, and badPOP told."""

    request: Confirmation
    reply: Reply
    sender: Sender

    def respond(self, result: EnrollmentResult) -> WireResponse:
        key = self.sender.key
        if isinstance(result, Rejected):
            key = key_for(result, self.sender)
            if result.finding != "transaction_unknown":
                return self.reply.error(result, key)
        origin = self.request.origin
        return self.reply.error(
            Rejected(
                reason=FailureReason.BAD_PROOF_OF_POSSESSION,
                correlation_id=origin.correlation_id,
                detail="the number is not the one of the challenge",
                finding="pop_answer",
            ),
            key,
        )


def open_response(
    asked: Asked, terms: Terms, nonces: SenderNonces
) -> CertificateExchange | FailedChallenge:
    """Compare the number with that of our challenge, and ask what there is for its reader.

    The challenge was answered by popdecc, whatever was decided on the request: a certificate
    waits, or an order. Raises Malformed.
    """
    assert isinstance(asked.body, POPODecKeyRespContent)  # noqa: S101 - the caller tells bodies apart
    turn = turn_of(asked, nonces, challenged=True)
    if len(asked.body.numbers) != 1:
        raise Malformed("there is one challenge to answer here", finding="request_count")
    header = asked.message.header
    expected = nonces.challenge(header.recip_nonce or b"", header.transaction_id or b"")
    if not hmac.compare_digest(asked.body.numbers[0], expected):
        return FailedChallenge(
            request=rejection_in(asked),
            reply=asked.reply,
            sender=asked.sender,
        )
    return CertificateExchange(
        request=PollRequest(
            origin=asked.origin,
            reference=reference_of(asked),
            credentials=(asked.sender.credential,),
            acknowledgement=Acknowledgement.DUE,
            for_holder=True,
            is_for=partial(nonces.is_about, header),
        ),
        reply=asked.reply,
        sender=asked.sender,
        turn=turn.proven,
        ca_pubs=terms.ca_certificates,
    )
