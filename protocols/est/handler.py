"""EST at its seam: `WireRequest` to `Exchange`, `EnrollmentResult` to `WireResponse`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from enroll.credentials import Credential
from enroll.failures import EnrollmentError
from enroll.profiles import ProtocolName
from enroll.request import EnrollmentRequest, Operation, RequestOrigin
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from protocols import pkcs10
from protocols.est import decode, encode, failures
from protocols.est.messages import (
    CLIENT_CERTIFICATE,
    HTTP_BASIC,
    AnswerLayout,
    ESTAddress,
    ESTOperation,
    Labels,
)
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.wire import WireRequest, WireResponse

_OPERATIONS = {
    ESTOperation.SIMPLE_ENROLL: Operation.INITIAL,
    ESTOperation.SIMPLE_REENROLL: Operation.RENEWAL,
}
# By whether HTTP authentication was shown, and whether a certificate was.
_SHOWN: Mapping[tuple[bool, bool], tuple[str, ...]] = {
    (False, False): (),
    (False, True): (CLIENT_CERTIFICATE,),
    (True, False): (HTTP_BASIC,),
    (True, True): (HTTP_BASIC, CLIENT_CERTIFICATE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTExchange:
    """One enrollment: the request, and how its sender must have the answer."""

    request: EnrollmentRequest
    layout: AnswerLayout
    authorization_shown: bool

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Issued):
            return encode.encode_certificate(result.record.der, self.layout)
        if isinstance(result, Pending):
            return failures.encode_pending(result.retry_after)
        return failures.encode_rejection(result, authorization_shown=self.authorization_shown)


@dataclass(slots=True)
class ESTHandler:
    """The `ProtocolHandler` of EST."""

    labels: Labels
    limits: DERLimits = DEFAULT_LIMITS
    _ca_certificates: dict[tuple[str | None, AnswerLayout], encode.CACertificatesAnswer] = field(
        default_factory=dict, init=False, repr=False
    )

    def receive(self, wire: WireRequest) -> ESTExchange | WireResponse:
        """Decode an enrollment, or answer /cacerts and /csrattrs at once.

        Raises ProtocolViolation and EnrollmentError.
        """
        address = self._address(wire)
        operation = _OPERATIONS.get(address.operation)
        if operation is None:
            if address.operation is ESTOperation.CSR_ATTRIBUTES:
                return encode.encode_no_attributes()
            return self._answer_ca_certificates(wire, address.label)
        decode.check_media_type(wire)
        authorization_shown = decode.shows_authorization(wire)
        return ESTExchange(
            request=EnrollmentRequest(
                origin=_origin(wire, authorization_shown=authorization_shown),
                operation=operation,
                certificate_request=pkcs10.decode(decode.decode_body(wire.body), self.limits),
                credentials=_credentials(wire),
                channel=wire.channel,
            ),
            layout=decode.decode_layout(wire),
            authorization_shown=authorization_shown,
        )

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer a message that `receive` could not turn into an exchange."""
        return failures.encode_rejection(
            rejected, authorization_shown=decode.shows_authorization(wire)
        )

    def origin(self, wire: WireRequest) -> RequestOrigin:
        """Say of any message, understood or not, where it came from and what it was for."""
        return _origin(wire, authorization_shown=decode.shows_authorization(wire))

    def _address(self, wire: WireRequest) -> ESTAddress:
        """Find what is asked for, and that it may be asked for so. Raises ProtocolViolation."""
        address = decode.decode_address(wire)
        if address.label is not None and not self.labels.exists(address.label):
            raise failures.unknown_profile(
                wire.correlation_id, address.label[: decode.NAME_CHARACTERS]
            )
        if wire.method not in address.operation.methods:
            raise failures.method_not_allowed(wire.correlation_id, address.operation.methods)
        if wire.fault is not None:
            raise failures.transport_fault(wire.correlation_id, wire.fault)
        return address

    def _answer_ca_certificates(self, wire: WireRequest, label: str | None) -> WireResponse:
        certificates = self.labels.ca_certificates(label)
        key = (label, decode.decode_layout(wire))
        answer = self._ca_certificates.get(key)
        if answer is None or answer.certificates != certificates:
            answer = encode.encode_ca_certificates(certificates, key[1])
            self._ca_certificates[key] = answer
        if decode.has_entity(wire, answer.entity_tag):
            return answer.not_modified
        return answer.response


def _origin(wire: WireRequest, *, authorization_shown: bool) -> RequestOrigin:
    path = decode.read_path(wire.path)
    return RequestOrigin(
        correlation_id=wire.correlation_id,
        protocol=ProtocolName.EST,
        operation=path.operation,
        profile=path.profile,
        peer_address=wire.peer_address,
        received_at=wire.received_at,
        client_certificate_sha256=(
            sha256(wire.peer_chain[0]).hexdigest() if wire.peer_chain else None
        ),
        credentials_shown=_SHOWN[authorization_shown, bool(wire.peer_chain)],
    )


def _credentials(wire: WireRequest) -> tuple[Credential, ...]:
    """Give all that was shown. A certificate that cannot be read matters only if alone."""
    basic = decode.decode_basic(wire)
    if not wire.peer_chain:
        return () if basic is None else (basic,)
    try:
        certificate = decode.decode_client_certificate(wire.peer_chain)
    except EnrollmentError:
        if basic is None:
            raise
        return (basic,)
    return (certificate,) if basic is None else (basic, certificate)
