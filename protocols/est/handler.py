"""EST at its seam: `WireRequest` to `Exchange`, `EnrollmentResult` to `WireResponse`."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256

from enroll.credentials import SECRETS, Credential, HTTPBasic, HTTPDigest
from enroll.failures import EnrollmentError, NotAuthenticated
from enroll.key_generation import KeyWish
from enroll.options import CSRAttributesStyle, ESTOptions
from enroll.profiles import ProtocolName
from enroll.request import (
    CertificateRequest,
    EnrollmentRequest,
    Inquiry,
    Operation,
    RequestOrigin,
    accepted_credentials,
)
from enroll.result import Described, EnrollmentResult, Issued, Pending, Rejected
from protocols import pkcs10
from protocols.cmc.responder import Responder
from protocols.cms.key_packages import KeyPackageSigner, no_signer
from protocols.est import decode, encode, failures
from protocols.est.challenges import BASIC, challenges
from protocols.est.full_cmc import FullCMC, FullCMCExchange
from protocols.est.key_delivery import key_answer, read_delivery
from protocols.est.messages import (
    CLIENT_CERTIFICATE,
    AnswerLayout,
    ESTAddress,
    ESTOperation,
    Labels,
)
from protocols.est.nonces import KEY_OCTETS, Nonces
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.wire import Question, WireRequest, WireResponse

_OPERATIONS = {
    ESTOperation.SIMPLE_ENROLL: Operation.INITIAL,
    ESTOperation.SIMPLE_REENROLL: Operation.RENEWAL,
    # RFC 7030 §4.4.1: as an enrollment or a re-enrollment, which the request does not say.
    ESTOperation.SERVER_KEY_GENERATION: Operation.BY_CERTIFICATE,
}
STALE = "nonce_stale"
"""What is found where an answer is to a challenge that is no longer good."""


def _nobody() -> Responder | None:
    """Stand in for who signs answers where CMC is not served."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTExchange:
    """One enrollment: the request, and how its sender must have the answer."""

    request: EnrollmentRequest
    authorization_shown: bool
    nonces: Nonces = field(repr=False)
    answer: Callable[[Issued], WireResponse] = field(repr=False)

    def respond(self, result: EnrollmentResult) -> WireResponse:
        if isinstance(result, Issued):
            return self.answer(result)
        if isinstance(result, Pending):
            return failures.encode_pending(result.retry_after)
        return _refusal(
            result,
            authorization_shown=self.authorization_shown,
            nonces=self.nonces,
            at=self.request.origin.received_at,
        )


