"""SignedData (RFC 5652 §5) with one signer and signed attributes, written and read."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
)
from cryptography.x509 import ObjectIdentifier

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.cms import digests
from protocols.cms.content_info import DATA, encode_oid
from protocols.cms.digests import Digest
from protocols.cms.identifiers import (
    issuer_and_serial,
    names,
    public_key_info,
    tagged_key_identifier,
)
from protocols.cms.signatures import (
    Scheme,
    Sign,
    SignatureAlgorithm,
    encode_algorithm,
    read_algorithm,
    scheme_of,
    signing,
)
from protocols.cms.signed_data_form import take_apart, take_signer_apart
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.public_keys import check_key, unsupported

CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")

_VERSION_1 = der.encode(der.INTEGER, b"\x01")
_VERSION_3 = der.encode(der.INTEGER, b"\x03")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTENT_TYPE = encode_oid(CONTENT_TYPE)
_MESSAGE_DIGEST = encode_oid(MESSAGE_DIGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A signed attribute: its type, and its values, each one DER element."""

    type: ObjectIdentifier
    values: tuple[bytes, ...]

    def encode(self) -> bytes:
        values = der.encode(der.SET, *sorted(self.values))
        return der.encode(der.SEQUENCE, encode_oid(self.type), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whoever signs: a certificate, and a key that may be anywhere.

    It is named by issuer and serial number, or with a `key_identifier` by that. Make it once and
    keep it. Raises UNSUPPORTED_ALGORITHM when digest and scheme may not be together.
    """

    certificate: x509.Certificate
    scheme: Scheme
    digest: Digest
    sign: Sign
    key_identifier: bytes | None = None
    _identity: bytes = field(init=False, repr=False)
    _algorithm: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.key_identifier is None:
            identity = _VERSION_1 + issuer_and_serial(self.certificate)
        else:
            identity = _VERSION_3 + tagged_key_identifier(self.key_identifier)
        object.__setattr__(self, "_identity", identity)
        object.__setattr__(self, "_algorithm", encode_algorithm(self.scheme, self.digest))

    @classmethod
    def holding(
        cls,
        certificate: x509.Certificate,
        private_key: PrivateKeyTypes,
        *,
        digest: Digest = Digest.SHA256,
        pss: bool = False,
        key_identifier: bytes | None = None,
    ) -> Self:
        """Sign with a key that this process holds; Ed25519 takes SHA-512 (RFC 8419 §3)."""
        scheme = scheme_of(private_key, pss=pss)
        if scheme is Scheme.ED25519:
            digest = Digest.SHA512
        return cls(
            certificate=certificate,
            scheme=scheme,
            digest=digest,
            sign=signing(private_key, scheme, digest),
            key_identifier=key_identifier,
        )

    def encode(
        self, content_type: ObjectIdentifier, content: bytes, others: Sequence[Attribute]
    ) -> bytes:
        """Sign, and write the SignerInfo (RFC 5652 §5.3)."""
        digest = hashlib.new(self.digest.value, content).digest()
        attributes = der_set(
            (
                der.encode(
                    der.SEQUENCE, _CONTENT_TYPE, der.encode(der.SET, encode_oid(content_type))
                ),
                der.encode(
                    der.SEQUENCE,
                    _MESSAGE_DIGEST,
                    der.encode(der.SET, der.encode(der.OCTET_STRING, digest)),
                ),
                *[each.encode() for each in others],
            )
        )
        # RFC 5652 §5.4: what is signed is a SET OF, what is sent has the tag [0] instead.
        signature = self.sign(attributes)
        return der.encode(
            der.SEQUENCE,
            self._identity,
            self.digest.algorithm,
            bytes((der.CONTEXT_0,)) + attributes[1:],
            self._algorithm,
            der.encode(der.OCTET_STRING, signature),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfo:
    """Who says to have signed, how, and what beside the content. Nothing of it is proven yet."""

    identifier: bytes
    """IssuerAndSerialNumber, or `[0] SubjectKeyIdentifier`, DER."""
    digest_algorithm: bytes
    algorithm: bytes
    signed_octets: bytes
    """The signed attributes as they were received, under the tag that they were signed with."""
    attributes: Mapping[ObjectIdentifier, tuple[bytes, ...]]
    """The values of each signed attribute, each one DER element."""
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """A message with one signer, read and not yet verified."""

    content_type: ObjectIdentifier
    content: bytes | None
    certificates: tuple[bytes, ...]
    signer: SignerInfo


def encode_signed_data(
    content_type: ObjectIdentifier,
    content: bytes | None,
    *,
    signer: Signer,
    signed_attributes: Sequence[Attribute] = (),
    certificates: Iterable[bytes] = (),
) -> bytes:
    """Sign a content, and write the ContentInfo in DER.

    contentType and messageDigest are added to the signed attributes. Without a content, eContent is
    absent and the digest is that of no octets. The certificates, DER, stand in the order given, for
    some clients take the first.
    """
    held = (
        ()
        if content is None
        else (der.encode(der.CONTEXT_0, der.encode(der.OCTET_STRING, content)),)
    )
    version = _VERSION_1 if content_type == DATA and signer.key_identifier is None else _VERSION_3
    found = b"".join(certificates)
    signed_data = der.encode(
        der.SEQUENCE,
        version,
        der.encode(der.SET, signer.digest.algorithm),
        der.encode(der.SEQUENCE, encode_oid(content_type), *held),
        der.encode(der.CONTEXT_0, found) if found else b"",
        der.encode(der.SET, signer.encode(content_type, content or b"", signed_attributes)),
    )
    return der.encode(der.SEQUENCE, _SIGNED_DATA, der.encode(der.CONTEXT_0, signed_data))


def decode_signed_data(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> SignedData:
    """Read a ContentInfo with a SignedData, BER or DER, that has exactly one signer.

    Nothing is verified: until `verify`, it is only what somebody wrote.

    Raises Malformed, and nothing else, whatever the octets.
    """
    try:
        parts = take_apart(message, limits)
        signer = _only(parts.signers)
    except EnrollmentError:
        raise
    except Exception as error:
        # Form that nobody foresaw. It all means the same.
        raise Malformed(f"the SignedData cannot be read: {error!s:.200}") from error
    return SignedData(
        content_type=parts.content_type,
        content=parts.content,
        certificates=parts.certificates,
        signer=signer,
    )


def verify(
    signed_data: SignedData,
    *,
    certificate: x509.Certificate | None = None,
    allowed: AbstractSet[Digest] = digests.STRONG,
) -> x509.Certificate:
    """Verify that the signer signed this content, and give the certificate whose key did.

    That is the certificate given, or else the one in the message that the signer names; it is
    only a key with a name to it, until somebody trusts it. Algorithms and key are judged before
    anything is computed; RFC 5652 §5.4 and §5.6, §11.1, §11.2.

    Raises UNSUPPORTED_ALGORITHM, BAD_MESSAGE_CHECK, and nothing else.
    """
    signer = signed_data.signer
    algorithm = _judge(signer, allowed)
    _check_attributes(signed_data, algorithm.digest)
    if certificate is None:
        certificate = _named(signer, signed_data.certificates)
    elif not names(signer.identifier, certificate):
        raise _bad("the signer is another than the one expected", "signer_unexpected")
    try:
        check_key(public_key_info(certificate))
        key = certificate.public_key()
    except EnrollmentError as error:
        raise unsupported("signer", f"the signer's key is not allowed: {error.detail}") from error
    except Exception as error:
        raise unsupported("signer", f"the signer's key cannot be read: {error!s:.200}") from error
    algorithm.verify(key, signer.signature, signer.signed_octets)
    return certificate


def verify_by_key(
    signed_data: SignedData,
    key: CertificatePublicKeyTypes,
    key_identifier: bytes,
    *,
    allowed: AbstractSet[Digest] = digests.STRONG,
) -> None:
    """Verify that a key without a certificate signed this content, and was named so.

    The key has been judged by `protocols.public_keys`. Raises as `verify` does.
    """
    signer = signed_data.signer
    algorithm = _judge(signer, allowed)
    _check_attributes(signed_data, algorithm.digest)
    if signer.identifier != tagged_key_identifier(key_identifier):
        raise _bad("the signer is another than the one expected", "signer_unexpected")
    algorithm.verify(key, signer.signature, signer.signed_octets)


def _only(signers: Sequence[der.Element]) -> SignerInfo:
    if len(signers) != 1:
        raise Malformed(
            f"the SignedData has {len(signers)} signers where one is wanted",
            finding="not_one_signer",
        )
    return SignerInfo(**take_signer_apart(signers[0])._asdict())


def _judge(signer: SignerInfo, allowed: AbstractSet[Digest]) -> SignatureAlgorithm:
    digest = digests.find(signer.digest_algorithm)
    if digest is None or digest not in allowed:
        raise unsupported("digestAlgorithm", "the digest algorithm is not in the list")
    return read_algorithm(signer.algorithm, digest)


def _check_attributes(signed_data: SignedData, digest: Digest) -> None:
    attributes = signed_data.signer.attributes
    if attributes.get(CONTENT_TYPE) != (encode_oid(signed_data.content_type),):
        raise _bad("the signed content type is not the content's", "content_type_unsigned")
    computed = hashlib.new(digest.value, signed_data.content or b"").digest()
    if attributes.get(MESSAGE_DIGEST) != (der.encode(der.OCTET_STRING, computed),):
        raise _bad("the signed digest is not the content's", "digest_mismatch")


def _named(signer: SignerInfo, certificates: Iterable[bytes]) -> x509.Certificate:
    for each in certificates:
        try:
            certificate = x509.load_der_x509_certificate(each)
            if names(signer.identifier, certificate):
                return certificate
        except (ValueError, x509.InvalidVersion):
            continue  # A certificate that cannot be read is not the one that signs.
    raise _bad("the signer's certificate is not in the message", "signer_certificate_missing")


def _bad(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding=finding)


def der_set(elements: Iterable[bytes]) -> bytes:
    """Write a SET OF in the order of DER (X.690 §11.6)."""
    return der.encode(der.SET, *sorted(elements))
