"""What a caller showed: the one secret, the one certificate, and whether a secret may come so."""

from enroll.credentials import (
    HTTPBasic,
    HTTPDigest,
    NamedChallengePassword,
    Secret,
    SharedSecretMAC,
    ShownCertificate,
    TLSClientCertificate,
    UnshownCertificate,
    proving_certificate,
)
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.options import FULL_CMC, ChallengePasswordRule
from enroll.ports import DeviceKey
from enroll.profiles import ProtocolName
from enroll.shared_secrets import names_in
from enroll.steps import Addressed
from enroll.trace import DecisionTrace


def shown_by(
    step: Addressed, trace: DecisionTrace
) -> tuple[Secret | None, ShownCertificate | None]:
    """Tell the secret and the certificate that were shown. Raises NotAuthenticated."""
    secret: Secret | None = _code_in_request(step)
    for credential in step.request.credentials:
        if isinstance(credential, ShownCertificate | UnshownCertificate):
            continue
        if secret is None:
            secret = credential
        else:
            trace.failed("credential", "two_secrets")
            raise NotAuthenticated(
                "HTTP authentication and a challengePassword are two secrets; send the code once",
                finding="two_secrets",
            )
    certificate = proving_certificate(step.request.credentials)
    if isinstance(secret, SharedSecretMAC) or _came_over(certificate, step):
        # A proof of identity is verified or refused (RFC 5272 §6.2.1), whatever else is proven.
        certificate = None
    return secret, certificate


def _came_over(certificate: ShownCertificate | None, step: Addressed) -> bool:
    """Tell whether a message that has to prove its sender itself only came by this certificate."""
    by_message = step.request.origin.operation == FULL_CMC
    return by_message and isinstance(certificate, TLSClientCertificate)


def _code_in_request(step: Addressed) -> NamedChallengePassword | None:
    """Find the code that an EST request carries itself, where its profile says that it may."""
    request = step.request.certificate_request
    if (
        request.challenge_password is None
        or step.profile.est.challenge_password is not ChallengePasswordRule.CODE
        or step.request.origin.protocol is not ProtocolName.EST
    ):
        return None
    return NamedChallengePassword(
        names=names_in(request.subject), password=request.challenge_password
    )


def takes(step: Addressed, secret: Secret | None) -> bool:
    """Tell whether the profile lets a code come in this way."""
    if isinstance(secret, HTTPBasic | HTTPDigest):
        return secret.scheme in step.profile.est.http_authentication
    return secret is not None


def check_uncompromised(key: DeviceKey | None) -> None:
    """Refuse a certificate whose key is known to be compromised, whichever certificate told that.

    Raises EnrollmentError (CERTIFICATE_REVOKED).
    """
    if key is not None and key.compromised:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_REVOKED,
            "the key of the presented certificate is known to be compromised",
            finding="key_compromised",
        )
