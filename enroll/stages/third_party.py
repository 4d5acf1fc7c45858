"""A certificate under a maker's or another trusted CA is good, and it is this device's."""

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.credentials import Authentication, CredentialKind, ShownCertificate
from enroll.device import Device, DeviceIdentity, IdentityKind
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.newcomers import Newcomers
from enroll.on_behalf import device_spoken_for
from enroll.policy.identities import Claims, claims_of
from enroll.policy.known_authorities import KINDS, AuthoritiesByTenant
from enroll.policy.paths.building import Anchor, TrustedPath, find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError, PathFault
from enroll.policy.paths.validation import PathRules
from enroll.policy.third_party import (
    check_manufacturer,
    contradiction,
    has_storable_serial,
    issuer_of,
    proven_by,
    record_of,
)
from enroll.policy.trust_anchors import is_shared, objection, values_in
from enroll.ports import Clock, UnitOfWork
from enroll.resolution import the_one_device
from enroll.shown import check_uncompromised
from enroll.steps import ActingAuthority, Addressed, Authenticated, ThirdPartyCertificate
from enroll.trace import DecisionTrace
from enroll.trust import TrustAnchor, TrustPurpose, says_cmc_ra

CHECK = "third-party certificate"
NOTHING = Claims(names=frozenset(), identities=frozenset())

# What is told of a certificate that is good, but not for this. All else is not trusted at all.
_GOOD_BUT = frozenset(
    {
        PathFault.CERTIFICATE_EXPIRED,
        PathFault.CERTIFICATE_NOT_YET_VALID,
        PathFault.CERTIFICATE_PURPOSE,
        PathFault.ANCHOR_NOT_FOR_THIS,
    }
)


