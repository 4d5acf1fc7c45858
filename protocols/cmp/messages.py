"""What CMP messages say, in the words of RFC 9810; nothing in them has been proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from protocols import der
from protocols.crmf.messages import CertReqMsg, CertTemplate

DIRECTORY_NAME = 0xA4
NULL_NAME = der.encode(DIRECTORY_NAME, der.encode(der.SEQUENCE))
"""RFC 9810 §5.1.1: the GeneralName of somebody who knows no name."""

_ID_IT = "06082b060105050704"
CA_PROT_ENC_CERT = bytes.fromhex(f"{_ID_IT}01")
SIGN_KEY_PAIR_TYPES = bytes.fromhex(f"{_ID_IT}02")
ENC_KEY_PAIR_TYPES = bytes.fromhex(f"{_ID_IT}03")
PREFERRED_SYMM_ALG = bytes.fromhex(f"{_ID_IT}04")
CURRENT_CRL = bytes.fromhex(f"{_ID_IT}06")
UNSUPPORTED_OIDS = bytes.fromhex(f"{_ID_IT}07")
KEY_PAIR_PARAM_REQ = bytes.fromhex(f"{_ID_IT}0a")
KEY_PAIR_PARAM_REP = bytes.fromhex(f"{_ID_IT}0b")
REV_PASSPHRASE = bytes.fromhex(f"{_ID_IT}0c")
IMPLICIT_CONFIRM = bytes.fromhex(f"{_ID_IT}0d")
CONFIRM_WAIT_TIME = bytes.fromhex(f"{_ID_IT}0e")
ORIG_PKI_MESSAGE = bytes.fromhex(f"{_ID_IT}0f")
SUPP_LANG_TAGS = bytes.fromhex(f"{_ID_IT}10")
CA_CERTS = bytes.fromhex(f"{_ID_IT}11")
ROOT_CA_KEY_UPDATE = bytes.fromhex(f"{_ID_IT}12")
CERT_REQ_TEMPLATE = bytes.fromhex(f"{_ID_IT}13")
ROOT_CA_CERT = bytes.fromhex(f"{_ID_IT}14")
CERT_PROFILE = bytes.fromhex(f"{_ID_IT}15")
CRL_STATUS_LIST = bytes.fromhex(f"{_ID_IT}16")
CRLS = bytes.fromhex(f"{_ID_IT}17")
KEM_CIPHERTEXT_INFO = bytes.fromhex(f"{_ID_IT}18")


ENVELOPED_DATA_VERSION = 3
"""RFC 9810 §7: the pvno of messages with EnvelopedData."""


class BodyType(IntEnum):
    """The tags of RFC 9810 §5.1.2 PKIBody."""

    IR = 0
    IP = 1
    CR = 2
    CP = 3
    P10CR = 4
    POPDECC = 5
    POPDECR = 6
    KUR = 7
    KUP = 8
    KRR = 9
    KRP = 10
    RR = 11
    RP = 12
    CCR = 13
    CCP = 14
    CKUANN = 15
    CANN = 16
    RANN = 17
    CRLANN = 18
    PKICONF = 19
    NESTED = 20
    GENM = 21
    GENP = 22
    ERROR = 23
    CERT_CONF = 24
    POLL_REQ = 25
    POLL_REP = 26

    @property
    def tag(self) -> int:
        return der.CONTEXT_0 | self


class PKIStatus(IntEnum):
    """RFC 9810 §5.2.3 PKIStatus."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3
    REVOCATION_WARNING = 4
    REVOCATION_NOTIFICATION = 5
    KEY_UPDATE_WARNING = 6


