"""Refusing a message for what it is, before anything is decided: in which body, under what."""

from dataclasses import dataclass

from enroll.failures import FailureReason
from enroll.request import FaultyRequest
from enroll.result import EnrollmentResult, Rejected
from protocols.cmp.enrollments import ANSWERS, number_of
from protocols.cmp.macs import MACKey
from protocols.cmp.messages import BodyType
from protocols.cmp.reply import Reply
from protocols.cmp.senders import ByMAC
from protocols.wire import WireResponse

_IN_THE_BODY = frozenset(
    {
        FailureReason.BAD_PROOF_OF_POSSESSION,
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        FailureReason.UNACCEPTED_EXTENSION,
        FailureReason.CERTIFICATE_UNKNOWN,
    }
)


def refuse(
    reply: Reply, rejected: Rejected, kind: BodyType | None, key: MACKey | None = None
) -> WireResponse:
    """Refuse a message of this kind, in ip, cp, kup or error (RFC 9483 §3.6.2)."""
    answer = ANSWERS.get(kind) if kind is not None else None
    if kind is not None and answer is not None and rejected.reason in _IN_THE_BODY:
        return reply.rejection(rejected, answer, number_of(kind), key)
    return reply.error(rejected, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultExchange:
    """A message with a fault, and a MAC: its sender is found first, and told under that secret."""

    request: FaultyRequest
    reply: Reply
    sender: ByMAC
    kind: BodyType

    def respond(self, result: EnrollmentResult) -> WireResponse:
        assert isinstance(result, Rejected)  # noqa: S101 - there is no other end of it
        is_known = result.reason is not FailureReason.NOT_AUTHENTICATED
        return refuse(self.reply, result, self.kind, self.sender.key if is_known else None)
