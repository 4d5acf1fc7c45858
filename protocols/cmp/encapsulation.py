"""KEM-based MACs of clients (RFC 9810 §5.1.3.4): what is encapsulated for them, and known again."""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.cmp.encode import encode_general_response, encode_texts
from protocols.cmp.macs import KEY_OCTETS, MACKey, read_hmac
from protocols.cmp.messages import (
    KEM_CIPHERTEXT_INFO,
    Body,
    BodyType,
    GenMsgContent,
    InfoTypeAndValue,
    PKIHeader,
    PKIMessage,
)
from protocols.cmp.protection import check_protection, mac_holds
from protocols.cmp.reply import Reply
from protocols.cmp.senders import BySignature, chain_of
from protocols.cmp.strictness import FOLLOWING
from protocols.cms.key_encapsulation import KeyDerivation, encapsulate
from protocols.public_keys import unsupported
from protocols.wire import WireResponse

LIFETIME = timedelta(hours=1)
"""How long after the ciphertext its owner may begin what it was asked for."""

_STATIC_STRING = encode_texts(["CMP-KEM"])
_VECTOR_OCTETS = 12
_SECRET_OCTETS = 32
_TIME_OCTETS = 8
_TAG_OCTETS = 16
_SEALED_OCTETS = _VECTOR_OCTETS + _SECRET_OCTETS + _TIME_OCTETS + _TAG_OCTETS
_HASHES: Mapping[bytes, hashes.HashAlgorithm] = {
    KeyDerivation.HKDF_SHA256.algorithm: hashes.SHA256(),
    KeyDerivation.HKDF_SHA384.algorithm: hashes.SHA384(),
    KeyDerivation.HKDF_SHA512.algorithm: hashes.SHA512(),
}
_WITHOUT_CONTEXT = [der.SEQUENCE, der.INTEGER, der.SEQUENCE]
_WITH_CONTEXT = [der.SEQUENCE, der.CONTEXT_0, der.INTEGER, der.SEQUENCE]


@dataclass(frozen=True, slots=True, kw_only=True)
class KEMProtection:
    """Gives ciphertexts, and verifies what was protected with their secrets.

    A secret is kept by its owner, sealed behind our senderNonce, which every message repeats as
    recipNonce: any worker can open it, and it is good for one transaction and one certificate.
    """

    key: bytes = field(repr=False)

    def answer(self, message: PKIMessage, reply: Reply) -> WireResponse:
        """Encapsulate a secret to the certificate of an unproven sender (RFC 9810 §E).

        Raises BAD_MESSAGE_CHECK where there is none with such a key.
        """
        certificate, *_ = chain_of(message)
        public_key = _kem_key(certificate)
        kem, ciphertext, secret = encapsulate(public_key)
        value = der.encode(der.SEQUENCE, kem, der.encode(der.OCTET_STRING, ciphertext))
        info = InfoTypeAndValue(info_type=KEM_CIPHERTEXT_INFO, info_value=value)
        sealed = self._seal(secret, message.header, certificate, reply.now)
        return replace(reply, behind_nonce=sealed).send(encode_general_response([info]))

    def verify(self, message: PKIMessage, reply: Reply) -> tuple[PKIMessage, Reply, BySignature]:
        """Verify a message; give it without what is behind its recipNonce, and how to answer it.

        Raises BAD_MESSAGE_CHECK, UNSUPPORTED_ALGORITHM, Malformed.
        """
        check_protection(message)
        chain = chain_of(message)
        _kem_key(chain[0])
        nonce = message.header.recip_nonce or b""
        own, sealed = nonce[:-_SEALED_OCTETS], nonce[-_SEALED_OCTETS:]
        secret, at = self._open(sealed, message.header, chain[0])
        # Another node may have given it, whose clock is ahead.
        if message.body_type not in FOLLOWING and abs(reply.now - at) > LIFETIME:
            raise _unchecked("the ciphertext was given too long ago", "kem_secret")
        if not mac_holds(message, _derive(message.header, secret)):
            raise _unchecked("the MAC is not that of the encapsulated secret", "kem_mac")
        header = replace(message.header, recip_nonce=own or None)
        return (
            replace(message, header=header),
            replace(reply, request=header, behind_nonce=sealed),
            BySignature(chain=chain),
        )

    def _seal(
        self, secret: bytes, header: PKIHeader, certificate: x509.Certificate, now: datetime
    ) -> bytes:
        vector = os.urandom(_VECTOR_OCTETS)
        octets = secret + int(now.timestamp()).to_bytes(_TIME_OCTETS)
        return vector + self._cipher(header).encrypt(vector, octets, _bound_to(certificate))

    def _open(
        self, sealed: bytes, header: PKIHeader, certificate: x509.Certificate
    ) -> tuple[bytes, datetime]:
        vector, encrypted = sealed[:_VECTOR_OCTETS], sealed[_VECTOR_OCTETS:]
        try:
            octets = self._cipher(header).decrypt(vector, encrypted, _bound_to(certificate))
        except (InvalidTag, ValueError):
            raise _unchecked(
                "the recipNonce is not that of an answer with a ciphertext", "kem_secret"
            ) from None
        seconds = int.from_bytes(octets[_SECRET_OCTETS:])
        return octets[:_SECRET_OCTETS], datetime.fromtimestamp(seconds, UTC)

    def _cipher(self, header: PKIHeader) -> AESGCM:
        """Take a key for each transaction, so that no key seals often."""
        return AESGCM(hmac.digest(self.key, header.transaction_id or b"", "sha256"))


