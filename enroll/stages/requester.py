"""Who asks to revoke, hold or release certificates, and about which of them it may (T-24)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.codes import CodeMatcher
from enroll.credentials import (
    CredentialKind,
    OneTimeCode,
    SharedSecretMAC,
    ShownCertificate,
    proving_certificate,
)
from enroll.device import Device, DeviceState, DeviceStatus
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated, NotAuthorized
from enroll.policy.registration_authorities import (
    appointed_with,
    check_may_speak,
    check_speaks_for,
)
from enroll.policy.renewal import check_valid_now
from enroll.policy.third_party import check_manufacturer
from enroll.ports import CertificateAuthority, Clock, CodeVault, UnitOfWork
from enroll.profiles import CertificateClass, PolicySnapshot
from enroll.request import RevocationRequest, RevocationWish
from enroll.shown import check_uncompromised
from enroll.stages.own_certificate import issued_here
from enroll.stages.third_party import ThirdParty
from enroll.steps import Addressed
from enroll.trace import DecisionTrace
from enroll.trust import TrustAnchor

OF_DEVICES = frozenset({CertificateClass.BOOTSTRAP, CertificateClass.OPERATIONAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who was proven, as the audit log names it, and what it may ask about.

    `is_over`: by a certificate that is revoked, on hold or expired itself, so that nothing is done
    for it any more; it is told so.
    """

    actor: str
    may_stop: Callable[[CertificateRecord, Device], bool]
    is_over: bool = False


