"""Answers to one message: its ids repeated, protected by its secret or by our signer."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from enroll.result import Rejected
from protocols.cmp import failures
from protocols.cmp.encode import (
    MEDIA_TYPE,
    CertResponse,
    answer_header,
    directory_name,
    encode_cert_responses,
    encode_error,
    encode_message,
)
from protocols.cmp.macs import MACKey
from protocols.cmp.messages import BodyType, PKIHeader
from protocols.cmp.nonces import SenderNonces, Turn
from protocols.cmp.protection import Signer
from protocols.wire import WireResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How the sender of `request` must have its answer.

    With a `key`, which a secret proved, a MAC protects it (RFC 9483 §3.2), else our signature.
    `behind_nonce` is what its sender has to bring again (see `KEMProtection`), and `profile` what
    it said that the exchange is for.
    """

    request: PKIHeader
    signer: Signer
    nonces: SenderNonces
    now: datetime
    behind_nonce: bytes = field(default=b"", repr=False)
    profile: str | None = None

    @property
    def sender(self) -> bytes:
        """Our name, a GeneralName."""
        return directory_name(self.signer.certificate.subject.public_bytes())

    def nonce(self, turn: Turn, about: str | None = None) -> bytes:
        """Make the senderNonce of an answer that leads to this turn, `about` the key it has."""
        return self.nonces.make(self.request, turn, about, self.profile)

    def send(
        self,
        body: bytes,
        *,
        key: MACKey | None = None,
        turn: Turn | None = None,
        about: str | None = None,
        nonce: bytes | None = None,
        certificates: tuple[bytes, ...] = (),
        implicit_confirm: bool = False,
        confirm_until: datetime | None = None,
        least_version: int = 0,
    ) -> WireResponse:
        """Write an answer that leads to this turn; `certificates` go along in extraCerts.

        `about` names the key that the first message of an exchange is for (see `SenderNonces`).
        It has the version of the request, or the least that knows what is in it.
        """
        header = answer_header(
            self.request,
            sender=self.sender,
            sender_kid=self.signer.key_identifier if key is None else self.request.sender_kid,
            now=self.now,
            implicit_confirm=implicit_confirm,
            confirm_wait_time=confirm_until,
        )
        header = replace(header, pvno=max(header.pvno, least_version))
        if turn is not None:
            header = replace(header, sender_nonce=nonce or self.nonce(turn, about))
        if self.behind_nonce:
            behind = (header.sender_nonce or b"") + self.behind_nonce
            header = replace(header, sender_nonce=behind)
        own = self.signer.extra_certs if key is None else ()
        octets = encode_message(header, body, key or self.signer, (*own, *certificates))
        return WireResponse(
            status=200, media_type=MEDIA_TYPE, body=octets, headers=(failures.NO_STORE,)
        )

    def error(self, rejected: Rejected, key: MACKey | None = None) -> WireResponse:
        """Refuse in an error message (RFC 9483 §3.6.4)."""
        return self.send(encode_error(failures.word(rejected)), key=key)

    def rejection(
        self,
        rejected: Rejected,
        answer: BodyType,
        cert_req_id: int,
        key: MACKey | None = None,
    ) -> WireResponse:
        """Refuse a request for what is in its body: in ip, cp or kup (RFC 9483 §3.6.2)."""
        response = CertResponse(cert_req_id=cert_req_id, status=failures.word(rejected))
        return self.send(encode_cert_responses(answer, [response]), key=key)