def asks_for_ciphertext(message: PKIMessage, body: Body) -> bool:
    """Tell whether it is the one message that nobody protects: a genm for a ciphertext alone."""
    return (
        message.body_type is BodyType.GENM
        and message.protection is None
        and message.header.protection_alg is None
        and isinstance(body, GenMsgContent)
        and body.infos == (InfoTypeAndValue(info_type=KEM_CIPHERTEXT_INFO),)
    )


def _derive(header: PKIHeader, secret: bytes) -> MACKey:
    """Derive the key as KemBMParameter has it, with KemOtherInfo for its context."""
    assert header.protection_alg is not None  # noqa: S101 - told apart by it
    (outer,) = der.split(header.protection_alg)
    _, *parameters = der.split(outer.content)
    is_one = [each.tag for each in parameters] == [der.SEQUENCE]
    fields = der.split(parameters[0].content) if is_one else []
    if [each.tag for each in fields] not in (_WITHOUT_CONTEXT, _WITH_CONTEXT):
        raise Malformed("the parameters of KemBasedMac cannot be read", finding="mac_parameters")
    kdf, *context, length, mac = fields
    digest = _HASHES.get(kdf.whole)
    if digest is None:
        raise unsupported("protectionAlg", "the key of KemBasedMac is derived by HKDF here")
    octets = int.from_bytes(length.content, signed=True)
    if octets not in KEY_OCTETS:
        raise unsupported(
            "protectionAlg", f"the MAC may have {KEY_OCTETS[0]} to {KEY_OCTETS[-1]} octets of key"
        )
    info = der.encode(
        der.SEQUENCE,
        _STATIC_STRING,
        der.encode(der.OCTET_STRING, header.transaction_id or b""),
        *[each.whole for each in context],
    )
    return MACKey(
        algorithm=header.protection_alg,
        mac=read_hmac(mac),
        key=HKDF(digest, octets, salt=None, info=info).derive(secret),
    )


def _kem_key(certificate: x509.Certificate) -> mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey:
    """Give the key, if something may be encapsulated to it. Raises BAD_MESSAGE_CHECK."""
    try:
        key, usage = certificate.public_key(), _key_usage(certificate)
    except Exception as error:
        # Keys and extensions that cannot be read raise many kinds of exception.
        raise _unchecked(f"the certificate cannot be read: {error!s:.200}", "kem_key") from error
    permitted = usage is None or usage.key_encipherment
    if not isinstance(key, mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey) or not permitted:
        raise _unchecked("the sender's certificate is for no key encapsulation", "kem_key")
    return key


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _bound_to(certificate: x509.Certificate) -> bytes:
    return sha256(certificate.public_bytes(Encoding.DER)).digest()


def _unchecked(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding=finding)
