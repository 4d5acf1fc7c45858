"""Keys made for senders of CMP (RFC 9483 §4.1.6): how they are asked for, and how they leave."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa

from enroll.failures import EnrollmentError, Malformed, NotAuthorized
from enroll.key_generation import (
    NO_KEY,
    GeneratedKey,
    KeyRecipient,
    KeyWish,
    RecipientKind,
    WantedRecipient,
)
from protocols import der
from protocols.cmp.messages import ENVELOPED_DATA_VERSION
from protocols.cmp.senders import ByMAC, Sender
from protocols.cmp.terms import Terms
from protocols.cms.content_info import SIGNED_DATA, unwrap
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.identifiers import subject_key_identifier
from protocols.cms.key_packages import KeyPackageSigner, one_asymmetric_key, sign_key_package
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.passwords import Password
from protocols.cms.recipients import Recipient, recipient_of
from protocols.crmf.messages import CertReqMsg

_NO_BITS = b"\x00"


def asks_for_key(request: CertReqMsg) -> bool:
    """Tell whether a key is to be made: there is none, or but its algorithm, and no proof."""
    return request.proof is None and (
        request.template.spki is None or _names_only_an_algorithm(request.template.spki)
    )


def read_key_wish(request: CertReqMsg, pvno: int, delivery: "KeyDelivery") -> KeyWish:
    """Read what key is wanted. Raises Malformed.

    RFC 9483 §4.1.6 has pvno 3 from the first message on; OpenSSL 4 asks in pvno 2, and knows the
    answer in pvno 3.
    """
    if delivery.strict and pvno != ENVELOPED_DATA_VERSION:
        raise Malformed(
            "who asks for a key to be made does so in pvno 3", finding="key_wish_version"
        )
    return KeyWish(spki=request.template.spki or NO_KEY, recipient=delivery.wanted)


def delivery_for(sender: Sender, terms: Terms) -> "KeyDelivery":
    return KeyDelivery(
        sender=sender,
        signed_by=terms.key_package_signer,
        strict=terms.profile.cmp.strict,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDelivery:
    """How a key gets to the sender of a request: encrypted with what protects the request.

    Under a password the content key is wrapped by PWRI-KEK, which clients know, or, where it is
    `strict`, by AES as RFC 9483 has it.
    """

    sender: Sender
    signed_by: Callable[[], KeyPackageSigner] = field(repr=False)
    strict: bool = False

    @property
    def wanted(self) -> WantedRecipient:
        return WantedRecipient(kind=RecipientKind.SENDER, key_identifier=b"", check=self.check)

    def check(self, found: KeyRecipient) -> None:
        """Check that the key can leave. Raises NotAuthorized, AuthorityUnavailable."""
        del found
        self.signed_by()
        if not isinstance(self.sender, ByMAC):
            _check_recipient(self.sender.chain[0])

    def encode(self, generated: GeneratedKey) -> bytes:
        """Write the EnvelopedData, one element, with the key signed in it."""
        enveloped = encode_enveloped_data(
            sign_key_package(one_asymmetric_key(generated), self.signed_by()),
            content_type=SIGNED_DATA,
            recipient=self._recipient(),
        )
        return unwrap(enveloped)[1]

    def _recipient(self) -> Recipient:
        if not isinstance(self.sender, ByMAC):
            return _recipient(self.sender.chain[0])
        assert self.sender.secret is not None  # noqa: S101 - else nothing was issued
        return Password(password=self.sender.secret, wrap=KeyWrap.AES_256 if self.strict else None)


def _names_only_an_algorithm(spki: bytes) -> bool:
    (outer,) = der.split(spki)
    parts = der.split(outer.content)
    return [each.tag for each in parts] == [der.SEQUENCE, der.BIT_STRING] and (
        parts[1].content == _NO_BITS
    )


def _recipient(certificate: x509.Certificate) -> Recipient:
    return recipient_of(
        certificate, key_identifier=subject_key_identifier(certificate), oaep=Digest.SHA256
    )


def _check_recipient(certificate: x509.Certificate) -> None:
    """Demand a key that may be encrypted to, by kind and by keyUsage. Raises NotAuthorized."""
    try:
        _recipient(certificate)
    except EnrollmentError as error:
        raise NotAuthorized(
            f"nothing can be encrypted to the key that signs the request: {error.detail}",
            finding="recipient_key",
        ) from error
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    transport = isinstance(
        certificate.public_key(),
        rsa.RSAPublicKey | mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey,
    )
    if not (usage.key_encipherment if transport else usage.key_agreement):
        raise NotAuthorized(
            "the certificate that signs the request does not permit "
            f"{'keyEncipherment' if transport else 'keyAgreement'}",
            finding="recipient_key_usage",
        )
