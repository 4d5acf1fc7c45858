"""certConf, pollReq and error: messages that follow an answer of ours, and say to which one."""

import hashlib
import hmac
from functools import partial

from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import Acknowledgement, Confirmation, PollRequest
from protocols.cmp.enrollments import ANSWERS, P10CR_NUMBER, Asked
from protocols.cmp.exchanges import CertificateExchange, ConfirmationExchange, EndingExchange
from protocols.cmp.key_delivery import delivery_for
from protocols.cmp.messages import (
    CertConfirmContent,
    CertStatus,
    PKIStatus,
    PollReqContent,
)
from protocols.cmp.nonces import Possession, SenderNonces, Turn
from protocols.cmp.senders import ByMAC
from protocols.cmp.terms import Terms
from protocols.cms import digests

# What leads to no certConf, pollReq or popdecr is missing: p10cr can only sign its request.
_TURNS = tuple(
    Turn(
        answer=answer,
        cert_req_id=number,
        by_mac=by_mac,
        by_pbmac1=by_pbmac1,
        waiting=waiting,
        possession=possession,
        modified=modified,
        known=known,
    )
    for possession in Possession
    for number in ((0, P10CR_NUMBER) if possession is Possession.SIGNED else (0,))
    for answer in dict.fromkeys(ANSWERS.values())
    for by_mac, by_pbmac1 in ((True, False), (True, True), (False, False))
    for waiting in ((False,) if possession is Possession.CHALLENGED else (False, True))
    for modified in ((False, True) if possession is Possession.CHALLENGED else (False,))
    for known in ((False,) if waiting or possession is Possession.CHALLENGED else (False, True))
)
_HASH_ALG_VERSION = 3
_SHAKE256_OCTETS = 64


def open_poll(asked: Asked, terms: Terms, nonces: SenderNonces) -> CertificateExchange:
    """Ask what became of an order, in the words of the answer that told to wait."""
    assert isinstance(asked.body, PollReqContent)  # noqa: S101 - the caller tells bodies apart
    turn = turn_of(asked, nonces, waiting=True)
    if len(asked.body.cert_req_ids) != 1:
        raise Malformed("a pollReq asks for one certificate here", finding="request_count")
    (number,) = asked.body.cert_req_ids
    if number not in {turn.cert_req_id, P10CR_NUMBER}:
        raise Malformed("the certReqId is not that of the request", finding="request_number")
    delivery = delivery_for(asked.sender, terms)
    return CertificateExchange(
        request=PollRequest(
            origin=asked.origin,
            reference=reference_of(asked),
            credentials=(asked.sender.credential,),
            acknowledgement=Acknowledgement.DUE,
            key_recipient=delivery.wanted,
            for_holder=turn.possession is not Possession.SIGNED,
            is_for=partial(nonces.is_about, asked.message.header),
        ),
        reply=asked.reply,
        sender=asked.sender,
        turn=turn,
        ca_pubs=terms.ca_certificates,
        delivery=delivery,
        polls=True,
    )


def open_confirmation(asked: Asked, nonces: SenderNonces) -> ConfirmationExchange:
    """Take word of a certificate that was given; none at all rejects it (RFC 9810 §5.3.18)."""
    assert isinstance(asked.body, CertConfirmContent)  # noqa: S101 - the caller tells bodies apart
    turn = turn_of(asked, nonces)
    if len(asked.body.statuses) > 1:
        raise Malformed("a certConf speaks of one certificate here", finding="request_count")
    status = asked.body.statuses[0] if asked.body.statuses else None
    if status is not None:
        _check_status(status, turn, asked.message.header.pvno)
    return ConfirmationExchange(
        request=Confirmation(
            origin=asked.origin,
            reference=reference_of(asked),
            accepted=status is not None and _accepts(status),
            is_about=lambda certificate: status is None or is_hash_of(status, certificate),
            credentials=(asked.sender.credential,),
        ),
        reply=asked.reply,
        sender=asked.sender,
        known=turn.known,
    )


