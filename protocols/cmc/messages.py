"""What CMC says: controls, requests and statuses, in the words of RFC 5272 and RFC 6402."""

from dataclasses import dataclass
from enum import IntEnum

from cryptography.x509 import ObjectIdentifier

from protocols import der
from protocols.crmf.messages import CertReqMsg

PKI_DATA = ObjectIdentifier("1.3.6.1.5.5.7.12.2")
PKI_RESPONSE = ObjectIdentifier("1.3.6.1.5.5.7.12.3")
WHOLE_MESSAGE = 0
"""The body part identifier that means the PKIData itself (RFC 5272 §3.2.2)."""
MAXIMUM_BODY_PART = 4_294_967_295


class Status(IntEnum):
    """RFC 5272 §6.1.3 CMCStatus."""

    SUCCESS = 0
    FAILED = 2
    PENDING = 3
    NO_SUPPORT = 4
    CONFIRM_REQUIRED = 5
    POP_REQUIRED = 6
    PARTIAL = 7


class FailInfo(IntEnum):
    """RFC 5272 §6.1.4 CMCFailInfo."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERT_ID = 4
    UNSUPPORTED_EXT = 5
    MUST_ARCHIVE_KEYS = 6
    BAD_IDENTITY = 7
    POP_REQUIRED = 8
    POP_FAILED = 9
    NO_KEY_REUSE = 10
    INTERNAL_CA_ERROR = 11
    TRY_LATER = 12
    AUTH_DATA_FAIL = 13


class ControlType(IntEnum):
    """The controls that are made or read here, by their last arc under id-cmc (RFC 5272 §6)."""

    IDENTIFICATION = 2
    IDENTITY_PROOF = 3
    DATA_RETURN = 4
    TRANSACTION_ID = 5
    SENDER_NONCE = 6
    RECIPIENT_NONCE = 7
    QUERY_PENDING = 21
    POP_LINK_RANDOM = 22
    POP_LINK_WITNESS = 23
    STATUS_INFO_V2 = 25
    POP_LINK_WITNESS_V2 = 33
    IDENTITY_PROOF_V2 = 34
    CHANGE_SUBJECT_NAME = 36

    @property
    def oid(self) -> bytes:
        """The OBJECT IDENTIFIER, DER."""
        return bytes.fromhex("06082b060105050707") + bytes((self.value,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A TaggedAttribute (RFC 5272 §3.2.1.1): its body part, its type in DER, and its values."""

    number: int
    kind: bytes
    values: tuple[der.Element, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedRequest:
    """A certification request (RFC 5272 §3.2.1.2): PKCS#10 in DER, or CRMF, or neither of them."""

    number: int
    pkcs10: bytes | None = None
    crmf: CertReqMsg | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PKIData:
    """RFC 5272 §3.2.1 PKIData, nothing in it judged. `requests_whole` is reqSequence as received.

    What stands in cmsSequence and otherMsgSequence means something only where a control refers to
    it, and none that does is taken here.
    """

    controls: tuple[Control, ...]
    requests: tuple[TaggedRequest, ...]
    requests_whole: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an answer gives back to who asked (RFC 5272 §6.4 and §6.6); in DER, whole elements."""

    transaction_id: bytes | None = None
    sender_nonce: bytes | None = None
    data_return: bytes | None = None

    @property
    def anything(self) -> bool:
        return self != NOTHING_HEARD


NOTHING_HEARD = Heard()
