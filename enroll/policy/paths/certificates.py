"""A certificate as path building sees it: each part read once, and none before it is needed."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.policy.keys import spki_of
from enroll.policy.names import ComparableName, comparable_name
from enroll.policy.paths.faults import PathError, PathFault, printable

Extension = TypeVar("Extension", bound=x509.ExtensionType)

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,
)
"""What cryptography raises, when asked for a part, about octets that hold no such thing."""


@dataclass(frozen=True, eq=False)
class PathCertificate:
    """One certificate. Its parts raise PathError (CERTIFICATE_UNREADABLE) if they are malformed."""

    certificate: x509.Certificate

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def fingerprint(self) -> str:
        return sha256(self.der).hexdigest()

    @cached_property
    def subject(self) -> ComparableName:
        try:
            return comparable_name(self.certificate.subject)
        except UNREADABLE as error:
            raise self._unreadable("subject", error) from error

    @cached_property
    def issuer(self) -> ComparableName:
        try:
            return comparable_name(self.certificate.issuer)
        except UNREADABLE as error:
            raise self._unreadable("issuer", error) from error

    @property
    def is_self_issued(self) -> bool:
        return self.subject == self.issuer

    @cached_property
    def public_key(self) -> CertificatePublicKeyTypes:
        try:
            return self.certificate.public_key()
        except UNREADABLE as error:
            raise self._unreadable("public key", error) from error

    @cached_property
    def spki_sha256(self) -> str:
        try:
            return sha256(spki_of(self.public_key)).hexdigest()
        except UNREADABLE as error:
            raise self._unreadable("public key", error) from error

    @cached_property
    def extensions(self) -> x509.Extensions:
        try:
            return self.certificate.extensions
        except UNREADABLE as error:
            raise self._unreadable("extensions", error) from error

    @property
    def title(self) -> str:
        """Name the certificate for an operator."""
        try:
            name = self.certificate.subject.rfc4514_string()
        except UNREADABLE:
            name = ""
        return printable(name or f"certificate {self.fingerprint[:16]}")[:120]

    @property
    def issuer_title(self) -> str:
        try:
            return printable(self.certificate.issuer.rfc4514_string())[:120]
        except UNREADABLE:
            return "an unreadable issuer"

    def extension(self, kind: type[Extension]) -> Extension | None:
        """Give an extension's value, or None if it is not there."""
        try:
            return self.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    def _unreadable(self, part: str, error: Exception) -> PathError:
        return PathError(
            PathFault.CERTIFICATE_UNREADABLE,
            f"the {part} of certificate {self.fingerprint[:16]} cannot be read: {error}",
        )
