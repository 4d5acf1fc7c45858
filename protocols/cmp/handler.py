"""CMP at its seam: `WireRequest` to `Exchange`, `EnrollmentResult` to `WireResponse`."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from enroll.failures import (
    AuthorityUnavailable,
    EnrollmentError,
    FailureReason,
    Malformed,
    NotAuthorized,
)
from enroll.profiles import EnrollmentProfile, ProtocolName
from enroll.request import FaultyRequest, RequestOrigin
from enroll.result import Rejected
from protocols.cmp import failures
from protocols.cmp.addresses import Address, printable, read_address
from protocols.cmp.bodies import decode_body
from protocols.cmp.cert_profile import check_count, profile_named, unknown_profile
from protocols.cmp.challenges import open_response
from protocols.cmp.decode import decode
from protocols.cmp.encapsulation import KEMProtection, asks_for_ciphertext
from protocols.cmp.encode import MEDIA_TYPE, SUPPORTED_VERSIONS
from protocols.cmp.enrollments import Asked, open_enrollment
from protocols.cmp.followups import open_confirmation, open_ending, open_poll
from protocols.cmp.messages import REV_PASSPHRASE, BodyType, PKIHeader, PKIMessage
from protocols.cmp.nested import open_nested
from protocols.cmp.nonces import LEAST_OCTETS, SenderNonces
from protocols.cmp.protection import check_protection, is_kem_based, is_mac
from protocols.cmp.refusals import FaultExchange, refuse
from protocols.cmp.reply import Reply
from protocols.cmp.revocations import open_revocations
from protocols.cmp.salvage import salvage_header
from protocols.cmp.senders import ByKeptCertificate, ByMAC, Sender, by_mac, by_signature
from protocols.cmp.services import Services
from protocols.cmp.strictness import FOLLOWING, check_extra_certs, check_message
from protocols.cmp.support import open_support
from protocols.cmp.terms import Terms
from protocols.cms.key_packages import KeyPackageSigner, no_signer
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.wire import (
    Bundle,
    Exchange,
    Question,
    Revocation,
    WireRequest,
    WireResponse,
)

_EARLY_MEDIA_TYPE = "application/pkixcmp-poll"
"""What drafts of RFC 6712 had for some messages; it may be taken (RFC 9811 §4)."""

Opened = Exchange | Question | Revocation | Bundle
UNREAD = "PKIMessage"
_NAMES = {
    BodyType.CERT_CONF: "certConf",
    BodyType.POLL_REQ: "pollReq",
}
RECORDED = frozenset({UNREAD, *(_NAMES.get(each, each.name.lower()) for each in BodyType)})
"""The operations whose every message leaves an attempt, readable or not: all of them."""


@dataclass(slots=True, kw_only=True)
class CMPHandler:
    """The `ProtocolHandler` of CMP."""

    services: Services
    nonces: SenderNonces
    limits: DERLimits = DEFAULT_LIMITS
    key_package_signer: Callable[[], KeyPackageSigner] = no_signer

    def receive(self, wire: WireRequest) -> Opened | WireResponse:
        """Decode a message. Raises ProtocolViolation, EnrollmentError for one that is refused.

        One that is refused and has a MAC is an exchange too: whose MAC it is has to be asked, for
        the refusal is told under that secret (RFC 9483 §3.2).
        """
        address = self._address(wire)
        self._check_profile(wire, address)
        _check_http(wire)
        message = self._read(wire)
        reply = self._reply(wire, message.header)
        try:
            return self._open(wire, message, address, reply)
        except EnrollmentError as fault:
            sender = _mac_of(message)
            if sender is None:
                raise
            origin = self._origin_by_name(wire, message, address)
            return FaultExchange(
                request=FaultyRequest(origin=origin, credentials=(sender.credential,), fault=fault),
                reply=reply,
                sender=sender,
                kind=message.body_type,
            )

    def _open(
        self,
        wire: WireRequest,
        message: PKIMessage,
        address: Address,
        reply: Reply,
    ) -> Opened | WireResponse:
        """Open what the message asks for. Raises EnrollmentError."""
        _check_header(message)
        label, profile = self._named(message, address)
        reply = replace(reply, profile=label)
        check_message(message, profile.cmp, wire.received_at)
        _check_operation(message, address)
        _check_grantable(message)
        body = decode_body(message, self.limits)
        check_count(message.header, body)
        if profile.cmp.kem_protection and asks_for_ciphertext(message, body):
            return self._kem.answer(message, reply)
        message, reply, sender = self._proven(message, reply, profile)
        check_extra_certs(message, sender, profile.cmp)
        asked = Asked(
            message=message,
            body=body,
            sender=sender,
            reply=reply,
            origin=replace(self._origin(wire, message), profile=label),
        )
        terms = Terms(
            profile=profile,
            ca_certificates=self.services.ca_certificates(),
            limits=self.limits,
            key_package_signer=self.key_package_signer,
        )
        return self._dispatch(asked, terms, wire, address)

    def _proven(
        self, message: PKIMessage, reply: Reply, profile: EnrollmentProfile
    ) -> tuple[PKIMessage, Reply, Sender]:
        """Tell who protected the message. Raises EnrollmentError."""
        if profile.cmp.kem_protection and is_kem_based(message):
            return self._kem.verify(message, reply)
        return message, reply, _sender(message)

    def _dispatch(self, asked: Asked, terms: Terms, wire: WireRequest, address: Address) -> Opened:
        message = asked.message
        match message.body_type:
            case BodyType.IR | BodyType.CR | BodyType.KUR | BodyType.P10CR:
                return open_enrollment(asked, terms)
            case BodyType.GENM:
                return open_support(asked, self.services, address.info_type)
            case BodyType.NESTED:
                return open_nested(asked, wire, address, self.limits)
            case BodyType.RR:
                return open_revocations(asked, terms)
            case _:
                return _open_following(asked, terms, self.nonces)

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer a message that `receive` could not turn into an exchange.

        Under our signature wherever there is one: nothing was proven, so no MAC is made.
        """
        if rejected.reason is FailureReason.RATE_LIMITED:
            return failures.encode_http(rejected)
        header, kind = self._salvage(wire)
        if header is None:
            return failures.encode_http(rejected)
        try:
            reply = self._reply(wire, header)
        except AuthorityUnavailable:
            return failures.encode_http(rejected)
        return refuse(reply, rejected, kind)

    def origin(self, wire: WireRequest) -> RequestOrigin:
        """Say of any message, understood or not, where it came from and what it was for."""
        try:
            message = decode(wire.body, self.limits)
        except EnrollmentError:
            message = None
        return self._origin(wire, message)

    def _origin(self, wire: WireRequest, message: PKIMessage | None) -> RequestOrigin:
        label = read_address(wire.path).profile
        kind = message.body_type if message is not None else None
        name = _NAMES.get(kind, kind.name.lower()) if kind is not None else UNREAD
        return RequestOrigin(
            correlation_id=wire.correlation_id,
            protocol=ProtocolName.CMP,
            operation=name,
            profile=printable(label) if label is not None else None,
            peer_address=wire.peer_address,
            received_at=wire.received_at,
            relayed_by=wire.relayed_by,
        )

    def _origin_by_name(
        self, wire: WireRequest, message: PKIMessage, address: Address
    ) -> RequestOrigin:
        """Say where a message came from, and for which profile, if it names one that is there."""
        origin = self._origin(wire, message)
        try:
            label, _ = self._named(message, address)
        except EnrollmentError:
            return origin
        return replace(origin, profile=label)

    @property
    def _kem(self) -> KEMProtection:
        return KEMProtection(key=hmac.digest(self.nonces.key, b"KEM secret", "sha256"))

    def _address(self, wire: WireRequest) -> Address:
        address = read_address(wire.path)
        if not address.is_known:
            raise failures.unknown_path(wire.correlation_id, f"nothing is at {wire.path[:80]!r}")
        return address

    def _named(self, message: PKIMessage, address: Address) -> tuple[str | None, EnrollmentProfile]:
        """Find the profile that message and address name. Raises PolicyViolation.

        What follows a message that named one need not name it again (RFC 9483 §3.1).
        """
        label = profile_named(message.header, address.profile)
        if label is None and message.body_type in FOLLOWING:
            label = self.nonces.profile(message.header, self.services.labels())
        profile = self.services.profile(label)
        if profile is None:
            raise unknown_profile()
        return label, profile

    def _check_profile(self, wire: WireRequest, address: Address) -> None:
        """Demand that the address leads somewhere. Raises ProtocolViolation."""
        if self.services.profile(address.profile) is None:
            name = printable(address.profile or "")
            raise failures.unknown_profile(wire.correlation_id, name)

    def _read(self, wire: WireRequest) -> PKIMessage:
        """Read the message; where not even a header is, HTTP says so.

        Raises ProtocolViolation, EnrollmentError.
        """
        try:
            return decode(wire.body, self.limits)
        except EnrollmentError as error:
            if salvage_header(wire.body, self.limits) is not None:
                raise
            raise failures.unreadable(wire.correlation_id, error.finding, error.detail) from error

    def _salvage(self, wire: WireRequest) -> tuple[PKIHeader | None, BodyType | None]:
        """Give the header to answer to, and the type of the body, if there is so much to read."""
        try:
            message = decode(wire.body, self.limits)
        except EnrollmentError:
            return salvage_header(wire.body, self.limits), None
        return message.header, message.body_type

    def _reply(self, wire: WireRequest, header: PKIHeader) -> Reply:
        signer = self.services.signer()
        if signer is None:
            raise AuthorityUnavailable(
                "there is no certificate to sign messages with yet", finding="signer_missing"
            )
        return Reply(request=header, signer=signer, nonces=self.nonces, now=wire.received_at)