class ThirdParty:
    """Proves devices by certificates that were issued elsewhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._authorities = AuthoritiesByTenant()
        self._newcomers = Newcomers(clock)

    async def __call__(
        self,
        step: Addressed,
        credential: ShownCertificate,
        accepted: frozenset[CredentialKind],
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Authenticated:
        """Prove a device.

        Raises EnrollmentError (SIGNER_NOT_TRUSTED, CERTIFICATE_REVOKED, UNKNOWN_DEVICE) and
        NotAuthorized.
        """
        try:
            path, anchor = self._trusted(step, credential, accepted)
            record = await self._unrevoked(path, uow, trace)
            trace.passed(CHECK, _what(path, anchor))
            return await self._proven(step, path, anchor, record, uow, trace)
        except EnrollmentError as error:
            trace.failed("identity" if trace.checks[-1].name == CHECK else CHECK, error.finding)
            raise

    async def authority(
        self,
        step: Addressed,
        credential: ShownCertificate,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> TrustAnchor:
        """Prove a registration authority itself, and give its anchor. Raises EnrollmentError."""
        try:
            path, anchor = self._trusted(step, credential, frozenset({CredentialKind.RA}))
            await self._unrevoked(path, uow, trace)
            check_uncompromised(await uow.keys.find(path.certificates[0].spki_sha256))
        except EnrollmentError as error:
            trace.failed(CHECK, error.finding)
            raise
        trace.passed(CHECK, _what(path, anchor))
        return anchor

    def _trusted(
        self,
        step: Addressed,
        credential: ShownCertificate,
        accepted: frozenset[CredentialKind],
    ) -> tuple[TrustedPath, TrustAnchor]:
        """Find a path to an anchor that is good for this profile and operation."""
        known = self._authorities.known_to(step.tenant.tenant_id, step.policy)
        if not known.anchors:
            raise EnrollmentError(
                FailureReason.SIGNER_NOT_TRUSTED,
                "the presented certificate was not issued here, and no other CA is trusted",
                finding="certificate_not_ours",
            )
        leaf = PathCertificate(credential.leaf)

        def object_to(anchor: Anchor) -> str | None:
            trusted = known.anchors[anchor.anchor_id]
            if KINDS[trusted.purpose] not in accepted:
                return (
                    f"profile {step.profile.slug!r} does not take a certificate under a trust "
                    f"anchor of purpose {trusted.purpose} for this operation"
                )
            if trusted.purpose is TrustPurpose.RA and not says_cmc_ra(credential.leaf):
                return f"a certificate under {trusted.name!r} needs id-kp-cmcRA to enroll others"
            return objection(trusted, step.profile, values_in(leaf))

        rules = PathRules(at=self._clock.now(), grace=step.profile.expired_grace)
        sent = [PathCertificate(each) for each in credential.chain[1:]]
        try:
            path = find_path(leaf, sent, known.store, rules, object_to)
        except PathError as error:
            if error.fault in _GOOD_BUT:
                raise NotAuthorized(error.detail, finding=error.fault.value) from error
            raise EnrollmentError(
                FailureReason.SIGNER_NOT_TRUSTED, error.detail, finding=error.fault.value
            ) from error
        anchor = known.anchors[path.anchor.anchor_id]
        if anchor.purpose is TrustPurpose.RA and path.expired_for is not None:
            raise NotAuthorized(
                "the certificate of the registration authority has expired, and grace is for "
                "devices",
                finding=PathFault.CERTIFICATE_EXPIRED.value,
            )
        return path, anchor

    async def _unrevoked(
        self, path: TrustedPath, uow: UnitOfWork, trace: DecisionTrace
    ) -> CertificateRecord | None:
        """Find what the registry knows of the certificate; refuse it if it is revoked there.

        It is looked for by issuer and serial number: an ECDSA signature can be rewritten by
        anybody, and with it the fingerprint, and the certificate is as valid as before.
        """
        leaf = path.certificates[0]
        if not has_storable_serial(leaf):
            raise EnrollmentError(
                FailureReason.SIGNER_NOT_TRUSTED,
                "the serial number of the certificate is not positive, or longer than 20 octets",
                finding="certificate_serial",
            )
        issuer = issuer_of(path)
        known = [
            each
            for each in await uow.certificates.by_serial(f"{leaf.certificate.serial_number:x}")
            if each.issuer == issuer
        ]
        for record in known:
            if record.device_id is not None:
                trace.device = await uow.devices.by_id(record.device_id)
                trace.proven = trace.device is not None
            if record.status is CertificateStatus.REVOKED:
                raise EnrollmentError(
                    FailureReason.CERTIFICATE_REVOKED,
                    f"{leaf.title} is revoked in the registry",
                    finding="certificate_revoked",
                )
            if record.status is CertificateStatus.ON_HOLD:
                raise EnrollmentError(
                    FailureReason.CERTIFICATE_REVOKED,
                    f"{leaf.title} is on hold in the registry",
                    finding="certificate_on_hold",
                )
            if record.fingerprint != leaf.fingerprint:
                raise EnrollmentError(
                    FailureReason.SIGNER_NOT_TRUSTED,
                    f"another certificate of this issuer and serial number, {record.fingerprint}, "
                    "was shown before",
                    finding="certificate_altered",
                )
        return known[0] if known else None

    async def _proven(
        self,
        step: Addressed,
        path: TrustedPath,
        anchor: TrustAnchor,
        record: CertificateRecord | None,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Authenticated:
        """Bind the certificate to the one device that it names."""
        if anchor.purpose is TrustPurpose.RA:
            return await self._on_behalf(step, path, anchor, record, uow, trace)
        proven, shared = proven_by(path, anchor), is_shared(anchor)
        request = step.request.certificate_request
        claimed = claims_of(request) if shared else NOTHING
        owner = (record.device_id,) if record is not None and record.device_id is not None else ()
        newcomer = None
        try:
            device = await the_one_device(
                step.tenant.tenant_id,
                proven.names | claimed.names,
                proven.identities | claimed.identities,
                (*claimed.device_ids, *owner),
                uow,
            )
            trace.device, trace.proven = device, True
        except EnrollmentError as error:
            if error.reason is not FailureReason.UNKNOWN_DEVICE or anchor.newcomers_join is None:
                raise
            kind = KINDS[anchor.purpose]
            device = newcomer = await self._newcomers.by_certificate(
                step, anchor, proven, kind, uow, trace
            )
        check_manufacturer(anchor, device)
        against = contradiction(device, proven, anchor, request.spki_sha256)
        if against is not None:
            raise NotAuthorized(against[1], finding=against[0])
        await _check_key(path, device, uow, trace, shared=shared)
        now = self._clock.now()
        pinned = anchor.purpose is TrustPurpose.IDEVID
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=KINDS[anchor.purpose],
                device_id=device.device_id,
                credential_id=path.certificates[0].fingerprint,
                authenticated_at=now,
            ),
            expired=path.expired_for is not None,
            third_party=ThirdPartyCertificate(
                record=record or record_of(path, anchor, None if shared else device.device_id, now),
                is_new=record is None,
                anchor=anchor.name,
                shared=shared,
                pin=_pin(path, device) if pinned else None,
            ),
            newcomer=newcomer,
        )

    async def _on_behalf(
        self,
        step: Addressed,
        path: TrustedPath,
        anchor: TrustAnchor,
        record: CertificateRecord | None,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Authenticated:
        """Take the word of a registration authority for the device that the request names."""
        leaf, now = path.certificates[0], self._clock.now()
        device = await device_spoken_for(step, anchor, leaf.spki_sha256, uow, trace)
        await _check_key(path, device, uow, trace, shared=True)
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=CredentialKind.RA,
                device_id=device.device_id,
                credential_id=leaf.fingerprint,
                authenticated_at=now,
            ),
            third_party=ThirdPartyCertificate(
                record=record or record_of(path, anchor, None, now),
                is_new=record is None,
                anchor=anchor.name,
                shared=False,
            ),
            acting=ActingAuthority(name=anchor.name, fingerprint=leaf.fingerprint),
        )


async def _check_key(
    path: TrustedPath, device: Device, uow: UnitOfWork, trace: DecisionTrace, *, shared: bool
) -> None:
    """Demand that the key in the certificate is nobody else's, and not compromised."""
    key = await uow.keys.find(path.certificates[0].spki_sha256)
    check_uncompromised(key)
    if key is not None and not shared and key.device_id not in {None, device.device_id}:
        trace.rivals = (str(key.device_id),)
        raise NotAuthorized(
            f"the key of the presented certificate belongs to device {key.device_id}",
            finding="key_reuse",
        )


def _pin(path: TrustedPath, device: Device) -> DeviceIdentity | None:
    """Give the identity that ties the device to this very certificate, if it is not tied yet."""
    pin = DeviceIdentity(
        kind=IdentityKind.IDEVID_CERT_SHA256, value=path.certificates[0].fingerprint
    )
    return None if pin in device.identities else pin


def _what(path: TrustedPath, anchor: TrustAnchor) -> str:
    leaf = path.certificates[0]
    over = f", expired {path.expired_for} ago" if path.expired_for is not None else ""
    return f"{leaf.title} by {path.issuer.title} under {anchor.name}{over}"
