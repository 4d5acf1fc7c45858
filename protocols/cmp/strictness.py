"""What RFC 9483 demands of a message to the letter, where RFC 9810 leaves more open."""

from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.options import CMPOptions
from protocols import der
from protocols.cmp.decode import GENERALIZED_TIME
from protocols.cmp.messages import (
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    IMPLICIT_CONFIRM,
    BodyType,
    PKIHeader,
    PKIMessage,
)
from protocols.cmp.protection import is_kem_based, is_mac
from protocols.cmp.senders import BySignature, Sender
from protocols.crmf.messages import CertReqMsg, PrivateKeyProof, SignatureProof
from protocols.names import read_name

WINDOW = timedelta(minutes=5)
"""How far messageTime may lie from our clock where a profile is strict and says nothing else."""

FOLLOWING = frozenset({BodyType.POPDECR, BodyType.CERT_CONF, BodyType.POLL_REQ, BodyType.ERROR})
"""The messages that are never the first of a transaction."""

_BY_MAC = frozenset({BodyType.IR, BodyType.CR, BodyType.P10CR, *FOLLOWING})
_NULL = b"\x05\x00"


def check_message(message: PKIMessage, options: CMPOptions, now: datetime) -> None:
    """Check a header by the profile's options, in the order of RFC 9483 §3.5.

    Raises EnrollmentError. Only the window of messageTime is judged where nothing is strict.
    """
    if options.strict:
        if not (options.kem_protection and is_kem_based(message)):  # Which RFC 9483 does not know.
            _check_recipient_nonce(message)
            _check_integrity(message)
            _check_sender(message)
        _check_general_info(message.header)
    _check_time(message.header, options, now)


def check_extra_certs(message: PKIMessage, sender: Sender, options: CMPOptions) -> None:
    """Demand the order of RFC 9483 §3.3: who signs, then each who certified the one before.

    By their names: paths are verified where trust is judged. Raises BAD_MESSAGE_CHECK.
    """
    if not options.strict or not isinstance(sender, BySignature):
        return
    if message.extra_certs[0] != sender.chain[0].public_bytes(Encoding.DER):
        raise _unchecked(
            "the first certificate in extraCerts is not that of who signs", "extra_certs_order"
        )
    for subject, issuer in zip(sender.chain, sender.chain[1:], strict=False):
        if subject.issuer != issuer.subject:
            raise _unchecked(
                "a certificate in extraCerts is not of the issuer of the one before",
                "extra_certs_order",
            )


def check_request(request: CertReqMsg, options: CMPOptions) -> None:
    """Demand that it is signed, and the request itself is (RFC 9483 §4.1.1).

    The profile has no other proof of an end entity's. Raises BAD_PROOF_OF_POSSESSION.
    """
    proof = request.proof
    if options.strict and isinstance(proof, PrivateKeyProof):
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "RFC 9483 knows no proof of possession but a signature",
            finding="pop_method",
            field="popo",
        )
    if options.strict and isinstance(proof, SignatureProof) and proof.key_input is not None:
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "there must be no poposkInput",
            finding="pop_input",
            field="popo",
        )


def _check_recipient_nonce(message: PKIMessage) -> None:
    """Refuse one in a first message; of a nested one it is passed over (RFC 9483 §5.2.2.1)."""
    may_have_one = message.body_type in {*FOLLOWING, BodyType.NESTED}
    if message.header.recip_nonce is not None and not may_have_one:
        raise Malformed(
            "the first message of a transaction has a recipNonce", finding="recipient_nonce_unasked"
        )


def _check_integrity(message: PKIMessage) -> None:
    if is_mac(message) and message.body_type not in _BY_MAC:
        raise Malformed(
            f"a message of type {message.body_type.name.lower()} is signed",
            finding="wrong_integrity",
        )


def _check_sender(message: PKIMessage) -> None:
    """Demand senderKID, and under a MAC that it is the sender's CN too (RFC 9483 §3.1)."""
    header = message.header
    if header.sender_kid is None:
        raise _unchecked("there is no senderKID", "sender_kid_missing")
    if is_mac(message) and header.sender_kid not in _common_names(header):
        raise _unchecked("the sender's CN is not the senderKID", "sender_not_reference")


def _common_names(header: PKIHeader) -> list[bytes]:
    try:
        name = read_name(header.sender_name) if header.sender_name is not None else None
    except ValueError:
        return []
    names = name.get_attributes_for_oid(NameOID.COMMON_NAME) if name is not None else []
    return [each.value.encode() for each in names if isinstance(each.value, str)]


def _check_general_info(header: PKIHeader) -> None:
    infos = header.general_info
    if IMPLICIT_CONFIRM in infos and infos[IMPLICIT_CONFIRM] != _NULL:
        raise Malformed("the value of implicitConfirm is not NULL", finding="implicit_confirm")
    if CONFIRM_WAIT_TIME in infos:
        (time,) = der.split(infos[CONFIRM_WAIT_TIME] or _NULL)
        if time.tag != GENERALIZED_TIME:
            raise Malformed("confirmWaitTime is no GeneralizedTime")
        if IMPLICIT_CONFIRM in infos:
            raise Malformed(
                "implicitConfirm and confirmWaitTime are there together",
                finding="implicit_confirm",
            )
    if CERT_PROFILE in infos and len(header.cert_profile) != 1:
        raise Malformed("certProfile names more than one profile", finding="profile_count")


def _check_time(header: PKIHeader, options: CMPOptions, now: datetime) -> None:
    window = options.message_time_window
    if options.strict:
        window = window if window is not None else WINDOW
        if header.message_time is None:
            raise EnrollmentError(
                FailureReason.BAD_TIME, "there is no messageTime", finding="message_time_missing"
            )
    if window is None or header.message_time is None:
        return
    if abs(now - header.message_time) > window:
        raise EnrollmentError(
            FailureReason.BAD_TIME,
            f"the messageTime is {header.message_time.isoformat()}",
            finding="message_time",
        )


def _unchecked(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding=finding)