def open_ending(asked: Asked, nonces: SenderNonces) -> EndingExchange:
    """Take a client's error for a rejection of what it was given (RFC 9810 §5.3.21)."""
    turn_of(asked, nonces, waiting=None)
    return EndingExchange(
        request=rejection_in(asked),
        reply=asked.reply,
        sender=asked.sender,
    )


def rejection_in(asked: Asked) -> Confirmation:
    """Take a message for its sender's word that what the transaction gave is rejected."""
    return Confirmation(
        origin=asked.origin,
        reference=reference_of(asked),
        accepted=False,
        is_about=lambda _: True,
        credentials=(asked.sender.credential,),
    )


def is_hash_of(status: CertStatus, certificate: bytes) -> bool:
    """Tell whether certHash is the certificate's, by hashAlg or its signature's own hash.

    RFC 9481 §3.3 has SHA-512 for Ed25519, and SHAKE256 with 512 bits for Ed448.
    """
    if status.hash_alg is not None:
        digest = digests.find(status.hash_alg)
        name = digest.value if digest in digests.STRONG and digest is not None else None
    else:
        name = _own_hash(x509.load_der_x509_certificate(certificate))
    if name is None:
        return False
    if name == "shake256":
        found = hashlib.shake_256(certificate).digest(_SHAKE256_OCTETS)
    else:
        found = hashlib.new(name, certificate).digest()
    return hmac.compare_digest(found, status.cert_hash)


def _own_hash(certificate: x509.Certificate) -> str | None:
    """Name the hash of a certificate's signature as hashlib does; ML-DSA's has none."""
    oid = certificate.signature_algorithm_oid
    if oid == SignatureAlgorithmOID.ED25519:
        return "sha512"
    if oid == SignatureAlgorithmOID.ED448:
        return "shake256"
    found = certificate.signature_hash_algorithm
    return found.name if found is not None else None


def turn_of(
    asked: Asked,
    nonces: SenderNonces,
    *,
    waiting: bool | None = False,
    challenged: bool = False,
) -> Turn:
    """Find the answer that this message follows, whatever it was where `waiting` is None.

    Raises Malformed.
    """
    header = asked.message.header
    turn = nonces.turn(header, _TURNS)
    if turn is None:
        raise Malformed(
            "the recipNonce is not that of an answer in this transaction",
            finding="recipient_nonce",
        )
    if nonces.is_used(header):
        raise Malformed(
            "the senderNonce was used before in this transaction", finding="sender_nonce"
        )
    is_challenged = turn.possession is Possession.CHALLENGED
    if waiting is not None and (turn.waiting, is_challenged) != (waiting, challenged):
        raise Malformed("there is nothing of this kind to ask or say", finding="transaction_state")
    if turn.by_mac is not isinstance(asked.sender, ByMAC):
        raise Malformed(
            "the transaction began with another kind of protection", finding="wrong_integrity"
        )
    if isinstance(asked.sender, ByMAC) and turn.by_pbmac1 is not asked.sender.by_pbmac1:
        raise EnrollmentError(
            FailureReason.BAD_MESSAGE_CHECK,
            "the transaction began with another MAC",
            finding="mac_changed",
        )
    return turn


def _check_status(status: CertStatus, turn: Turn, pvno: int) -> None:
    if status.cert_req_id != turn.cert_req_id:
        raise Malformed("the certReqId is not that of the answer", finding="request_number")
    if status.hash_alg is not None and pvno < _HASH_ALG_VERSION:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_UNKNOWN,
            "hashAlg belongs into messages of pvno 3",
            finding="certificate_hash",
        )
    info = status.status_info
    if info is None:
        return
    if info.status not in {PKIStatus.ACCEPTED, PKIStatus.REJECTION} or (
        info.fail_info and info.status is PKIStatus.ACCEPTED
    ):
        raise Malformed(
            "a certConf accepts or rejects, and has failInfo with a rejection only",
            finding="transaction_state",
        )


def _accepts(status: CertStatus) -> bool:
    return status.status_info is None or status.status_info.status is PKIStatus.ACCEPTED


def reference_of(asked: Asked) -> str:
    return (asked.message.header.transaction_id or b"").hex()
