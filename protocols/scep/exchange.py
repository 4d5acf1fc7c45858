"""One message that something has to be decided on, and how its sender must have the answer."""

from dataclasses import dataclass

from enroll.failures import FailureReason
from enroll.request import AnyRequest, CertificateQuery
from enroll.result import EnrollmentResult, Issued, Pending
from protocols.cms import certs_only
from protocols.cms.recipients import Recipient
from protocols.scep import failures
from protocols.scep.encode import Reply
from protocols.scep.envelopes import Opened
from protocols.wire import WireResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedExchange:
    """The `Exchange` of SCEP."""

    request: AnyRequest
    reply: Reply
    opened: Opened
    recipient: Recipient
    with_chain: bool

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Issued):
            chain = result.chain if self.with_chain else ()
            found = certs_only.encode((result.record.der, *chain))
            return self.reply.success(found, self.recipient, self.opened.answered_with)
        if isinstance(result, Pending):
            return self.reply.pending()
        # A GetCert ends in SUCCESS or FAILURE, whatever is down (RFC 8894 §4.5.1).
        ends = isinstance(self.request, CertificateQuery)
        if failures.is_for_later(result) and not (
            ends and result.reason is FailureReason.CA_UNAVAILABLE
        ):
            return failures.encode_http(result)
        return self.reply.failure(*failures.word(result))
