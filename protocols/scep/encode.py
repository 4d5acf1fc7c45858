"""Writing SCEP: results into CertRep messages, certificates into answers."""

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.cms import certs_only
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.recipients import Recipient
from protocols.cms.signed_data import encode_signed_data
from protocols.scep.attributes import Transaction, reply_attributes
from protocols.scep.failures import NO_STORE
from protocols.scep.messages import (
    CA_CERTIFICATE,
    CA_CERTIFICATES,
    NEXT_CA_CERTIFICATES,
    NONCE_OCTETS,
    PKI_MESSAGE,
    FailInfo,
    Nonces,
    PKIStatus,
    RegistrationAuthority,
)
from protocols.wire import WireResponse

CACHE_CONTROL = ("Cache-Control", "public, max-age=300")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How the answers to one message are made: what they repeat, and who signs them."""

    transaction: Transaction
    authority: RegistrationAuthority
    digest: Digest
    nonces: Nonces

    def success(
        self, messages: bytes, recipient: Recipient, content_encryption: ContentEncryption
    ) -> WireResponse:
        """Answer with certificates or a revocation list (RFC 8894 §3.3.2.1)."""
        envelope = encode_enveloped_data(
            messages, recipient=recipient, content_encryption=content_encryption
        )
        return self._signed(envelope, PKIStatus.SUCCESS)

    def failure(self, fail_info: FailInfo, text: str) -> WireResponse:
        """Refuse; there is no envelope (RFC 8894 §3.3.2.2)."""
        return self._signed(None, PKIStatus.FAILURE, fail_info, text)

    def pending(self) -> WireResponse:
        """Have it asked again; there is no envelope (RFC 8894 §3.3.2.3)."""
        return self._signed(None, PKIStatus.PENDING)

    def _signed(
        self,
        content: bytes | None,
        status: PKIStatus,
        fail_info: FailInfo | None = None,
        text: str = "",
    ) -> WireResponse:
        attributes = reply_attributes(
            self.transaction,
            status,
            self.nonces(NONCE_OCTETS),
            fail_info=fail_info,
            text=text,
        )
        message = encode_signed_data(
            DATA,
            content,
            signer=self.authority.signers[self.digest],
            signed_attributes=attributes,
            certificates=(self.authority.der,),
        )
        return WireResponse(status=200, media_type=PKI_MESSAGE, body=message, headers=(NO_STORE,))


def encode_capabilities(text: bytes) -> WireResponse:
    return WireResponse(status=200, media_type="text/plain", body=text, headers=(CACHE_CONTROL,))


def encode_next_ca(message: bytes) -> WireResponse:
    return WireResponse(
        status=200, media_type=NEXT_CA_CERTIFICATES, body=message, headers=(CACHE_CONTROL,)
    )


def encode_ca_certificates(certificates: Iterable[bytes]) -> WireResponse:
    """Answer GetCACert: one certificate by itself, several in a SignedData (RFC 8894 §4.2.1)."""
    found = tuple(certificates)
    if len(found) == 1:
        media_type, body = CA_CERTIFICATE, found[0]
    else:
        media_type, body = CA_CERTIFICATES, certs_only.encode(found)
    return WireResponse(status=200, media_type=media_type, body=body, headers=(CACHE_CONTROL,))
