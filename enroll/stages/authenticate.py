"""The credential is good: it proves a device, whichever that may be."""

import unicodedata
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.certificates import CertificateRecord
from enroll.codes import CodeMatcher
from enroll.credentials import (
    Authentication,
    CredentialKind,
    HTTPBasic,
    HTTPDigest,
    NamedChallengePassword,
    OneTimeCode,
    Secret,
    ShownCertificate,
)
from enroll.failures import EnrollmentError, NotAuthenticated, NotAuthorized
from enroll.options import ChallengePasswordRule
from enroll.policy.renewal import check_valid_now
from enroll.policy.repetition import answer_of
from enroll.ports import CertificateAuthority, Clock, CodeVault, UnitOfWork
from enroll.profiles import CertificateClass, ProtocolName
from enroll.request import Operation, accepted_credentials
from enroll.steps import Addressed, Authenticated
from enroll.trace import DecisionTrace

ByThirdParty = Callable[
    [Addressed, ShownCertificate, frozenset[CredentialKind], UnitOfWork, DecisionTrace],
    Awaitable[Authenticated],
]
"""Proves a device by a certificate that was not issued here: see `enroll.stages.third_party`."""

NAMES_LOOKED_UP = 4
_NAMING = frozenset({NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER})
_CLIENT_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


class Authenticate:
    """Checks what the caller showed against what the profile accepts.

    On a first enrollment a secret that was shown must be right, whatever else was shown; on a
    renewal the certificate comes first (RFC 7030 §3.3.2).
    """

    def __init__(
        self,
        vault: CodeVault,
        authority: CertificateAuthority,
        clock: Clock,
        third_party: ByThirdParty,
    ) -> None:
        self._codes = CodeMatcher(vault)
        self._authority = authority
        self._clock = clock
        self._third_party = third_party

    async def __call__(
        self, step: Addressed, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Prove a device, or raise NotAuthenticated, NotAuthorized or SIGNER_NOT_TRUSTED."""
        accepted = accepted_credentials(step.profile, step.request.operation)
        secret, certificate = _shown(step, trace)
        by_certificate = certificate is not None and CredentialKind.OWN_CERTIFICATE in accepted
        by_code = CredentialKind.ONE_TIME_CODE in accepted and _takes(step, secret)
        if by_code and not (by_certificate and step.request.operation is Operation.RENEWAL):
            assert secret is not None  # noqa: S101 - told apart above; for the type checker
            return await self._by_code(step, secret, uow, trace)
        if certificate is not None:
            record = await _issued_here(certificate, uow)
            if record is None:
                return await self._third_party(step, certificate, accepted, uow, trace)
            await self._check_own(step, record, uow, trace)
            if by_certificate:
                return self._by_certificate(step, record, trace)
            trace.proven = trace.device is not None
            trace.failed("credential", f"a {record.profile} certificate is not accepted here")
            raise NotAuthorized(
                f"profile {step.profile.slug!r} does not take a certificate for this operation",
                finding="credential_not_sufficient",
            )
        finding = "no_credential" if secret is None else "credential_not_accepted"
        trace.failed("credential", finding)
        raise NotAuthenticated("no credential that this profile accepts was shown", finding=finding)

    async def _by_code(
        self, step: Addressed, secret: Secret, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Find the device's code with the same work whether device and code exist or not."""
        now = self._clock.now()
        if isinstance(secret, HTTPDigest) and not secret.is_fresh:
            trace.failed("one-time code", "nonce_stale")
            raise NotAuthenticated("the challenge is to be answered anew", finding="nonce_stale")
        found = await self._codes.find(secret, step.tenant.tenant_id, now, uow)
        trace.device = found.device
        if not found.codes:
            trace.failed("one-time code", found.finding)
            raise NotAuthenticated(found.detail, finding=found.finding)
        code = next((each for each in found.codes if each.is_active(now)), found.codes[0])
        usable = code.is_active(now)
        if not usable:
            await self._check_repetition(step, code, uow, trace)
        trace.passed("one-time code", code.code_id if usable else "spent; good for a repetition")
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=CredentialKind.ONE_TIME_CODE,
                device_id=code.device_id,
                credential_id=code.code_id,
                authenticated_at=now,
                code=code,
            ),
            repeat_only=not usable,
        )

    async def _check_repetition(
        self, step: Addressed, code: OneTimeCode, uow: UnitOfWork, trace: DecisionTrace
    ) -> None:
        """Let a code that is no longer good prove the very request that used it (T-13).

        With any other key, or too late, it proves nothing. Raises NotAuthenticated.
        """
        finding = _why_spent(code)
        if finding != "code_revoked" and code.uses > 0:
            spki = step.request.certificate_request.spki_sha256
            records = await uow.certificates.of_device(code.device_id)
            if answer_of(records, step.profile, spki, code.code_id, self._clock.now()) is not None:
                return
        trace.failed("one-time code", finding)
        raise NotAuthenticated("the code is no longer good", finding=finding)

    async def _check_own(
        self, step: Addressed, record: CertificateRecord, uow: UnitOfWork, trace: DecisionTrace
    ) -> None:
        """Check what RFC 5280 §6 asks of a certificate that is in the registry."""
        if record.device_id is not None:
            trace.device = await uow.devices.by_id(record.device_id)
        try:
            self._authority.check_issued(record)
            check_valid_now(record, self._clock.now(), step.profile.expired_grace)
            _check_client_purpose(record.certificate)
        except EnrollmentError as error:
            trace.failed("client certificate", error.finding)
            raise
        over = ", expired, within the grace" if self._has_expired(record) else ""
        trace.passed("client certificate", f"{record.profile} {record.serial_number}{over}")

    def _has_expired(self, record: CertificateRecord) -> bool:
        return self._clock.now() > record.not_valid_after

    def _by_certificate(
        self, step: Addressed, record: CertificateRecord, trace: DecisionTrace
    ) -> Authenticated:
        if record.device_id is None:
            trace.failed("client certificate", "the server's own")
            raise NotAuthorized(
                "a certificate of the server itself enrolls nothing",
                finding="credential_not_sufficient",
            )
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=CredentialKind.OWN_CERTIFICATE,
                device_id=record.device_id,
                credential_id=record.fingerprint,
                authenticated_at=self._clock.now(),
            ),
            presented=record,
            expired=self._has_expired(record),
        )


