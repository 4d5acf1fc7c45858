"""Issuing CAs: certificate, key and chain, with what they put into every certificate they sign."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

KeyOfOneAlgorithm = (
    ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)
"""The keys whose signatures leave nothing to choose: no hash, no padding."""
SignatureHash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


class IssuerError(ValueError):
    """A certificate and a key do not make an issuing CA; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """A CA that signs here. `chain` holds the certificates above it, DER, nearest first.

    Raises IssuerError where nobody could verify what it would sign.
    """

    name: str
    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)
    chain: tuple[bytes, ...] = ()
    public_http_url: str

    def __post_init__(self) -> None:
        _check_authority(self.name, self.certificate)
        if self.key.public_key() != self.certificate.public_key():
            raise IssuerError(
                f"issuer {self.name!r}: the private key is not that of its certificate"
            )

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def not_valid_before(self) -> datetime:
        return self.certificate.not_valid_before_utc

    @cached_property
    def not_valid_after(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @cached_property
    def signature_hash(self) -> SignatureHash | None:
        return signature_hash_for(self.key)

    @cached_property
    def signature_over(self) -> Callable[[bytes], bytes]:
        """Signs octets just as a certificate of this issuer is signed."""
        key, digest = self.key, self.signature_hash
        if isinstance(key, KeyOfOneAlgorithm):
            return key.sign
        if isinstance(key, ec.EllipticCurvePrivateKey) and digest is not None:
            return partial(key.sign, signature_algorithm=ec.ECDSA(digest))
        if isinstance(key, rsa.RSAPrivateKey) and digest is not None:
            return partial(key.sign, padding=padding.PKCS1v15(), algorithm=digest)
        raise IssuerError(f"issuer {self.name!r}: a key of this kind cannot sign")

    @cached_property
    def authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        subject = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject.value)

    @cached_property
    def crl_distribution_points(self) -> x509.CRLDistributionPoints:
        return crl_distribution_points(self.public_http_url, self.name)

    @cached_property
    def authority_information_access(self) -> x509.AuthorityInformationAccess:
        return authority_information_access(self.public_http_url, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerIssuer:
    """A CA whose certificates are good here, and whose key is not: it signs nothing any more."""

    certificate: x509.Certificate
    chain: tuple[bytes, ...]

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSet:
    """The issuing CAs of an installation by name, and the roots that relying parties trust.

    `successors` names the CA that signs now in the place of one that signs no more.
    """

    issuers: Mapping[str, Issuer]
    roots: tuple[bytes, ...]
    former: Mapping[str, FormerIssuer] = field(default_factory=dict)
    successors: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Issuer | FormerIssuer | None:
        return self.issuers.get(name) or self.former.get(name)

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Give what EST's /cacerts holds (RFC 7030 §4.1.3): issuing CAs, then those above."""
        found: dict[bytes, None] = {}
        every: tuple[Issuer | FormerIssuer, ...] = (*self.issuers.values(), *self.former.values())
        found.update((each.der, None) for each in every)
        for each in every:
            found.update(dict.fromkeys(each.chain))
        found.update(dict.fromkeys(self.roots))
        return tuple(found)


def signature_hash_for(key: CertificateIssuerPrivateKeyTypes) -> SignatureHash | None:
    """Choose the hash that a CA key signs with; Edwards and ML-DSA keys bring their own."""
    if isinstance(key, KeyOfOneAlgorithm):
        return None
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name == "secp384r1":
            return hashes.SHA384()
        case ec.EllipticCurvePrivateKey() if key.curve.name == "secp521r1":
            return hashes.SHA512()
        case ec.EllipticCurvePrivateKey() | rsa.RSAPrivateKey():
            return hashes.SHA256()
        case _:
            raise ValueError(f"a CA cannot sign with a {type(key).__name__}")


def crl_location(public_http_url: str, issuer: str) -> str:
    return f"{public_http_url}/crl/{issuer}.crl"


def crl_distribution_points(public_http_url: str, issuer: str) -> x509.CRLDistributionPoints:
    location = x509.UniformResourceIdentifier(crl_location(public_http_url, issuer))
    return x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                full_name=[location], relative_name=None, reasons=None, crl_issuer=None
            )
        ]
    )


def authority_information_access(
    public_http_url: str, issuer: str
) -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(f"{public_http_url}/ca/{issuer}.crt")
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)]
    )


def _check_authority(name: str, certificate: x509.Certificate) -> None:
    """Check that relying parties will take the certificate for a CA's (RFC 5280 §4.2.1)."""
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise IssuerError(f"issuer {name!r}: its certificate is not a CA's: {error}") from error
    if not (constraints.ca and usage.key_cert_sign and usage.crl_sign):
        raise IssuerError(
            f"issuer {name!r}: its certificate may not sign certificates and revocation lists"
        )
