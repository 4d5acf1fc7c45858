"""Proof that a CRMF request's sender holds the private key, by a signature (RFC 4211 §4.1)."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.crmf.indirect import subsequent_message, unproven_key
from protocols.crmf.messages import (
    CertReqMsg,
    PrivateKeyProof,
    PublicKeyMAC,
    RAVerified,
    SignatureProof,
)
from protocols.signatures import load_key, not_possessed, verify_own_signature

CheckMAC = Callable[[PublicKeyMAC, bytes], None]
"""Checks a MAC over a public key in DER, or raises EnrollmentError."""


def verify_possession(
    message: CertReqMsg,
    *,
    check_mac: CheckMAC | None = None,
    vouched: bool = False,
    indirect: bool = False,
) -> CertificatePublicKeyTypes:
    """Verify the signature over the octets as they were received, and give the key.

    Where it may be `vouched` for, raVerified is let through, for the caller to judge who says so;
    where it may be `indirect`, what asks to prove it by a later message (see `indirect`).

    A POPOSigningKeyInput belongs to templates without a subject, and to no other; its MAC is
    refused where nobody can check it, and whether its sender is who sent the message is the
    caller's to judge. `verify_own_signature` tells what else is raised.
    """
    spki = message.template.spki
    if spki is None:
        raise EnrollmentError(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "the template has no public key",
            field="publicKey",
        )
    proof = message.proof
    if proof is None:
        raise _refused("there is no proof of possession", "pop_missing")
    if vouched and isinstance(proof, RAVerified):
        return load_key(spki)
    if indirect and isinstance(proof, PrivateKeyProof) and subsequent_message(message) is not None:
        return unproven_key(spki, proof)
    if not isinstance(proof, SignatureProof):
        raise _refused("possession must be proven by a signature", "pop_method")
    return _verify_signature(message, spki, proof, check_mac)


def _verify_signature(
    message: CertReqMsg, spki: bytes, proof: SignatureProof, check_mac: CheckMAC | None
) -> CertificatePublicKeyTypes:
    signed = message.certificate_request
    if (proof.key_input is None) is (message.template.subject is None):
        raise _refused(
            "a POPOSigningKeyInput must be there without a subject, and only then", "pop_input"
        )
    if proof.key_input is not None:
        signed = proof.key_input.whole
        if proof.key_input.spki != spki:
            raise not_possessed("the key that was signed is not the template's")
        if proof.key_input.mac is not None:
            if check_mac is None:
                raise _refused("a MAC over the public key cannot be checked here", "pop_method")
            check_mac(proof.key_input.mac, spki)
    (key,) = der.split(spki)
    return verify_own_signature(key, proof.algorithm, proof.signature, signed)


def _refused(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_PROOF_OF_POSSESSION, detail, finding=finding, field="popo"
    )