async def _issued_here(credential: ShownCertificate, uow: UnitOfWork) -> CertificateRecord | None:
    """Find the very certificate in the registry, if it was issued here."""
    fingerprint = credential.leaf.fingerprint(hashes.SHA256()).hex()
    record = await uow.certificates.by_fingerprint(fingerprint)
    if record is None or record.certificate_class is CertificateClass.THIRD_PARTY:
        return None
    return record


def _shown(step: Addressed, trace: DecisionTrace) -> tuple[Secret | None, ShownCertificate | None]:
    """Tell the secret and the certificate that were shown. Raises NotAuthenticated."""
    secret: Secret | None = _code_in_request(step)
    certificate: ShownCertificate | None = None
    for credential in step.request.credentials:
        if isinstance(credential, ShownCertificate):
            certificate = credential
        elif secret is None:
            secret = credential
        else:
            trace.failed("credential", "two_secrets")
            raise NotAuthenticated(
                "HTTP authentication and a challengePassword are two secrets; send the code once",
                finding="two_secrets",
            )
    return secret, certificate


def _code_in_request(step: Addressed) -> NamedChallengePassword | None:
    """Find the code that an EST request carries itself, where its profile says that it may."""
    request = step.request.certificate_request
    if (
        request.challenge_password is None
        or step.profile.est.challenge_password is not ChallengePasswordRule.CODE
        or step.request.origin.protocol is not ProtocolName.EST
    ):
        return None
    names = dict.fromkeys(
        unicodedata.normalize("NFC", each.value.strip())
        for each in request.subject
        if each.oid in _NAMING and isinstance(each.value, str)
    )
    return NamedChallengePassword(
        names=tuple(names)[:NAMES_LOOKED_UP], password=request.challenge_password
    )


def _takes(step: Addressed, secret: Secret | None) -> bool:
    """Tell whether the profile lets a code come in this way."""
    if isinstance(secret, HTTPBasic | HTTPDigest):
        return secret.scheme in step.profile.est.http_authentication
    return secret is not None


def _why_spent(code: OneTimeCode) -> str:
    if code.revoked_at is not None:
        return "code_revoked"
    return "code_reused" if code.uses >= code.max_uses else "code_expired"


def _check_client_purpose(leaf: x509.Certificate) -> None:
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not _CLIENT_PURPOSES.intersection(purposes):
        raise NotAuthorized(
            "the presented certificate is not meant for TLS clients",
            finding="certificate_purpose",
        )