def _open_following(asked: Asked, terms: Terms, nonces: SenderNonces) -> Exchange:
    """Open a message that follows an answer of ours. Raises EnrollmentError."""
    match asked.message.body_type:
        case BodyType.POLL_REQ:
            return open_poll(asked, terms, nonces)
        case BodyType.POPDECR:
            return open_response(asked, terms, nonces)
        case BodyType.CERT_CONF:
            return open_confirmation(asked, nonces)
        case BodyType.ERROR:
            return open_ending(asked, nonces)
        case other:
            raise Malformed(
                f"a message of type {other.name.lower()} is not served here",
                finding="body_unsupported",
            )


def _check_http(wire: WireRequest) -> None:
    """Check what RFC 9811 §3 asks of HTTP. Raises ProtocolViolation."""
    if wire.method != "POST":
        raise failures.method_not_allowed(wire.correlation_id)
    if wire.fault is not None:
        raise failures.transport_fault(wire.correlation_id, wire.fault)
    given = wire.headers.get("Content-Type", "")
    if given.partition(";")[0].strip().lower() not in {MEDIA_TYPE, _EARLY_MEDIA_TYPE}:
        raise failures.unsupported_media_type(wire.correlation_id, given, MEDIA_TYPE)


def _check_header(message: PKIMessage) -> None:
    """Check the header in the order of RFC 9483 §3.5. Raises Malformed."""
    header = message.header
    if header.pvno not in SUPPORTED_VERSIONS:
        raise Malformed(f"the pvno is {header.pvno}", finding="version_unsupported")
    if not header.transaction_id:
        raise Malformed("there is no transactionID", finding="transaction_id_missing")
    if header.sender_nonce is None or len(header.sender_nonce) < LEAST_OCTETS:
        raise Malformed("the senderNonce is missing or short", finding="sender_nonce")
    if REV_PASSPHRASE in header.general_info:  # RFC 9810 §B: an error, where it is not confirmed.
        raise Malformed("no passphrases are kept here", finding="passphrase_unsupported")