class FindRequester:
    """Proves a device by its certificate or its code, or a registration authority by its own."""

    def __init__(
        self,
        vault: CodeVault,
        authority: CertificateAuthority,
        clock: Clock,
        third_party: ThirdParty,
    ) -> None:
        self._codes = CodeMatcher(vault)
        self._authority = authority
        self._clock = clock
        self._third_party = third_party

    async def __call__(
        self,
        request: RevocationRequest,
        step: Addressed,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Requester:
        """Prove who asks.

        Raises NotAuthenticated, NotAuthorized, EnrollmentError (SIGNER_NOT_TRUSTED, UNKNOWN_DEVICE,
        CERTIFICATE_REVOKED).
        """
        for shown in request.credentials:
            if isinstance(shown, SharedSecretMAC):
                return await self._by_code(shown, step, uow, trace)
        certificate = proving_certificate(request.credentials)
        if certificate is None:
            trace.failed("credential", "no_credential")
            raise NotAuthenticated("nothing was shown that proves anybody", finding="no_credential")
        record = await issued_here(certificate, uow)
        if record is None:
            return await self._by_foreign_authority(certificate, step, uow, trace)
        try:
            self._authority.check_issued(record)
            anchor = appointed_with(step.tenant.tenant_id, record.der, step.policy)
            if anchor is not None:
                return await self._by_appointed(record, anchor, step, uow, trace)
            return await self._by_owner(request, record, step, uow, trace)
        except EnrollmentError as error:
            trace.failed("client certificate", error.finding)
            raise

    async def _by_owner(
        self,
        request: RevocationRequest,
        record: CertificateRecord,
        step: Addressed,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Requester:
        """Take a device's certificate: for itself, and while it is in use for its others too."""
        device = await self._owner(record, step, uow, trace)
        now = self._clock.now()
        is_over = _is_over(record, now)
        if not (is_over and _name_only(request.wishes, record)):
            _check_good(record, now)
            check_uncompromised(await uow.keys.find(record.spki_sha256))
            _check_enabled(device)
        trace.passed("client certificate", f"{record.profile} {record.serial_number}")
        alone = is_over or record.status is CertificateStatus.SUPERSEDED
        return Requester(
            actor=f"device:{device.device_id}",
            may_stop=lambda found, _: (
                found.fingerprint == record.fingerprint
                or (not alone and found.device_id == device.device_id)
            ),
            is_over=is_over,
        )

    async def _owner(
        self,
        record: CertificateRecord,
        step: Addressed,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Device:
        if record.device_id is None:
            raise NotAuthorized(
                "a certificate of the server itself revokes nothing",
                finding="credential_not_sufficient",
            )
        device = await uow.devices.by_id(record.device_id)
        if device is None or device.state is DeviceState.DELETED:
            raise EnrollmentError(
                FailureReason.UNKNOWN_DEVICE,
                "the certificate's device is not in the registry",
                finding="identity_unknown",
            )
        trace.device, trace.proven = device, True
        if device.tenant_id != step.tenant.tenant_id:
            raise NotAuthorized("the device is another tenant's", finding="wrong_tenant")
        return device

    async def _by_code(
        self,
        shown: SharedSecretMAC,
        step: Addressed,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Requester:
        """Take a code, spent or not, until its time is over: for what it got, and no more.

        And only as far as the profile of what it got lets codes do so, whichever was addressed.
        """
        now = self._clock.now()
        found = await self._codes.find(shown, step.tenant.tenant_id, now, uow)
        codes = {each.code_id for each in found.codes if _is_remembered(each, now)}
        if found.device is None or not codes:
            finding = found.finding if not found.codes else "code_expired"
            trace.failed("one-time code", finding)
            raise NotAuthenticated(found.detail, finding=finding)
        device_id = found.device.device_id
        profiles = step.policy.enrollment_profiles.items()
        permitted = {slug for slug, each in profiles if each.cmp.mac_revocation}
        trace.device, trace.proven = found.device, True
        _check_enabled(found.device)
        trace.passed("one-time code", ", ".join(sorted(codes)))
        return Requester(
            actor=f"device:{device_id}",
            may_stop=lambda record, _: (
                record.device_id == device_id
                and record.credential_id in codes
                and record.profile in permitted
            ),
        )

    async def _by_appointed(
        self,
        record: CertificateRecord,
        anchor: TrustAnchor,
        step: Addressed,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Requester:
        _check_good(record, self._clock.now())
        check_uncompromised(await uow.keys.find(record.spki_sha256))
        check_may_speak(anchor, step.profile, record)
        _check_taken(step)
        trace.passed("registration authority", anchor.name)
        return _acting(anchor, record.fingerprint, step.policy, trace)

    async def _by_foreign_authority(
        self, shown: ShownCertificate, step: Addressed, uow: UnitOfWork, trace: DecisionTrace
    ) -> Requester:
        anchor = await self._third_party.authority(step, shown, uow, trace)
        _check_taken(step)
        fingerprint = shown.leaf.fingerprint(hashes.SHA256()).hex()
        return _acting(anchor, fingerprint, step.policy, trace)


def _acting(
    anchor: TrustAnchor, fingerprint: str, policy: PolicySnapshot, trace: DecisionTrace
) -> Requester:
    """Let an authority ask about the devices and profiles that it enrolls, and about no other."""
    trace.registration_authority = anchor.name

    def may_stop(record: CertificateRecord, device: Device) -> bool:
        try:
            check_speaks_for(anchor, policy.groups[device.group_id])
            check_manufacturer(anchor, device)
        except NotAuthorized:
            return False
        return not anchor.profiles or record.profile in anchor.profiles

    return Requester(actor=f"ra:{fingerprint}", may_stop=may_stop)


def _check_taken(step: Addressed) -> None:
    if CredentialKind.RA not in step.profile.initial_credentials:
        raise NotAuthorized(
            f"profile {step.profile.slug!r} takes no registration authority",
            finding="credential_not_sufficient",
        )


def _is_over(record: CertificateRecord, now: datetime) -> bool:
    stopped = {CertificateStatus.REVOKED, CertificateStatus.ON_HOLD}
    return record.status in stopped or now > record.not_valid_after


def _is_remembered(code: OneTimeCode, now: datetime) -> bool:
    return code.revoked_at is None and now < code.expires_at


def _name_only(
    wishes: Iterable[RevocationWish | EnrollmentError], record: CertificateRecord
) -> bool:
    issuer = record.certificate.issuer.public_bytes()
    return all(
        isinstance(each, RevocationWish)
        and (each.issuer, each.serial_number) == (issuer, record.serial_number)
        for each in wishes
    )


def _check_good(record: CertificateRecord, now: datetime) -> None:
    check_valid_now(record, now)
    if record.status is CertificateStatus.ON_HOLD:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_REVOKED,
            "the certificate that signs is on hold",
            finding="certificate_on_hold",
        )


def _check_enabled(device: Device) -> None:
    if device.status is DeviceStatus.DISABLED:
        raise NotAuthorized("the device is disabled", finding="device_disabled")
