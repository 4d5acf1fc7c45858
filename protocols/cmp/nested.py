"""Messages within messages: protection that was added, and batches (RFC 9483 §5.2.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import RelayRequest
from enroll.result import Rejected
from protocols.cmp.addresses import Address, without_operation
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.encode import encode_nested
from protocols.cmp.enrollments import Asked
from protocols.cmp.messages import BodyType, NestedMessageContent, PKIHeader, PKIMessage
from protocols.cmp.originals import read_originals
from protocols.cmp.protection import is_mac
from protocols.cmp.reply import Reply
from protocols.cmp.salvage import salvage_header
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
class _Held:
    """A message within another; one that cannot be read has a header to answer to, and no more."""

    octets: bytes
    header: PKIHeader
    message: PKIMessage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How the answers to a batch go back: in one nested message, in the order of the requests."""

    reply: Reply
    requests: tuple[PKIHeader, ...]
    correlation_id: str

    def gather(self, answers: Sequence[WireResponse]) -> WireResponse:
        given = zip(self.requests, answers, strict=True)
        return self.reply.send(encode_nested([self._message(*each) for each in given]))

    def _message(self, request: PKIHeader, answer: WireResponse) -> bytes:
        """Give the answer; what HTTP alone would say is said by an error (RFC 9483 §5.2.2.2)."""
        if answer.status == 200:  # noqa: PLR2004 - every PKIMessage is sent so
            return answer.body
        rejected = Rejected(
            reason=FailureReason.CA_UNAVAILABLE,
            correlation_id=self.correlation_id,
            detail=f"the message alone would have been answered by HTTP status {answer.status}",
            finding="not_answered",
        )
        return replace(self.reply, request=request).error(rejected).body


def open_nested(asked: Asked, wire: WireRequest, address: Address, limits: DERLimits) -> Bundle:
    """Take out the messages, unchanged, each to be served by itself. Raises EnrollmentError."""
    assert isinstance(asked.body, NestedMessageContent)  # noqa: S101 - the caller tells bodies apart
    if not isinstance(asked.sender, BySignature) or is_mac(asked.message):
        raise Malformed("a nested message is signed", finding="wrong_integrity")
    header = asked.message.header
    held = _read(asked.body, limits)
    _check_bounds(held, limits)
    requests = tuple(each.header for each in held)
    _check_originals(header, requests, limits)
    is_batch = not _adds_protection(header, requests)
    if is_batch:
        _check_batch(header, requests, address)
    batch = Batch(reply=asked.reply, requests=requests, correlation_id=wire.correlation_id)
    path = without_operation(wire.path) if address.operation is BodyType.NESTED else wire.path
    return Bundle(
        relay=RelayRequest(origin=asked.origin, signer=asked.sender.credential),
        messages=tuple(
            replace(
                wire,
                path=path,
                body=each.octets,
                correlation_id=f"{wire.correlation_id}.{number}",
            )
            for number, each in enumerate(held, 1)
        ),
        gather=batch.gather if is_batch else _the_one,
    )


def _the_one(answers: Sequence[WireResponse]) -> WireResponse:
    """Answer to added protection as to the message under it (cmp-N1)."""
    (answer,) = answers
    return answer


def _read(content: NestedMessageContent, limits: DERLimits) -> tuple[_Held, ...]:
    return tuple(_held(each, limits) for each in content.messages)


def _held(octets: bytes, limits: DERLimits) -> _Held:
    """Read a message; a fault in it is not one of what holds it. Raises Malformed."""
    try:
        message = decode(octets, limits)
    except EnrollmentError:
        header = salvage_header(octets, limits)
        if header is None:
            raise
        return _Held(octets=octets, header=header)
    return _Held(octets=octets, header=message.header, message=message)


def _check_bounds(held: Sequence[_Held], limits: DERLimits) -> None:
    """Look how deep it goes, and how many there are. Raises Malformed."""
    if _count(held, limits, DEPTH) > MAXIMUM_MESSAGES:
        raise Malformed(
            f"a nested message brings {MAXIMUM_MESSAGES} messages at most", finding="nested_depth"
        )


def _count(held: Sequence[_Held], limits: DERLimits, depth: int) -> int:
    count = len(held)
    for each in held:
        if each.message is None or each.message.body_type is not BodyType.NESTED:
            continue
        if depth == 1:
            raise Malformed(
                f"messages lie more than {DEPTH} deep in one another", finding="nested_depth"
            )
        count += _count(_within(each.message, limits), limits, depth - 1)
    return count


def _within(message: PKIMessage, limits: DERLimits) -> tuple[_Held, ...]:
    """Give what a nested message holds; none where it will be refused when its turn comes."""
    try:
        content = decode_body(message, limits)
        assert isinstance(content, NestedMessageContent)  # noqa: S101 - by its type; for the type checker
        return _read(content, limits)
    except EnrollmentError:
        return ()


def _adds_protection(header: PKIHeader, requests: Sequence[PKIHeader]) -> bool:
    """Tell whether it is its one message once more, by transactionID and senderNonce (cmp-N1)."""
    if len(requests) != 1:
        return False
    (inner,) = requests
    same_transaction = inner.transaction_id == header.transaction_id
    same_nonce = inner.sender_nonce == header.sender_nonce
    if same_transaction is not same_nonce:
        raise Malformed(
            "protection is added under the transactionID and the senderNonce of the message",
            finding="sender_nonce" if same_transaction else "nested_transaction",
        )
    return same_transaction


def _check_batch(header: PKIHeader, requests: Sequence[PKIHeader], address: Address) -> None:
    """Demand that every message of a batch has ids of its own (cmp-N2). Raises EnrollmentError."""
    if address.operation not in {None, BodyType.NESTED}:
        raise Malformed(
            "a batch came to the address of one operation", finding="body_of_another_operation"
        )
    transactions = _given(each.transaction_id for each in requests)
    nonces = _given(each.sender_nonce for each in requests)
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


def _check_originals(header: PKIHeader, requests: Sequence[PKIHeader], limits: DERLimits) -> None:
    """Demand the originals of all messages, in their order, or of none (cmp-N4)."""
    originals = read_originals(header, len(requests), limits)
    for original, request in zip(originals, requests, strict=False):
        if original.header.transaction_id != request.transaction_id:
            raise Malformed(
                "the originals are not in the order of the messages", finding="original_count"
            )


def _given(values: Iterable[bytes | None]) -> list[bytes]:
    return [each for each in values if each is not None]
