"""SignedData (RFC 5652 §5) with one signer and signed attributes, written and read."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509 import ObjectIdentifier

from protocols import der
from protocols.cms.content_info import DATA, encode_oid
from protocols.cms.digests import Digest
from protocols.cms.identifiers import issuer_and_serial, tagged_key_identifier
from protocols.cms.signatures import Scheme, Sign, encode_algorithm, scheme_of, signing

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


def der_set(elements: Iterable[bytes]) -> bytes:
    """Write a SET OF in the order of DER (X.690 §11.6)."""
    return der.encode(der.SET, *sorted(elements))
