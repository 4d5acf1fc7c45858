"""Any octets within a message that is signed well are taken or refused: by all of CMP's handler."""

from contextlib import suppress
from functools import cache

from enroll.failures import EnrollmentError, FailureReason
from enroll.request import RevocationWish
from enroll.result import Rejected
from protocols.cmp.handler import CMPHandler
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import Signer
from protocols.wire import Bundle, ProtocolViolation, Revocation
from tests.support.cmp import a_handler, a_signer, a_wire, by_signature, integer
from tests.support.crmf import sign
from tests.support.csr import a_key, a_name, sequence, spki_of, tlv

_OLD_CERT_ID = bytes.fromhex("06092b0601050507050105")


def fuzz_cmp_exchange(data: bytes) -> None:
    """Take the octets as a body, a control, a certificate, a whole message, and one within."""
    who = signer()
    for body_type in (BodyType.KUR, BodyType.CERT_CONF, BodyType.P10CR):
        exchange(by_signature(body_type, data, signer=who))
    exchange(by_signature(BodyType.KUR, sequence(_an_update(data)), signer=who))
    request = sequence(_an_update(b"\x05\x00"))
    exchange(by_signature(BodyType.CR, request, signer=who, extra_certs=[data]))
    exchange(data)
    exchange(by_signature(BodyType.NESTED, data, signer=who))
    exchange(by_signature(BodyType.NESTED, sequence(data), signer=who))
    exchange(by_signature(BodyType.CR, request, signer=who, originals=data))
    exchange(by_signature(BodyType.CR, request, signer=who, originals=sequence(data)))


def exchange(message: bytes) -> None:
    """Let the handler open a message, or say why it is refused."""
    wire = a_wire(message)
    try:
        with suppress(ProtocolViolation):
            opened = _handler().receive(wire)
            if isinstance(opened, Bundle):
                _unbundle(opened)
            if isinstance(opened, Revocation):
                _compare(opened)
    except EnrollmentError as error:
        rejected = Rejected(
            reason=error.reason,
            correlation_id=wire.correlation_id,
            detail=error.detail,
            finding=error.finding,
        )
        _handler().origin(wire)
        _handler().refuse(wire, rejected)


def _compare(revocation: Revocation) -> None:
    """Let each template be held against a certificate."""
    for wish in revocation.request.wishes:
        if isinstance(wish, RevocationWish):
            wish.agrees(signer().certificate)


def _unbundle(bundle: Bundle) -> None:
    """Let each message be refused, and the answers be gathered."""
    bundle.gather(
        [
            _handler().refuse(
                each,
                Rejected(
                    reason=FailureReason.NOT_AUTHORIZED,
                    correlation_id=each.correlation_id,
                    detail="",
                    finding="not_authorized",
                ),
            )
            for each in bundle.messages
        ]
    )


def _an_update(old_cert_id: bytes) -> bytes:
    """Make a CertReqMsg whose oldCertID is these octets, with a good signature over it."""
    subject = tlv(0xA5, a_name().public_bytes())
    key = bytes([0xA6]) + spki_of(a_key())[1:]
    controls = sequence(sequence(_OLD_CERT_ID, old_cert_id))
    request = sequence(integer(0), sequence(subject, key), controls)
    algorithm, signature = sign(request, a_key())
    return sequence(request, tlv(0xA1, algorithm, tlv(0x03, b"\0", signature)))


@cache
def _handler() -> CMPHandler:
    return a_handler()


@cache
def signer() -> Signer:
    return a_signer()
