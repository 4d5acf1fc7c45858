"""How a generated key leaves (RFC 7030 §4.4): asked for in a request's attributes, and written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from enroll.failures import Malformed
from enroll.key_generation import (
    KeyRecipient,
    RecipientKind,
    RequestSender,
    SharedKey,
    WantedRecipient,
)
from enroll.result import Issued
from protocols import der
from protocols.cms.content_info import SIGNED_DATA
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.key_packages import KeyPackageSigner, private_key_info, sign_key_package
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipients import KeyAgreement, KeyEncryptionKey, KeyTransport, Recipient
from protocols.est.encode import encode_key_and_certificate
from protocols.est.messages import AnswerLayout
from protocols.est.smime_capabilities import Capabilities, read_capabilities
from protocols.request_attributes import attribute_values, only_one
from protocols.wire import WireResponse

LONGEST_IDENTIFIER = 64
_SMIME_CAPABILITIES = bytes.fromhex("06092a864886f70d01090f")
# RFC 4108 §2.2.5 id-aa-decryptKeyID, and RFC 7030 §4.4.1.2 id-aa-asymmDecryptKeyID.
_KEY_IDENTIFIERS: Mapping[bytes, RecipientKind] = {
    bytes.fromhex("060b2a864886f70d0109100225"): RecipientKind.SHARED_KEY,
    bytes.fromhex("060b2a864886f70d0109100236"): RecipientKind.CERTIFICATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedDelivery:
    """A request's word that the key is to be encrypted: to whom, and by what of its own choice."""

    kind: RecipientKind
    key_identifier: bytes
    capabilities: Capabilities = field(repr=False)

    @property
    def wanted(self) -> WantedRecipient:
        return WantedRecipient(kind=self.kind, key_identifier=self.key_identifier, check=self.check)

    def check(self, found: KeyRecipient) -> None:
        """Check that there is a way to encrypt to the recipient. Raises UNSUPPORTED_ALGORITHM."""
        self._recipient(found)
        self.capabilities.content_encryption()

    def encode(self, key: bytes, found: KeyRecipient, signed_by: KeyPackageSigner) -> bytes:
        """Sign a key package, and put it into an envelope: SignedData within EnvelopedData."""
        return encode_enveloped_data(
            sign_key_package(key, signed_by),
            content_type=SIGNED_DATA,
            recipient=self._recipient(found),
            content_encryption=self.capabilities.content_encryption(),
        )

    def _recipient(self, found: KeyRecipient) -> Recipient:
        assert not isinstance(found, RequestSender)  # noqa: S101 - no request of EST's asks so
        if isinstance(found, SharedKey):
            self.capabilities.check_wrap(KeyWrap(len(found.key)))
            return KeyEncryptionKey(key_identifier=found.key_identifier, key=found.key)
        identifier = self.key_identifier if _bears(found, self.key_identifier) else None
        if isinstance(found.public_key(), rsa.RSAPublicKey):
            return KeyTransport(
                certificate=found,
                oaep=self.capabilities.oaep_digest(),
                key_identifier=identifier,
            )
        agreed = KeyAgreement(certificate=found, key_identifier=identifier)
        return KeyAgreement(
            certificate=found,
            wrap=self.capabilities.agreement_wrap(agreed.scheme),
            key_identifier=identifier,
        )


def read_delivery(attributes: bytes) -> EncryptedDelivery | None:
    """Read whether the key is to be encrypted, from attributes that passed the limits.

    None if no key is named to encrypt with, whatever the capabilities. Raises Malformed.
    """
    values = attribute_values(attributes)
    named = [each for each in _KEY_IDENTIFIERS if each in values]
    if not named:
        return None
    if len(named) > 1:
        raise Malformed("two keys are named to encrypt with", finding="two_recipients")
    identifier = only_one(values[named[0]])
    if identifier.tag != der.OCTET_STRING or not 0 < len(identifier.content) <= LONGEST_IDENTIFIER:
        raise Malformed("the identifier of a key to encrypt with is no short OCTET STRING")
    if _SMIME_CAPABILITIES not in values:
        raise Malformed(
            "a key is named to encrypt with, and no SMIMECapabilities", finding="no_capabilities"
        )
    return EncryptedDelivery(
        kind=_KEY_IDENTIFIERS[named[0]],
        key_identifier=identifier.content,
        capabilities=read_capabilities(only_one(values[_SMIME_CAPABILITIES])),
    )


def key_answer(
    issued: Issued,
    *,
    layout: AnswerLayout,
    delivery: EncryptedDelivery | None,
    signed_by: KeyPackageSigner | None,
) -> WireResponse:
    """Answer with key and certificate: encrypted where that was asked for, or not at all."""
    generated = issued.generated
    if generated is None:
        raise AssertionError("a certificate without the key that was to be made for it")
    if delivery is None:
        key = private_key_info(generated)
    elif generated.recipient is None or signed_by is None:
        raise AssertionError("a key that was to be encrypted, and nobody to do it for or by")
    else:
        key = delivery.encode(private_key_info(generated), generated.recipient, signed_by)
    return encode_key_and_certificate(
        key, issued.record.der, layout, encrypted=delivery is not None
    )


def _bears(certificate: x509.Certificate, key_identifier: bytes) -> bool:
    """Tell whether the certificate itself names its key so, as its holder will look for it."""
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    return own.digest == key_identifier