@dataclass(slots=True)
class ESTHandler:
    """The `ProtocolHandler` of EST."""

    labels: Labels
    limits: DERLimits = DEFAULT_LIMITS
    nonces: Nonces = field(default_factory=lambda: Nonces(secrets.token_bytes(KEY_OCTETS)))
    responder: Callable[[], Responder | None] = _nobody
    key_package_signer: Callable[[], KeyPackageSigner] = no_signer
    _ca_certificates: dict[tuple[str | None, AnswerLayout], encode.CACertificatesAnswer] = field(
        default_factory=dict, init=False, repr=False
    )

    def receive(self, wire: WireRequest) -> ESTExchange | FullCMCExchange | Question | WireResponse:
        """Decode an enrollment, or answer /cacerts and /csrattrs at once.

        Raises ProtocolViolation and EnrollmentError.
        """
        address = self._address(wire)
        if address.operation is ESTOperation.FULL_CMC:
            return self._full_cmc().receive(wire, self.origin(wire))
        operation = _OPERATIONS.get(address.operation)
        if operation is None:
            if address.operation is ESTOperation.CSR_ATTRIBUTES:
                return self._answer_csr_attributes(wire, address.label)
            return self._answer_ca_certificates(wire, address.label)
        decode.check_media_type(wire)
        self._check_not_asking(wire, address.label, operation)
        if address.operation is ESTOperation.SERVER_KEY_GENERATION:
            wanted, wish, answer = self._key_generation(wire)
        else:
            wanted, wish = pkcs10.decode(decode.decode_body(wire.body), self.limits), None
            answer = partial(_answer, layout=decode.decode_layout(wire))
        return ESTExchange(
            request=EnrollmentRequest(
                origin=self.origin(wire),
                operation=operation,
                certificate_request=wanted,
                credentials=_credentials(wire, decode.decode_authorization(wire, self.nonces)),
                channel=wire.channel,
                key_wish=wish,
            ),
            authorization_shown=decode.authorization_shown(wire) is not None,
            nonces=self.nonces,
            answer=answer,
        )

    def refuse(self, wire: WireRequest, rejected: Rejected) -> WireResponse:
        """Answer a message that `receive` could not turn into an exchange."""
        address = decode.read_path(wire.path).address
        if address is not None and self._is_full_cmc(address):
            return self._full_cmc().refuse(wire, rejected)
        return _refusal(
            self._with_profile(wire, rejected),
            authorization_shown=decode.authorization_shown(wire) is not None,
            nonces=self.nonces,
            at=wire.received_at,
        )

    def origin(self, wire: WireRequest) -> RequestOrigin:
        """Say of any message, understood or not, where it came from and what it was for."""
        path = decode.read_path(wire.path)
        authorization = decode.authorization_shown(wire)
        shown = (authorization, CLIENT_CERTIFICATE if wire.peer_chain else None)
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
            credentials_shown=tuple(each for each in shown if each is not None),
        )

    def _key_generation(
        self, wire: WireRequest
    ) -> tuple[CertificateRequest, KeyWish, Callable[[Issued], WireResponse]]:
        """Read a request for a key; who signs the answer has to be there before the key is made."""
        asked = pkcs10.decode_without_key(decode.decode_body(wire.body), self.limits)
        delivery = read_delivery(asked.attributes)
        answer = partial(
            key_answer,
            layout=decode.decode_layout(wire),
            delivery=delivery,
            signed_by=self.key_package_signer() if delivery is not None else None,
        )
        recipient = delivery.wanted if delivery is not None else None
        return asked.request, KeyWish(spki=asked.spki, recipient=recipient), answer

    def _check_not_asking(self, wire: WireRequest, label: str | None, operation: Operation) -> None:
        """Let a request without a body and a credential have the challenge that it is sent for.

        That is how curl begins Digest: it keeps the body for when it can be believed. Raises
        NotAuthenticated.
        """
        if wire.body or "Authorization" in wire.headers:
            return
        profile = self.labels.profile(label)
        if profile is None or not profile.est.takes_digest:
            return
        if not accepted_credentials(profile, operation).isdisjoint(SECRETS):
            raise NotAuthenticated("a request for a challenge", finding="no_credential")

    def _with_profile(self, wire: WireRequest, rejected: Rejected) -> Rejected:
        """Say what is taken here of a message that did not come so far as to be told."""
        address = decode.read_path(wire.path).address
        if rejected.profile is not None or address is None:
            return rejected
        profile, operation = self.labels.profile(address.label), _OPERATIONS.get(address.operation)
        if profile is None or operation is None:
            return rejected
        accepted = rejected.accepted or accepted_credentials(profile, operation)
        return replace(rejected, profile=profile, accepted=accepted)

    def _address(self, wire: WireRequest) -> ESTAddress:
        """Find what is asked for, and that it may be asked for so. Raises ProtocolViolation."""
        address = decode.decode_address(wire)
        if address.label is not None and not self.labels.exists(address.label):
            raise failures.unknown_profile(
                wire.correlation_id, address.label[: decode.NAME_CHARACTERS]
            )
        if address.operation is ESTOperation.FULL_CMC and not self._is_full_cmc(address):
            raise failures.unknown_path(wire.correlation_id, "the profile does not serve fullcmc")
        keys = address.operation is ESTOperation.SERVER_KEY_GENERATION
        if keys and not self.labels.makes_keys(address.label):
            raise failures.unknown_path(wire.correlation_id, "no keys are made for this profile")
        if wire.method not in address.operation.methods:
            raise failures.method_not_allowed(wire.correlation_id, address.operation.methods)
        if wire.fault is not None:
            violation = failures.transport_fault(wire.correlation_id, wire.fault)
            in_cmc = self._is_full_cmc(address)
            raise self._full_cmc().reworded(wire, violation) if in_cmc else violation
        return address

    def _is_full_cmc(self, address: ESTAddress) -> bool:
        profile = self.labels.profile(address.label)
        serves = profile is not None and profile.est.fullcmc
        return address.operation is ESTOperation.FULL_CMC and serves

    def _full_cmc(self) -> FullCMC:
        return FullCMC(responder=self.responder, limits=self.limits)

    def _answer_csr_attributes(
        self, wire: WireRequest, label: str | None
    ) -> Question | WireResponse:
        """Say what a request should hold: to who shows a credential, once it was judged.

        Nobody has to show one (RFC 7030 §4.5), and nobody is told of a device without.
        """
        layout = decode.decode_layout(wire)
        try:
            credentials = _credentials(wire, decode.decode_authorization(wire, self.nonces))
        except EnrollmentError:
            credentials = ()
        if credentials:
            return Question(
                inquiry=Inquiry(origin=self.origin(wire), credentials=credentials),
                answer=partial(_describe, layout=layout),
            )
        profile = self.labels.profile(label)
        style = profile.est.csr_attributes if profile is not None else CSRAttributesStyle.NONE
        wanted = self.labels.requirements(label)
        return encode.encode_csr_attributes(wanted, style, layout, personal=False)

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


def _answer(issued: Issued, layout: AnswerLayout) -> WireResponse:
    return encode.encode_certificate(issued.record.der, layout)


def _describe(described: Described, *, layout: AnswerLayout) -> WireResponse:
    return encode.encode_csr_attributes(
        described.requirements,
        described.profile.est.csr_attributes,
        layout,
        personal=described.refused is None,
    )


def _refusal(
    rejected: Rejected, *, authorization_shown: bool, nonces: Nonces, at: datetime
) -> WireResponse:
    options: ESTOptions | None = rejected.profile.est if rejected.profile is not None else None

    def offered() -> failures.Headers:
        if options is None:
            return (BASIC,)
        return challenges(options, nonces, at, stale=rejected.finding == STALE)

    return failures.encode_rejection(
        rejected, authorization_shown=authorization_shown, challenges=offered
    )


def _credentials(
    wire: WireRequest, secret: HTTPBasic | HTTPDigest | None
) -> tuple[Credential, ...]:
    """Give all that was shown. A certificate that cannot be read matters only if alone."""
    if not wire.peer_chain:
        return () if secret is None else (secret,)
    try:
        certificate = decode.decode_client_certificate(wire.peer_chain)
    except EnrollmentError:
        if secret is None:
            raise
        return (secret,)
    return (certificate,) if secret is None else (secret, certificate)
