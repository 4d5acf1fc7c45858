"""Messages within messages: protection that was added, and batches (RFC 9483 §5.2.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import RelayRequest
from enroll.result import Rejected
from protocols.cmp.addresses import Address, without_operation
from protocols.cmp.bodies import decode_body
from protocols.cmp.encode import encode_nested
from protocols.cmp.enrollments import Asked
from protocols.cmp.messages import BodyType, NestedMessageContent, PKIHeader, PKIMessage
from protocols.cmp.originals import read_originals
from protocols.cmp.reply import Reply
from protocols.cmp.senders import BySignature
from protocols.limits import DERLimits
from protocols.wire import Bundle, WireRequest, WireResponse

MAXIMUM_MESSAGES = 20
"""How many messages one may bring, counted at every depth.

Each costs what it costs alone, and the answer waits for all of them: a certificate takes some
milliseconds, the key of a dear MAC ten. More does not fit into the octets of a request anyway,
where each is signed.
"""

DEPTH = 2
"""How deep messages may lie in one another (cmp-N6): a batch of messages with added protection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How the answers to a batch go back: in one nested message, in the order of the requests."""

    reply: Reply
    messages: tuple[PKIMessage, ...]
    correlation_id: str

    def gather(self, answers: Sequence[WireResponse]) -> WireResponse:
        given = zip(self.messages, answers, strict=True)
        return self.reply.send(encode_nested([self._message(*each) for each in given]))

    def _message(self, request: PKIMessage, answer: WireResponse) -> bytes:
        """Give the answer; what HTTP alone would say is said by an error (RFC 9483 §5.2.2.2)."""
        if answer.status == 200:  # noqa: PLR2004 - every PKIMessage is sent so
            return answer.body
        rejected = Rejected(
            reason=FailureReason.CA_UNAVAILABLE,
            correlation_id=self.correlation_id,
            detail=f"the message alone would have been answered by HTTP status {answer.status}",
            finding="not_answered",
        )
        return replace(self.reply, request=request.header).error(rejected).body


def open_nested(asked: Asked, wire: WireRequest, address: Address, limits: DERLimits) -> Bundle:
    """Take out the messages, unchanged, each to be served by itself. Raises EnrollmentError."""
    assert isinstance(asked.body, NestedMessageContent)  # noqa: S101 - the caller tells bodies apart
    if not isinstance(asked.sender, BySignature):
        raise Malformed("a nested message is signed", finding="wrong_integrity")
    header = asked.message.header
    messages = asked.body.messages
    _check_bounds(asked.body, limits)
    _check_originals(header, messages, limits)
    is_batch = not _adds_protection(header, messages)
    if is_batch:
        _check_batch(header, messages, address)
    batch = Batch(reply=asked.reply, messages=messages, correlation_id=wire.correlation_id)
    return Bundle(
        relay=RelayRequest(origin=asked.origin, signer=asked.sender.credential),
        messages=tuple(
            replace(
                wire,
                path=_path(wire.path, address),
                body=octets,
                correlation_id=f"{wire.correlation_id}.{number}",
            )
            for number, octets in enumerate(asked.body.octets, 1)
        ),
        gather=batch.gather if is_batch else _the_one,
    )


def _the_one(answers: Sequence[WireResponse]) -> WireResponse:
    """Answer to added protection as to the message under it (cmp-N1)."""
    (answer,) = answers
    return answer


def _check_bounds(content: NestedMessageContent, limits: DERLimits) -> None:
    """Look how deep it goes, and how many there are. Raises Malformed."""
    if _count(content, limits, DEPTH) > MAXIMUM_MESSAGES:
        raise Malformed(
            f"a nested message brings {MAXIMUM_MESSAGES} messages at most", finding="nested_depth"
        )


def _count(content: NestedMessageContent, limits: DERLimits, depth: int) -> int:
    count = len(content.messages)
    for each in content.messages:
        if each.body_type is BodyType.NESTED:
            if depth == 1:
                raise Malformed(
                    f"messages lie more than {DEPTH} deep in one another", finding="nested_depth"
                )
            held = decode_body(each, limits)
            assert isinstance(held, NestedMessageContent)  # noqa: S101 - by its type; for the type checker
            count += _count(held, limits, depth - 1)
    return count


def _adds_protection(header: PKIHeader, messages: Sequence[PKIMessage]) -> bool:
    """Tell whether it is its one message once more, by transactionID and senderNonce (cmp-N1)."""
    if len(messages) != 1:
        return False
    inner = messages[0].header
    same_transaction = inner.transaction_id == header.transaction_id
    same_nonce = inner.sender_nonce == header.sender_nonce
    if same_transaction is not same_nonce:
        raise Malformed(
            "protection is added under the transactionID and the senderNonce of the message",
            finding="sender_nonce" if same_transaction else "nested_transaction",
        )
    return same_transaction


def _check_batch(header: PKIHeader, messages: Sequence[PKIMessage], address: Address) -> None:
    """Demand that every message of a batch has ids of its own (cmp-N2). Raises EnrollmentError."""
    if address.operation not in {None, BodyType.NESTED}:
        raise Malformed(
            "a batch came to the address of one operation", finding="body_of_another_operation"
        )
    transactions = _given(each.header.transaction_id for each in messages)
    nonces = _given(each.header.sender_nonce for each in messages)
    if header.transaction_id in transactions:
        raise Malformed(
            "a batch has the transactionID of a message in it", finding="nested_transaction"
        )
    if len({*transactions}) != len(transactions):
        raise EnrollmentError(
            FailureReason.TRANSACTION_CONFLICT,
            "two messages of a batch have one transactionID",
            finding="transaction_twice",
        )
    if len({*nonces, header.sender_nonce}) != len(nonces) + 1:
        raise Malformed("a senderNonce is there twice", finding="sender_nonce")


def _check_originals(header: PKIHeader, messages: Sequence[PKIMessage], limits: DERLimits) -> None:
    """Demand the originals of all messages, in their order, or of none (cmp-N4)."""
    for original, message in zip(
        read_originals(header, len(messages), limits), messages, strict=False
    ):
        if original.header.transaction_id != message.header.transaction_id:
            raise Malformed(
                "the originals are not in the order of the messages", finding="original_count"
            )


def _given(values: Iterable[bytes | None]) -> list[bytes]:
    return [each for each in values if each is not None]


def _path(path: str, address: Address) -> str:
    """Give where a message within belongs: a label that means the batch is not its own."""
    return without_operation(path) if address.operation is BodyType.NESTED else path
