"""The credential is good: it proves a device, whichever that may be."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from enroll.certificates import CertificateRecord
from enroll.codes import CodeMatcher
from enroll.credentials import (
    SECRETS,
    Authentication,
    ChallengePassword,
    CredentialKind,
    GroupSecret,
    HTTPDigest,
    OneTimeCode,
    Secret,
    ShownCertificate,
)
from enroll.failures import NotAuthenticated, NotAuthorized
from enroll.on_behalf import by_appointed
from enroll.orders import Order, Wish
from enroll.policy.keys import spki_of
from enroll.policy.registration_authorities import appointed_with
from enroll.ports import CertificateAuthority, Clock, CodeVault, UnitOfWork
from enroll.request import Operation, accepted_credentials
from enroll.shared_secrets import ByGroupSecret
from enroll.shown import shown_by, takes
from enroll.spent import order_of_repetition, refused
from enroll.stages.own_certificate import CheckOwn, issued_here
from enroll.steps import Addressed, Authenticated
from enroll.trace import DecisionTrace

ByThirdParty = Callable[
    [Addressed, ShownCertificate, frozenset[CredentialKind], UnitOfWork, DecisionTrace],
    Awaitable[Authenticated],
]
"""Proves a device by a certificate that was not issued here: see `enroll.stages.third_party`."""


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
        self._by_group_secret = ByGroupSecret(vault, clock)
        self._check_own = CheckOwn(authority, clock)
        self._clock = clock
        self._third_party = third_party

    async def __call__(
        self, step: Addressed, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Prove a device, or raise NotAuthenticated, NotAuthorized or SIGNER_NOT_TRUSTED."""
        accepted = accepted_credentials(step.profile, step.request.operation)
        secret, certificate = shown_by(step, trace)
        by_certificate = certificate is not None and CredentialKind.OWN_CERTIFICATE in accepted
        by_code = not accepted.isdisjoint(SECRETS) and takes(step, secret)
        if by_code and not (by_certificate and step.request.operation is Operation.RENEWAL):
            assert secret is not None  # noqa: S101 - told apart above; for the type checker
            authenticated = await self._by_secret(step, secret, accepted, uow, trace)
            await _check_signer(step, secret, certificate, uow, trace)
            return authenticated
        if certificate is not None:
            record = await issued_here(certificate, uow)
            if record is None:
                return await self._third_party(step, certificate, accepted, uow, trace)
            authority = appointed_with(step.tenant.tenant_id, record.der, step.policy)
            grace = step.profile.expired_grace if authority is None else timedelta(0)
            await self._check_own(record, grace, uow, trace)
            if authority is not None and CredentialKind.RA in accepted:
                return await by_appointed(step, record, authority, self._clock.now(), uow, trace)
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

    async def _by_secret(
        self,
        step: Addressed,
        secret: Secret,
        accepted: frozenset[CredentialKind],
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Authenticated:
        """Take a secret for the group's, where there are such, else for a one-time code."""
        if isinstance(secret, HTTPDigest) and not secret.is_fresh:
            trace.failed("one-time code", "nonce_stale")
            raise NotAuthenticated("the challenge is to be answered anew", finding="nonce_stale")
        if CredentialKind.GROUP_SECRET in accepted:
            authenticated = await self._by_group_secret(step, secret, uow, trace)
            if authenticated is not None:
                return authenticated
        if CredentialKind.ONE_TIME_CODE not in accepted:
            trace.failed("group secret", "code_wrong")
            raise NotAuthenticated(
                "name and group secret do not belong together: that is another's secret, or the "
                "device that is named is of another group",
                finding="code_wrong",
            )
        return await self._by_code(step, secret, uow, trace)

    async def _by_code(
        self, step: Addressed, secret: Secret, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Find the device's code with the same work whether device and code exist or not."""
        now = self._clock.now()
        found = await self._codes.find(secret, step.tenant.tenant_id, now, uow)
        trace.device = found.device
        if not found.codes:
            trace.failed("one-time code", found.finding)
            raise NotAuthenticated(found.detail, finding=found.finding)
        code = next((each for each in found.codes if each.is_active(now)), found.codes[0])
        usable = code.is_active(now)
        proven = Authentication(
            kind=CredentialKind.ONE_TIME_CODE,
            device_id=code.device_id,
            credential_id=code.code_id,
            authenticated_at=now,
            code=code,
        )
        order = None if usable else await _order_of_spent(step, proven, code, uow, trace)
        trace.passed("one-time code", code.code_id if usable else "spent; good for a repetition")
        return Authenticated(
            addressed=step, authentication=proven, repeat_only=not usable, order=order
        )

    async def by_order(
        self, step: Addressed, order: Order, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Take an order's word for the code that opened it; any certificate is judged anew.

        Raises EnrollmentError.
        """
        wish = order.wish
        if wish is not None and wish.credential_kind in SECRETS:
            secret = await _secret_behind(order, wish, step, uow)
            if secret is not None:
                code = secret if isinstance(secret, OneTimeCode) else None
                name = "one-time code" if code is not None else "group secret"
                trace.passed(name, f"shown when order {order.order_id} was opened")
                return Authenticated(
                    addressed=step,
                    authentication=Authentication(
                        kind=wish.credential_kind,
                        device_id=order.device_id,
                        credential_id=wish.credential_id,
                        authenticated_at=self._clock.now(),
                        code=code,
                        group_secret=None if isinstance(secret, OneTimeCode) else secret,
                    ),
                    order=order,
                )
        elif wish is not None and wish.credential_kind is CredentialKind.OWN_CERTIFICATE:
            record = await uow.certificates.by_fingerprint(wish.credential_id)
            if record is not None:
                await self._check_own(record, step.profile.expired_grace, uow, trace)
                return replace(self._by_certificate(step, record, trace), order=order)
        elif wish is not None and step.request.credentials:
            authenticated = await self(step, uow, trace)
            if authenticated.authentication.credential_id == wish.credential_id:
                return replace(authenticated, order=order)
        trace.failed("credential", "not that of the order")
        raise NotAuthenticated(
            f"what opened order {order.order_id} is no longer good, or was not shown again",
            finding="no_credential",
        )

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
            expired=self._check_own.has_expired(record),
        )


async def _check_signer(
    step: Addressed,
    secret: Secret,
    signer: ShownCertificate | None,
    uow: UnitOfWork,
    trace: DecisionTrace,
) -> None:
    """Demand that a challengePassword comes under the request's own key, or a certificate of ours.

    Both are sealed together, and whoever caught them may sign them anew: he would have the answer,
    and what waits under his transactionID (scep-20, scep-22). Raises NotAuthenticated.
    """
    if signer is None or not isinstance(secret, ChallengePassword):
        return
    own = spki_of(signer.leaf.public_key()) == step.request.certificate_request.spki
    if not own and await issued_here(signer, uow) is None:
        trace.failed("signer", "signer_key_mismatch")
        raise NotAuthenticated(
            "a stranger's certificate, of another key than the one in the request, signed the "
            "message",
            finding="signer_key_mismatch",
        )


async def _secret_behind(
    order: Order, wish: Wish, step: Addressed, uow: UnitOfWork
) -> OneTimeCode | GroupSecret | None:
    """Find the secret that opened the order, unless it was taken back since."""
    if wish.credential_kind is CredentialKind.ONE_TIME_CODE:
        codes = await uow.codes.of_device(order.device_id)
        found = (each for each in codes if each.code_id == wish.credential_id)
        return next((each for each in found if each.revoked_at is None), None)
    device = await uow.devices.by_id(order.device_id)
    group = step.policy.groups.get(device.group_id) if device is not None else None
    secrets = group.secrets if group is not None else ()
    return next((each for each in secrets if each.secret_id == wish.credential_id), None)


async def _order_of_spent(
    step: Addressed,
    proven: Authentication,
    code: OneTimeCode,
    uow: UnitOfWork,
    trace: DecisionTrace,
) -> Order | None:
    """Let a code that was used prove the very request that used it. Raises NotAuthenticated."""
    finding = _why_spent(code)
    if finding == "code_revoked" or code.uses == 0:
        raise refused(proven.kind, finding, trace)
    return await order_of_repetition(step, proven, finding, uow, trace)


def _why_spent(code: OneTimeCode) -> str:
    if code.revoked_at is not None:
        return "code_revoked"
    return "code_reused" if code.uses >= code.max_uses else "code_expired"