class FailInfo(IntEnum):
    """The bits of RFC 9810 §5.2.3 PKIFailureInfo."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERT_ID = 4
    BAD_DATA_FORMAT = 5
    WRONG_AUTHORITY = 6
    INCORRECT_DATA = 7
    MISSING_TIME_STAMP = 8
    BAD_POP = 9
    CERT_REVOKED = 10
    CERT_CONFIRMED = 11
    WRONG_INTEGRITY = 12
    BAD_RECIPIENT_NONCE = 13
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADD_INFO_NOT_AVAILABLE = 17
    BAD_SENDER_NONCE = 18
    BAD_CERT_TEMPLATE = 19
    SIGNER_NOT_TRUSTED = 20
    TRANSACTION_ID_IN_USE = 21
    UNSUPPORTED_VERSION = 22
    NOT_AUTHORIZED = 23
    SYSTEM_UNAVAIL = 24
    SYSTEM_FAILURE = 25
    DUPLICATE_CERT_REQ = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class PKIStatusInfo:
    """RFC 9810 §5.2.3: `fail_info` is told with a rejection only (RFC 9483 §4.1.1)."""

    status: PKIStatus
    texts: tuple[str, ...] = ()
    fail_info: frozenset[FailInfo] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PKIHeader:
    """RFC 9810 §5.1.1. Names are GeneralNames in DER, `protection_alg` an AlgorithmIdentifier.

    Of generalInfo there is what this house knows, and all of it by its types, as it came; that is
    read, and not written. `originals` is the value of origPKIMessage in DER, not yet read.
    """

    pvno: int
    sender: bytes
    recipient: bytes
    message_time: datetime | None = None
    protection_alg: bytes | None = None
    sender_kid: bytes | None = None
    recip_kid: bytes | None = None
    transaction_id: bytes | None = None
    sender_nonce: bytes | None = None
    recip_nonce: bytes | None = None
    free_text: tuple[str, ...] = ()
    implicit_confirm: bool = False
    confirm_wait_time: datetime | None = None
    cert_profile: tuple[str, ...] = ()
    general_info: Mapping[bytes, bytes | None] = field(
        default_factory=dict, compare=False, repr=False
    )
    originals: bytes | None = field(default=None, repr=False)

    @property
    def sender_name(self) -> bytes | None:
        """Give the Name, in DER, of a sender that is a directoryName."""
        (sender,) = der.split(self.sender)
        return sender.content if sender.tag == DIRECTORY_NAME else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PKIMessage:
    """RFC 9810 §5.1: the header read, header and body as they came, the body not yet read.

    `body_octets` is the element with the tag of its type, `protection` what the BIT STRING holds.
    """

    header: PKIHeader
    header_octets: bytes = field(repr=False)
    body_type: BodyType
    body_octets: bytes = field(repr=False)
    protection: bytes | None = field(default=None, repr=False)
    extra_certs: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def protected_part(self) -> bytes:
        """What protection covers (RFC 9810 §5.1.3): header and body as they came."""
        return der.encode(der.SEQUENCE, self.header_octets, self.body_octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertReqMessages:
    """The body of ir, cr and kur (RFC 4211 §3)."""

    messages: tuple[CertReqMsg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationRequest:
    """The body of p10cr: a PKCS #10 request in DER, not yet read."""

    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertStatus:
    """RFC 9810 §5.3.18. `hash_alg` is an AlgorithmIdentifier in DER."""

    cert_hash: bytes
    cert_req_id: int
    status_info: PKIStatusInfo | None = None
    hash_alg: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertConfirmContent:
    """The body of certConf; without a status everything is rejected (RFC 9810 §5.3.18)."""

    statuses: tuple[CertStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class POPODecKeyRespContent:
    """The body of popdecr: what was in each challenge, as an INTEGER holds it (§5.2.8.3.3)."""

    numbers: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReqContent:
    """The body of pollReq (RFC 9810 §5.3.22)."""

    cert_req_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoTypeAndValue:
    """RFC 9810 §5.1.1: the type is an OBJECT IDENTIFIER in DER, the value one element or none."""

    info_type: bytes
    info_value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenMsgContent:
    """The body of genm (RFC 9810 §5.3.19)."""

    infos: tuple[InfoTypeAndValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevDetails:
    """RFC 9810 §5.3.9: which certificate, and for its entry on the CRL each reasonCode, unread.

    The other extensions of crlEntryDetails are passed over.
    """

    template: CertTemplate
    reasons: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevReqContent:
    """The body of rr (RFC 9810 §5.3.9)."""

    details: tuple[RevDetails, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMsgContent:
    """The body of error (RFC 9810 §5.3.21)."""

    status_info: PKIStatusInfo
    error_code: int | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedMessageContent:
    """RFC 9810 §5.1.3.5: messages as they came; whether they are any is theirs to tell."""

    messages: tuple[bytes, ...] = field(repr=False)


Body = (
    CertReqMessages
    | CertificationRequest
    | CertConfirmContent
    | PollReqContent
    | POPODecKeyRespContent
    | GenMsgContent
    | RevReqContent
    | ErrorMsgContent
    | NestedMessageContent
)
"""What a client may ask here."""
