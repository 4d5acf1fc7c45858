"""What a CMP server must know to be asked."""

from typing import Protocol

from cryptography import x509

from enroll.profiles import EnrollmentProfile
from protocols.cmp.protection import Signer


class Services(Protocol):
    """What a server has under CMP; from memory."""

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        """Give the profile that a label means; None if CMP does not reach it."""
        ...

    def signer(self) -> Signer | None:
        """Give who signs the answers; none before there is a certificate."""
        ...

    def ca_certificates(self) -> tuple[bytes, ...]:
        """Give the issuing CA's certificate and all above it, DER."""
        ...


def without_roots(certificates: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Leave out what signed itself: it belongs into caPubs, if anywhere (RFC 9483 §3.3)."""
    found = [(each, x509.load_der_x509_certificate(each)) for each in certificates]
    return tuple(octets for octets, each in found if each.subject != each.issuer)
