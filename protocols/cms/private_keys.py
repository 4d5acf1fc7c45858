"""Private keys that open envelopes: for key transport by RSA, and for key agreement."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x448, x25519

from enroll.failures import Malformed
from protocols import der
from protocols.cms import key_agreement, key_transport, key_wrap
from protocols.cms.identifiers import names_of, tagged_key_identifier
from protocols.cms.recipient_info_form import KARI, KTRI, ContentKey, fields_of

Decrypt = Callable[[bytes, padding.PKCS1v15 | padding.OAEP], bytes]
"""Decrypts by RSA, wherever the key is; raises ValueError for what it cannot decrypt.

With PKCS#1 v1.5 it may also give other octets then (implicit rejection): nobody is told.
"""
PeerKey = ec.EllipticCurvePublicKey | x25519.X25519PublicKey | x448.X448PublicKey
Agree = Callable[[PeerKey], bytes]
"""Makes the common secret out of the other's key; raises ValueError when it cannot."""

_ORIGINATOR_KEY = der.CONTEXT_1
_KEY_IDENTIFIER = der.CONTEXT_0
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_X25519 = bytes.fromhex("06032b656e")
_X448 = bytes.fromhex("06032b656f")
_UNCOMPRESSED = b"\x04"
_SCALARS = (der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.OCTET_STRING)
_WITHOUT_UKM = (der.INTEGER, der.CONTEXT_0, der.SEQUENCE, der.SEQUENCE)
_WITH_UKM = (der.INTEGER, der.CONTEXT_0, der.CONTEXT_1, der.SEQUENCE, der.SEQUENCE)
_TAGGED = (der.INTEGER, 0x80, der.SEQUENCE, der.OCTET_STRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportKey:
    """An RSA key with its certificate: opens what KeyTransRecipientInfo closes."""

    certificate: x509.Certificate
    decrypt: Decrypt
    _names: frozenset[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", names_of(self.certificate, tagged_key_identifier))

    @classmethod
    def holding(cls, certificate: x509.Certificate, private_key: rsa.RSAPrivateKey) -> Self:
        return cls(certificate=certificate, decrypt=private_key.decrypt)

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to decrypt the content key, if the RecipientInfo names this certificate.

        Raises UNSUPPORTED_ALGORITHM.
        """
        if recipient_info.tag != KTRI:
            return None
        fields = der.split(recipient_info.content)
        if tuple([each.tag for each in fields]) not in {_SCALARS, _TAGGED}:
            raise Malformed("the envelope's recipient is no KeyTransRecipientInfo")
        _, identifier, algorithm, encrypted_key = fields
        if identifier.whole not in self._names:
            return None
        oaep, form = key_transport.read_algorithm(algorithm.whole)
        return ContentKey(lambda: self.decrypt(encrypted_key.content, form), oaep)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementKey:
    """A key for ECDH, of the NIST curves or X25519 or X448, with its certificate."""

    certificate: x509.Certificate
    agree: Agree
    _names: frozenset[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", names_of(self.certificate, _recipient_key_identifier))

    @classmethod
    def holding(
        cls,
        certificate: x509.Certificate,
        private_key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey,
    ) -> Self:
        def agree(peer: PeerKey) -> bytes:
            match private_key, peer:
                case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
                    return private_key.exchange(ec.ECDH(), peer)
                case x25519.X25519PrivateKey(), x25519.X25519PublicKey():
                    return private_key.exchange(peer)
                case x448.X448PrivateKey(), x448.X448PublicKey():
                    return private_key.exchange(peer)
                case _:
                    raise ValueError("the two keys are of different kinds")

        return cls(certificate=certificate, agree=agree)

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to agree on the content key, if the RecipientInfo names this certificate.

        Raises UNSUPPORTED_ALGORITHM.
        """
        if recipient_info.tag != KARI:
            return None
        fields = der.split(recipient_info.content)
        if tuple([each.tag for each in fields]) not in {_WITH_UKM, _WITHOUT_UKM}:
            raise Malformed("the envelope's recipient is no KeyAgreeRecipientInfo")
        encrypted_key = self._encrypted_key(fields[-1])
        if encrypted_key is None:
            return None
        scheme_oid, wrap_algorithm = fields_of(fields[-2], (der.OBJECT_IDENTIFIER, der.SEQUENCE))
        scheme = key_agreement.read_scheme(scheme_oid.whole)
        wrap = key_wrap.read_algorithm(wrap_algorithm.whole)
        (originator,) = der.split(fields[1].content)
        ukm = None
        if fields[2].tag == der.CONTEXT_1:
            ukm = fields_of(fields[2], (der.OCTET_STRING,))[0].content

        def unwrap() -> bytes:
            secret = self.agree(_read_peer(originator, self.certificate))
            return key_wrap.unwrap(scheme.wrapping_key(secret, wrap, ukm), encrypted_key)

        return ContentKey(unwrap)

    def _encrypted_key(self, recipients: der.Element) -> bytes | None:
        for each in der.split(recipients.content):
            identifier, encrypted_key = der.split(each.content)
            named = identifier.whole
            if identifier.tag == _KEY_IDENTIFIER:
                # RecipientKeyIdentifier: what may follow says which key of several; we have one.
                named = _recipient_key_identifier_of(der.split(identifier.content)[0].whole)
            if named in self._names:
                return encrypted_key.content
        return None


def _recipient_key_identifier(key_identifier: bytes) -> bytes:
    return _recipient_key_identifier_of(der.encode(der.OCTET_STRING, key_identifier))


def _recipient_key_identifier_of(element: bytes) -> bytes:
    return der.encode(_KEY_IDENTIFIER, element)


def _read_peer(originator: der.Element, ours: x509.Certificate) -> PeerKey:
    """Read the ephemeral key, on the curve of ours. Raises ValueError."""
    parts = der.split(originator.content) if originator.tag == _ORIGINATOR_KEY else []
    if [part.tag for part in parts] != [der.SEQUENCE, der.BIT_STRING]:
        raise ValueError("the originator gives no key of its own")
    algorithm, bits = parts
    octets = bits.content[1:]
    match ours.public_key():
        case ec.EllipticCurvePublicKey(curve=curve) if (
            algorithm.content.startswith(_EC_PUBLIC_KEY) and octets[:1] == _UNCOMPRESSED
        ):
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, octets)
        case x25519.X25519PublicKey() if algorithm.content.startswith(_X25519):
            return x25519.X25519PublicKey.from_public_bytes(octets)
        case x448.X448PublicKey() if algorithm.content.startswith(_X448):
            return x448.X448PublicKey.from_public_bytes(octets)
        case _:
            raise ValueError("the originator's key is of another kind than ours")
