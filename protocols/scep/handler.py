"""SCEP at its seam: `WireRequest` to `Exchange`, `EnrollmentResult` to `WireResponse`."""

import os
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes

from enroll.failures import AuthorityUnavailable, EnrollmentError, Malformed
from enroll.options import SCEPOptions
from enroll.profiles import ProtocolName
from enroll.request import RequestOrigin
from enroll.result import Rejected
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.scep import addresses, capabilities, encode, failures, queries
from protocols.scep.attributes import read_message_type
from protocols.scep.encode import Reply
from protocols.scep.enrollments import open_enrollment
from protocols.scep.envelopes import addressee
from protocols.scep.lookups import answer_crl, open_poll, open_query
from protocols.scep.message import Outer, PKIMessage, check_message, read_outer
from protocols.scep.messages import (
    MessageType,
    Nonces,
    RegistrationAuthority,
    SCEPOperation,
    Services,
)
from protocols.scep.terms import Terms
from protocols.wire import Exchange, ProtocolViolation, WireRequest, WireResponse

RECORDED = frozenset({SCEPOperation.PKI_OPERATION.value, *(each.rfc_name for each in MessageType)})
"""The operations whose every message leaves an attempt, readable or not."""

_METHODS = frozenset({"GET", "POST"})


@dataclass(slots=True)
class SCEPHandler:
    """The `ProtocolHandler` of SCEP."""

    services: Services
    nonces: Nonces = os.urandom
    limits: DERLimits = DEFAULT_LIMITS
    _ca_certificates: dict[tuple[bytes, ...], WireResponse] = field(
        default_factory=dict, init=False, repr=False
    )

    def receive(self, wire: WireRequest) -> Exchange | WireResponse:
        """Decode a message, or answer at once what needs no decision.

        Raises ProtocolViolation, and EnrollmentError for a message that is refused.
        """
        options = self._options(wire)
        match self._operation(wire):
            case SCEPOperation.GET_CA_CAPS:
                words = capabilities.keywords(options, next_ca=self.services.next_ca() is not None)
                return encode.encode_capabilities(capabilities.encode(words))
            case SCEPOperation.GET_CA_CERT:
                return self._answer_ca_certificates(options)
            case SCEPOperation.GET_NEXT_CA_CERT:
                return self._answer_next_ca(wire)
            case SCEPOperation.PKI_OPERATION:
                return self._receive_message(wire, options)

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer a message that `receive` could not turn into an exchange.

        In a CertRep wherever one can be made; all that it must repeat is read once more.
        """
        if failures.is_for_later(rejected):
            return failures.encode_http(rejected)
        try:
            options = self._options(wire)
            outer = read_outer(_message_octets(wire), self.limits)
            envelope = outer.signed_data.content
            authority = addressee(envelope, self._authorities(), self.limits)
            reply = self._reply(outer, authority, options)
        except (ProtocolViolation, EnrollmentError):
            return failures.encode_http(rejected)
        return reply.failure(*failures.word(rejected))

    def origin(self, wire: WireRequest) -> RequestOrigin:
        """Say of any message, understood or not, where it came from and what it was for."""
        try:
            outer = read_outer(_message_octets(wire), self.limits)
            kind = read_message_type(outer.signed_data.signer.attributes).rfc_name
        except EnrollmentError:
            kind = _named_operation(wire)
        return _origin_of(wire, kind)

    def _options(self, wire: WireRequest) -> SCEPOptions:
        """Find what is said of the profile that is asked. Raises ProtocolViolation."""
        label = addresses.read_label(wire.path)
        options = self.services.options(label)
        if options is None:
            name = addresses.printable(label or "")
            raise failures.unknown_profile(wire.correlation_id, name)
        return options

    def _operation(self, wire: WireRequest) -> SCEPOperation:
        """Find what is asked for. A POST is a PKIOperation even if it says nothing (scep-11)."""
        if wire.method not in _METHODS:
            raise failures.method_not_allowed(wire.correlation_id)
        if wire.fault is not None:
            raise failures.transport_fault(wire.correlation_id, wire.fault)
        try:
            named = queries.read_query(wire.query).get(queries.OPERATION)
        except Malformed as error:
            raise failures.unreadable(wire.correlation_id, error.finding, error.detail) from error
        if named is None and wire.method == "POST":
            return SCEPOperation.PKI_OPERATION
        try:
            operation = SCEPOperation(named or "")
        except ValueError:
            shown = addresses.printable(named or "")
            raise failures.unknown_operation(wire.correlation_id, shown) from None
        if wire.method == "POST" and operation is not SCEPOperation.PKI_OPERATION:
            raise failures.unknown_operation(wire.correlation_id, f"{operation.value} by POST")
        return operation

    def _answer_ca_certificates(self, options: SCEPOptions) -> WireResponse:
        """Give the RA certificate and all above it; to a legacy client that alone.

        micromdm's client encrypts to every certificate that it is given, and fails on an EC key.
        """
        ra = self._authorities()[0].der
        found = (ra,) if options.legacy else (ra, *self.services.ca_certificates())
        answer = self._ca_certificates.get(found)
        if answer is None:
            self._ca_certificates.clear()
            answer = self._ca_certificates[found] = encode.encode_ca_certificates(found)
        return answer

    def _answer_next_ca(self, wire: WireRequest) -> WireResponse:
        message = self.services.next_ca()
        if message is None:
            raise failures.nothing_next(wire.correlation_id)
        return encode.encode_next_ca(message)

    def _receive_message(self, wire: WireRequest, options: SCEPOptions) -> Exchange | WireResponse:
        authorities = self._authorities()
        try:
            outer = read_outer(_message_octets(wire), self.limits)
        except Malformed as error:
            raise failures.unreadable(wire.correlation_id, error.finding, error.detail) from error
        message = check_message(outer, options)
        terms = Terms(
            options=options,
            authorities=authorities,
            reply=self._reply(outer, authorities[0], options),
            limits=self.limits,
        )
        match message.kind:
            case MessageType.PKCS_REQ | MessageType.RENEWAL_REQ:
                return open_enrollment(message, terms, _origin(wire, message))
            case MessageType.CERT_POLL:
                return open_poll(message, terms, _origin(wire, message))
            case MessageType.GET_CERT:
                return open_query(message, terms, _origin(wire, message))
            case MessageType.GET_CRL:
                return answer_crl(message, terms, self.services)
            case MessageType.CERT_REP:
                raise Malformed("a CertRep is no request", finding="message_type_unknown")

    def _reply(self, outer: Outer, authority: RegistrationAuthority, options: SCEPOptions) -> Reply:
        return Reply(
            transaction=outer.transaction,
            authority=authority,
            digest=outer.reply_digest(options),
            nonces=self.nonces,
        )

    def _authorities(self) -> tuple[RegistrationAuthority, ...]:
        found = self.services.registration_authorities()
        if not found:
            raise AuthorityUnavailable("there is no RA certificate yet", finding="ra_missing")
        return found


def _message_octets(wire: WireRequest) -> bytes:
    """Give the message: the body, or what the query carries. Raises Malformed."""
    if wire.method == "GET":
        return queries.decode_message(queries.read_query(wire.query).get(queries.MESSAGE, ""))
    if not wire.body:
        raise Malformed("the body is empty", finding="body_empty")
    return wire.body


def _named_operation(wire: WireRequest) -> str:
    """Name what a request was for that holds no readable message."""
    try:
        named = queries.read_query(wire.query).get(queries.OPERATION)
    except Malformed:
        named = None
    return addresses.printable(named or SCEPOperation.PKI_OPERATION.value)


def _origin(wire: WireRequest, message: PKIMessage) -> RequestOrigin:
    shown = None if message.is_self_signed else message.signer.fingerprint(hashes.SHA256()).hex()
    return replace(_origin_of(wire, message.kind.rfc_name), client_certificate_sha256=shown)


def _origin_of(wire: WireRequest, operation: str) -> RequestOrigin:
    label = addresses.read_label(wire.path)
    return RequestOrigin(
        correlation_id=wire.correlation_id,
        protocol=ProtocolName.SCEP,
        operation=operation,
        profile=addresses.printable(label) if label is not None else None,
        peer_address=wire.peer_address,
        received_at=wire.received_at,
    )
