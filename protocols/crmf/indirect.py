"""Possession that no signature in the request proves, but a later message (RFC 4211 §4.2, §4.3)."""

from collections.abc import Mapping
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.crmf.messages import CertReqMsg, KeyPurpose, PrivateKeyMethod, PrivateKeyProof
from protocols.public_keys import KeyKind, check_key
from protocols.signatures import load_key


class SubsequentMessage(IntEnum):
    """RFC 4211 §4.2: by what the proof is to be completed."""

    ENCR_CERT = 0
    CHALLENGE_RESP = 1


_REFUSED: Mapping[PrivateKeyMethod, str] = {
    PrivateKeyMethod.THIS_MESSAGE: "private keys are neither archived nor taken here",
    PrivateKeyMethod.ENCRYPTED_KEY: "private keys are neither archived nor taken here",
    PrivateKeyMethod.DH_MAC: "there is no Diffie-Hellman certificate to make a MAC with",
    PrivateKeyMethod.AGREE_MAC: "there is no Diffie-Hellman certificate to make a MAC with",
}
# RFC 4211 §4: keyEncipherment is for RSA, keyAgreement for Diffie-Hellman; RFC 9810 §4.3.4 puts
# keys for encapsulation to the first.
_PURPOSES: Mapping[KeyKind, KeyPurpose] = {
    KeyKind.RSA: KeyPurpose.KEY_ENCIPHERMENT,
    KeyKind.ML_KEM_768: KeyPurpose.KEY_ENCIPHERMENT,
    KeyKind.ML_KEM_1024: KeyPurpose.KEY_ENCIPHERMENT,
    KeyKind.EC: KeyPurpose.KEY_AGREEMENT,
    KeyKind.X25519: KeyPurpose.KEY_AGREEMENT,
    KeyKind.X448: KeyPurpose.KEY_AGREEMENT,
}


def subsequent_message(message: CertReqMsg) -> SubsequentMessage | None:
    """Tell by what the proof is to be completed; None if it needs no completion.

    Raises EnrollmentError (BAD_PROOF_OF_POSSESSION).
    """
    proof = message.proof
    if not isinstance(proof, PrivateKeyProof):
        return None
    if proof.method is not PrivateKeyMethod.SUBSEQUENT_MESSAGE:
        raise _refused(_REFUSED[proof.method])
    if len(proof.content) != 1 or proof.content[0] not in set(SubsequentMessage):
        raise _refused("the subsequent message is neither encrCert nor challengeResp")
    return SubsequentMessage(proof.content[0])


def unproven_key(spki: bytes, proof: PrivateKeyProof) -> CertificatePublicKeyTypes:
    """Give a key that can do what is to prove its possession.

    Raises EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE or
    BAD_PROOF_OF_POSSESSION, and Malformed.
    """
    (element,) = der.split(spki)
    purpose = _PURPOSES.get(check_key(element))
    if purpose is None:
        raise _refused("a key that only signs proves its possession by a signature")
    if purpose is not proof.purpose:
        raise _refused("the key is not for what it is to prove possession by")
    return load_key(spki)


def _refused(detail: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_PROOF_OF_POSSESSION, detail, finding="pop_method", field="popo"
    )
