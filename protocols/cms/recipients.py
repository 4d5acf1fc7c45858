"""RecipientInfo (RFC 5652 §6.2), written: to whom an envelope is closed, and how."""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocols import der
from protocols.cms import key_encapsulation, key_transport, key_wrap
from protocols.cms.digests import Digest
from protocols.cms.identifiers import NumberedKey, issuer_and_serial, tagged_key_identifier
from protocols.cms.key_agreement import KeyAgreementScheme
from protocols.cms.key_encapsulation import KeyDerivation
from protocols.cms.key_wrap import KeyWrap
from protocols.cms.recipient_info_form import KARI, KEKRI, ORI, ContentKey, fields_of
from protocols.public_keys import unsupported

_KEKRI_FIELDS = (der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.OCTET_STRING)
_VERSION_0 = der.encode(der.INTEGER, b"\x00")
_VERSION_2 = der.encode(der.INTEGER, b"\x02")
_VERSION_3 = der.encode(der.INTEGER, b"\x03")
_VERSION_4 = der.encode(der.INTEGER, b"\x04")


class Recipient(Protocol):
    """Somebody to whom the content-encryption key can be given."""

    @property
    def envelope_version(self) -> int:
        """The version that EnvelopedData has because of this recipient (RFC 5652 §6.1)."""

    def encode(self, content_key: bytes) -> bytes:
        """Write the RecipientInfo that gives the key to this recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTransport:
    """The holder of an RSA key: KeyTransRecipientInfo, with OAEP if a digest for it is given."""

    certificate: x509.Certificate | NumberedKey
    oaep: Digest | None = None
    key_identifier: bytes | None = None

    @property
    def envelope_version(self) -> int:
        return 0 if self.key_identifier is None else 2

    def encode(self, content_key: bytes) -> bytes:
        """Encrypt the key. Raises UNSUPPORTED_ALGORITHM when the recipient's key cannot do that."""
        public_key = self.certificate.public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise unsupported("publicKey", "key transport needs the recipient's key to be RSA")
        if self.key_identifier is None:
            identity = _VERSION_0 + issuer_and_serial(self.certificate)
        else:
            identity = _VERSION_2 + tagged_key_identifier(self.key_identifier)
        try:
            encrypted = public_key.encrypt(content_key, key_transport.rsa_padding(self.oaep))
        except ValueError as error:
            raise unsupported("publicKey", "the recipient's RSA key is too short") from error
        return der.encode(
            der.SEQUENCE,
            identity,
            key_transport.encode_algorithm(self.oaep),
            der.encode(der.OCTET_STRING, encrypted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAgreement:
    """The holder of a key on P-256, P-384, P-521, X25519 or X448: KeyAgreeRecipientInfo."""

    certificate: x509.Certificate | NumberedKey
    wrap: KeyWrap = KeyWrap.AES_256
    key_identifier: bytes | None = None
    envelope_version = 2

    @property
    def scheme(self) -> KeyAgreementScheme:
        """Tell which scheme it is going to be. Raises UNSUPPORTED_ALGORITHM."""
        return _agree(self.certificate)[0]

    def encode(self, content_key: bytes) -> bytes:
        """Agree on a key with an ephemeral one of ours. Raises UNSUPPORTED_ALGORITHM."""
        scheme, originator, secret = _agree(self.certificate)
        wrapped = key_wrap.wrap(scheme.wrapping_key(secret, self.wrap, None), content_key)
        if self.key_identifier is None:
            recipient = issuer_and_serial(self.certificate)
        else:
            identifier = der.encode(der.OCTET_STRING, self.key_identifier)
            recipient = der.encode(der.CONTEXT_0, identifier)
        encrypted_key = der.encode(der.SEQUENCE, recipient, der.encode(der.OCTET_STRING, wrapped))
        return der.encode(
            KARI,
            _VERSION_3,
            der.encode(der.CONTEXT_0, der.encode(der.CONTEXT_1, originator)),
            der.encode(der.SEQUENCE, scheme.oid, self.wrap.algorithm),
            der.encode(der.SEQUENCE, encrypted_key),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEncapsulation:
    """The holder of an ML-KEM key: KEMRecipientInfo (RFC 9629 §3, RFC 9936)."""

    certificate: x509.Certificate | NumberedKey
    wrap: KeyWrap = KeyWrap.AES_256
    key_identifier: bytes | None = None
    derivation: KeyDerivation = KeyDerivation.HKDF_SHA256
    envelope_version = 3

    def encode(self, content_key: bytes) -> bytes:
        """Encapsulate a secret and wrap the key with it. Raises UNSUPPORTED_ALGORITHM."""
        public_key = self.certificate.public_key()
        if not isinstance(public_key, mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey):
            raise unsupported("publicKey", "nothing can be encapsulated to a key of this kind")
        kem, ciphertext, secret = key_encapsulation.encapsulate(public_key)
        wrapping_key = self.derivation.wrapping_key(secret, self.wrap, None)
        recipient = (
            issuer_and_serial(self.certificate)
            if self.key_identifier is None
            else tagged_key_identifier(self.key_identifier)
        )
        return der.encode(
            ORI,
            key_encapsulation.ORI_KEM,
            der.encode(
                der.SEQUENCE,
                _VERSION_0,
                recipient,
                kem,
                der.encode(der.OCTET_STRING, ciphertext),
                self.derivation.algorithm,
                key_encapsulation.kek_length(self.wrap),
                self.wrap.algorithm,
                der.encode(der.OCTET_STRING, key_wrap.wrap(wrapping_key, content_key)),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEncryptionKey:
    """Whoever has a symmetric key in common with us: KEKRecipientInfo, AES key wrap by its length.

    Raises UNSUPPORTED_ALGORITHM for a key that is not as long as one of AES.
    """

    key_identifier: bytes
    key: bytes = field(repr=False)
    envelope_version = 2

    def __post_init__(self) -> None:
        if len(self.key) not in {each.value for each in KeyWrap}:
            raise unsupported("keyEncryptionAlgorithm", "AES key wrap takes 16, 24 or 32 octets")

    def encode(self, content_key: bytes) -> bytes:
        return der.encode(
            KEKRI,
            _VERSION_4,
            der.encode(der.SEQUENCE, der.encode(der.OCTET_STRING, self.key_identifier)),
            KeyWrap(len(self.key)).algorithm,
            der.encode(der.OCTET_STRING, key_wrap.wrap(self.key, content_key)),
        )

    def find(self, recipient_info: der.Element) -> ContentKey | None:
        """Give how to unwrap the content key, if the RecipientInfo names this key.

        Raises UNSUPPORTED_ALGORITHM.
        """
        if recipient_info.tag != KEKRI:
            return None
        _, identifier, algorithm, encrypted_key = fields_of(recipient_info, _KEKRI_FIELDS)
        named = der.split(identifier.content)
        if not named or named[0].whole != der.encode(der.OCTET_STRING, self.key_identifier):
            return None
        if key_wrap.read_algorithm(algorithm.whole).value != len(self.key):
            raise unsupported("keyEncryptionAlgorithm", "the key has another length")
        return ContentKey(lambda: key_wrap.unwrap(self.key, encrypted_key.content))


def recipient_of(
    certificate: x509.Certificate | NumberedKey,
    *,
    key_identifier: bytes | None = None,
    oaep: Digest | None = None,
    wrap: KeyWrap = KeyWrap.AES_256,
) -> KeyTransport | KeyAgreement | KeyEncapsulation:
    """Choose how to reach the holder of a certificate or of a bare key, by that key.

    Raises UNSUPPORTED_ALGORITHM when no way leads there: the key is one that only signs.
    """
    match certificate.public_key():
        case rsa.RSAPublicKey():
            return KeyTransport(certificate=certificate, oaep=oaep, key_identifier=key_identifier)
        case ec.EllipticCurvePublicKey(curve=ec.EllipticCurve(name=name)) if name in _EC_SCHEMES:
            pass
        case x25519.X25519PublicKey() | x448.X448PublicKey():
            pass
        case mlkem.MLKEM768PublicKey() | mlkem.MLKEM1024PublicKey():
            return KeyEncapsulation(
                certificate=certificate, wrap=wrap, key_identifier=key_identifier
            )
        case _:
            raise unsupported("publicKey", "nothing can be encrypted to a key of this kind")
    return KeyAgreement(certificate=certificate, wrap=wrap, key_identifier=key_identifier)


def _agree(certificate: x509.Certificate | NumberedKey) -> tuple[KeyAgreementScheme, bytes, bytes]:
    """Give the scheme, the content of our ephemeral OriginatorPublicKey, and the secret."""
    theirs = certificate.public_key()
    match theirs:
        case ec.EllipticCurvePublicKey(curve=curve) if curve.name in _EC_SCHEMES:
            ours = ec.generate_private_key(curve)
            point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            scheme, algorithm = _EC_SCHEMES[curve.name]
            return scheme, algorithm + _bits(point), ours.exchange(ec.ECDH(), theirs)
        case x25519.X25519PublicKey():
            one_time = x25519.X25519PrivateKey.generate()
            scheme = KeyAgreementScheme.STD_DH_HKDF_SHA256
            originator = _X25519 + _bits(one_time.public_key().public_bytes_raw())
            # cryptography refuses a secret of zeros (RFC 8418 §2).
            return scheme, originator, one_time.exchange(theirs)
        case x448.X448PublicKey():
            once = x448.X448PrivateKey.generate()
            scheme = KeyAgreementScheme.STD_DH_HKDF_SHA512
            originator = _X448 + _bits(once.public_key().public_bytes_raw())
            return scheme, originator, once.exchange(theirs)
        case _:
            raise unsupported("publicKey", "nothing can be agreed on with a key of this kind")


def _bits(octets: bytes) -> bytes:
    return der.encode(der.BIT_STRING, b"\x00", octets)


def _ec(curve: str) -> bytes:
    return der.encode(der.SEQUENCE, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex(curve))


_X25519 = der.encode(der.SEQUENCE, bytes.fromhex("06032b656e"))
_X448 = der.encode(der.SEQUENCE, bytes.fromhex("06032b656f"))
# By curve: a KDF of its strength, and how the ephemeral key's algorithm is written.
_EC_SCHEMES = {
    "secp256r1": (KeyAgreementScheme.STD_DH_SHA256_KDF, _ec("06082a8648ce3d030107")),
    "secp384r1": (KeyAgreementScheme.STD_DH_SHA384_KDF, _ec("06052b81040022")),
    "secp521r1": (KeyAgreementScheme.STD_DH_SHA512_KDF, _ec("06052b81040023")),
}
