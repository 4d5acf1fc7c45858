"""What CMP asks of a CertTemplate beyond its form (RFC 9483 §4.1.1)."""

from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509

from enroll.failures import FailureReason, PolicyViolation
from enroll.request import CertificateRequest
from protocols.crmf.messages import CertTemplate

_NULL_DN = b"\x30\x00"
_ALTERNATIVE_NAMES = bytes.fromhex("0603551d11")


def check_named(template: CertTemplate) -> None:
    """Demand a name of some kind. Raises PolicyViolation."""
    extensions = template.extensions or {}
    if template.subject in {None, _NULL_DN} and _ALTERNATIVE_NAMES not in extensions:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "the template has neither a subject nor alternative names",
            field="subject",
        )


def with_issuer(
    wanted: CertificateRequest, template: CertTemplate, ca_certificates: Sequence[bytes]
) -> CertificateRequest:
    """Note an issuer that was asked for and is not the one that issues, the first of these."""
    if template.issuer is None:
        return wanted
    issuing = x509.load_der_x509_certificate(ca_certificates[0]).subject.public_bytes()
    return replace(wanted, asks_beyond=wanted.asks_beyond or template.issuer != issuing)
