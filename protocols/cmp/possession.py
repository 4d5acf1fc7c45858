"""Proof of possession by what only the key's holder can read (RFC 9810 §5.2.8.3)."""

import os
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cmp.messages import ENVELOPED_DATA_VERSION, BodyType, PKIHeader
from protocols.cmp.nonces import Possession
from protocols.cmp.senders import ByMAC, Sender, is_named_by_reference
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import unwrap
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.identifiers import NumberedKey, subject_key_identifier
from protocols.cms.recipients import Recipient, recipient_of
from protocols.crmf.indirect import SubsequentMessage, subsequent_message
from protocols.crmf.messages import CertReqMsg, SignatureProof

_CIPHER = ContentEncryption.AES_256_CBC
# RFC 4211 §2.1 EncryptedValue: symmAlg, encSymmKey and keyAlg.
_SYMM_ALG = 0xA1
_ENC_SYMM_KEY = 0x82
_KEY_ALG = 0xA3
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101 0500")


def possession_by(
    request: CertReqMsg, key: CertificatePublicKeyTypes | None, pvno: int
) -> Possession:
    """Tell how the certificate must be given, so that its key is proven by that.

    EnvelopedData takes pvno 3 (RFC 9810 §7). Before it there was EncryptedValue, which only an
    RSA key can open. Raises BAD_PROOF_OF_POSSESSION.
    """
    method = subsequent_message(request)
    if method is None:
        return Possession.SIGNED
    old_form = method is SubsequentMessage.ENCR_CERT and isinstance(key, rsa.RSAPublicKey)
    if pvno < ENVELOPED_DATA_VERSION and not old_form:
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "what is to be decrypted with this key can be sent in messages of pvno 3 only",
            finding="pop_version",
            field="popo",
        )
    return Possession.ENCRYPTED if method is SubsequentMessage.ENCR_CERT else Possession.CHALLENGED


def check_key_input(request: CertReqMsg, sender: Sender, header: PKIHeader) -> None:
    """Demand that what was signed in place of a request names who sends it (RFC 4211 §4.1).

    Under a MAC the sender's name can be anything. So it has to be that of the secret: else
    whoever has one could take the signature of another. Raises BAD_PROOF_OF_POSSESSION.
    """
    proof = request.proof
    key_input = proof.key_input if isinstance(proof, SignatureProof) else None
    if key_input is None or key_input.sender is None:
        return
    is_proven = not isinstance(sender, ByMAC) or is_named_by_reference(header)
    if key_input.sender != header.sender or not is_proven:
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "the sender in poposkInput is not that of the message, as its protection proves it",
            finding="pop_input",
            field="popo",
        )


def encrypt_certificate(certificate: bytes, pvno: int) -> bytes:
    """Write a certificate for its own key to decrypt: an EncryptedKey (RFC 9810 §5.2.2)."""
    found = x509.load_der_x509_certificate(certificate)
    public_key = found.public_key()
    if pvno < ENVELOPED_DATA_VERSION and isinstance(public_key, rsa.RSAPublicKey):
        return _encrypted_value(certificate, public_key)
    # By its key identifier: issuer and serial number would tell what is hidden in part.
    recipient = recipient_of(
        found, key_identifier=subject_key_identifier(found), oaep=Digest.SHA256
    )
    return der.encode(der.CONTEXT_0, _enveloped(certificate, recipient).content)


def encode_challenge(
    key: CertificatePublicKeyTypes, cert_req_id: int, number: bytes, sender: bytes
) -> bytes:
    """Write the body of popdecc: a number, as INTEGER holds it, that only the key's holder reads.

    `sender` is the name in our header, a GeneralName. The witness is the hash of the INTEGER.
    """
    integer = der.encode(der.INTEGER, number)
    recipient = recipient_of(NumberedKey(key=key, number=cert_req_id), oaep=Digest.SHA256)
    enveloped = _enveloped(der.encode(der.SEQUENCE, integer, sender), recipient)
    challenge = der.encode(
        der.SEQUENCE,
        Digest.SHA256.algorithm,
        der.encode(der.OCTET_STRING, sha256(integer).digest()),
        der.encode(der.OCTET_STRING),
        der.encode(der.CONTEXT_0, enveloped.whole),
    )
    return der.encode(BodyType.POPDECC.tag, der.encode(der.SEQUENCE, challenge))


def _enveloped(content: bytes, recipient: Recipient) -> der.Element:
    """Give the EnvelopedData without the ContentInfo around it."""
    message = encode_enveloped_data(content, recipient=recipient, content_encryption=_CIPHER)
    (element,) = der.split(unwrap(message)[1])
    return element


def _encrypted_value(content: bytes, key: rsa.RSAPublicKey) -> bytes:
    """Write RFC 4211 §2.1 EncryptedValue, which clients of pvno 2 know, OpenSSL 3.0's too."""
    content_key = os.urandom(_CIPHER.key_octets)
    algorithm, encrypted = _CIPHER.encrypt(content_key, content)
    (symmetric,) = der.split(algorithm)
    return der.encode(
        der.SEQUENCE,
        der.encode(_SYMM_ALG, symmetric.content),
        der.encode(_ENC_SYMM_KEY, b"\0", key.encrypt(content_key, padding.PKCS1v15())),
        der.encode(_KEY_ALG, _RSA_ENCRYPTION),
        der.encode(der.BIT_STRING, b"\0", encrypted),
    )
