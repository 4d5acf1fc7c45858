"""What a CRMF request says, in the words of RFC 4211; nothing in it has been proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from protocols import der

CHANGE_SUBJECT_NAME = bytes.fromhex("06082b06010505070724")
PUBLICATION_INFO = bytes.fromhex("06092b06010505070501 03")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertTemplate:
    """RFC 4211 §5 CertTemplate: every field a wish. In DER, whole elements.

    `subject` and `issuer` are Names; `spki` is a SubjectPublicKeyInfo, its tag a SEQUENCE's again.
    `extensions` holds the values by their OBJECT IDENTIFIERs; None where there is no such field.
    `signing_algorithm` is what an AlgorithmIdentifier holds. It, and unique identifiers, stand only
    in templates that describe a certificate.
    """

    serial_number: int | None = None
    signing_algorithm: bytes | None = None
    issuer: bytes | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    subject: bytes | None = None
    spki: bytes | None = None
    extensions: Mapping[bytes, bytes] | None = None
    has_unique_identifiers: bool = False


class RAVerified:
    """RFC 4211 §4 raVerified: somebody says that possession was proven to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyMAC:
    """RFC 4211 §4.1 PKMACValue: a MAC over the public key, under a secret of both sides."""

    algorithm: bytes
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyInput:
    """RFC 4211 §4.1 POPOSigningKeyInput: what was signed in place of the request.

    `whole` is the DER encoding that the signature covers. Either `sender`, a GeneralName in DER,
    or `mac` is there.
    """

    whole: bytes
    spki: bytes
    sender: bytes | None = None
    mac: PublicKeyMAC | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureProof:
    """RFC 4211 §4.1 POPOSigningKey. `algorithm` is an AlgorithmIdentifier, `signature` its bits."""

    algorithm: der.Element
    signature: bytes
    key_input: SigningKeyInput | None = None


class KeyPurpose(IntEnum):
    """What a key is for that cannot sign: the tags of RFC 4211 §4 ProofOfPossession."""

    KEY_ENCIPHERMENT = 2
    KEY_AGREEMENT = 3


class PrivateKeyMethod(IntEnum):
    """How the possession of such a key is proven: the tags of RFC 4211 §4.2 POPOPrivKey."""

    THIS_MESSAGE = 0
    SUBSEQUENT_MESSAGE = 1
    DH_MAC = 2
    AGREE_MAC = 3
    ENCRYPTED_KEY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyProof:
    """RFC 4211 §4.2 and §4.3 POPOPrivKey; `content` is what the method's tag holds."""

    purpose: KeyPurpose
    method: PrivateKeyMethod
    content: bytes = field(repr=False)


ProofOfPossession = RAVerified | SignatureProof | PrivateKeyProof


@dataclass(frozen=True, slots=True, kw_only=True)
class CertReqMsg:
    """RFC 4211 §3 CertReqMsg. `certificate_request` is certReq as it was received.

    `controls` holds the values by their OBJECT IDENTIFIERs; `whole` is all of the message.
    """

    whole: bytes
    request_id: int
    certificate_request: bytes
    template: CertTemplate
    controls: Mapping[bytes, der.Element]
    proof: ProofOfPossession | None
    has_registration_info: bool