def _check_operation(message: PKIMessage, address: Address) -> None:
    """Demand the message that the address names (cmp-T5). Raises Malformed."""
    wanted, kind = address.operation, message.body_type
    if wanted is not None and kind is not wanted and kind not in {*FOLLOWING, BodyType.NESTED}:
        raise Malformed(
            f"{kind.name.lower()} came to the address of {wanted.name.lower()}",
            finding="body_of_another_operation",
        )


def _mac_of(message: PKIMessage) -> ByMAC | None:
    """Give who made the MAC of a message, if it has one that can be verified here."""
    if not is_mac(message) or message.protection is None:
        return None
    try:
        return by_mac(message)
    except EnrollmentError:
        return None


def _check_grantable(message: PKIMessage) -> None:
    """Refuse a ccr to whoever it is that protected it: nobody is cross-certified here."""
    if message.body_type is BodyType.CCR:
        _sender(message)
        raise NotAuthorized("no cross-certificates are issued", finding="cross_certification")


def _sender(message: PKIMessage) -> Sender:
    """Tell who protected the message. Raises EnrollmentError."""
    check_protection(message)
    if is_mac(message):
        return by_mac(message)
    if not message.extra_certs and message.body_type in FOLLOWING:  # RFC 9483 §3.3
        return ByKeptCertificate(message=message)
    return by_signature(message)
