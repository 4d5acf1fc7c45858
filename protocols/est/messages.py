"""What EST says: operations and addresses, and what a server must know to be asked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from enroll.options import FULL_CMC
from enroll.profiles import EnrollmentProfile
from enroll.requirements import RequestRequirements

PKCS10 = "application/pkcs10"
CERTIFICATES = "application/pkcs7-mime"
CERTIFICATE = "application/pkcs7-mime; smime-type=certs-only"
PKCS7_MIME = "application/pkcs7-mime"
CMC_REQUEST = "application/pkcs7-mime; smime-type=CMC-request"
CMC_RESPONSE = "application/pkcs7-mime; smime-type=CMC-response"
CSR_ATTRIBUTES = "application/csrattrs"
PKCS8 = "application/pkcs8"
GENERATED_KEY = "application/pkcs7-mime; smime-type=server-generated-key"

HTTP_BASIC = "http_basic"
HTTP_DIGEST = "http_digest"
CLIENT_CERTIFICATE = "client_certificate"
SIGNER_CERTIFICATE = "signer_certificate"
MESSAGE_MAC = "message_mac"


class Labels(Protocol):
    """The labels that a server has under EST, and what stands behind them; from memory."""

    def exists(self, label: str) -> bool: ...

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        """Give the profile of a label, or the one that is meant without."""
        ...

    def makes_keys(self, label: str | None) -> bool:
        """Tell whether keys are made for devices there; without a label, anywhere."""
        ...

    def requirements(self, label: str | None) -> RequestRequirements:
        """Tell what anybody's request should hold; nothing, where nobody enrolls."""
        ...

    def ca_certificates(self, label: str | None) -> tuple[bytes, ...]:
        """Give the current root and all that builds chains to it, DER; None is no label."""
        ...


class ESTOperation(StrEnum):
    """The operation paths of RFC 7030 §3.2.2 that are served."""

    CA_CERTIFICATES = "cacerts"
    CSR_ATTRIBUTES = "csrattrs"
    SIMPLE_ENROLL = "simpleenroll"
    SIMPLE_REENROLL = "simplereenroll"
    FULL_CMC = FULL_CMC
    SERVER_KEY_GENERATION = "serverkeygen"

    @property
    def methods(self) -> tuple[str, ...]:
        if self in {ESTOperation.CA_CERTIFICATES, ESTOperation.CSR_ATTRIBUTES}:
            return ("GET", "HEAD")
        return ("POST",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTAddress:
    """What a path names: an operation, and the label before it if there is one."""

    operation: ESTOperation
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLayout:
    """How the asking client must have its base64 laid out.

    strongSwan 5.9.8 cannot read lines, others cannot read anything else; it is strongSwan that
    sends no User-Agent.
    """

    in_lines: bool


IN_LINES = AnswerLayout(in_lines=True)
IN_ONE_PIECE = AnswerLayout(in_lines=False)
