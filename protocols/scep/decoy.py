"""What is read in place of a sealed request: so that a refusal takes as long whatever it is for."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID

from enroll.failures import EnrollmentError
from protocols import pkcs10
from protocols.limits import DERLimits
from protocols.pkcs10 import Proven, TakenApart

_BLOCK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """A certification request whose signature is wrong, as it is in most that are refused."""

    request: bytes
    taken: TakenApart
    proven: Proven
    """As if it were right."""
    garbled: bytes
    """With one block of its names spoiled, as whoever changes a block of CBC spoils the next."""

    @classmethod
    def made_with(cls, subject: x509.Name, key: rsa.RSAPrivateKey) -> Self:
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        builder = builder.add_attribute(
            AttributeOID.CHALLENGE_PASSWORD, bytes(24).hex().encode()[:24]
        )
        good = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        request = good[:-1] + bytes((good[-1] ^ 1,))
        return cls(
            request=request,
            taken=pkcs10.take_apart(request),
            proven=pkcs10.prove(pkcs10.take_apart(good)),
            garbled=good[:_BLOCK] + b"\x7f" * _BLOCK + good[2 * _BLOCK :],
        )

    def stumble(self, limits: DERLimits) -> None:
        """Fail to read the garbled one."""
        with suppress(EnrollmentError):
            pkcs10.take_apart(self.garbled, limits)
