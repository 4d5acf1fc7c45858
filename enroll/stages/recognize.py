"""Which credentials the sender of a later message proves to hold, spent ones too."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NoReturn

from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.codes import CodeMatcher
from enroll.credentials import (
    Credential,
    SharedSecretMAC,
    UnshownCertificate,
    proving_certificate,
)
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.orders import Order
from enroll.ports import Clock, CodeVault, UnitOfWork
from enroll.profiles import PolicySnapshot
from enroll.request import FaultyRequest, RequestOrigin
from enroll.shared_secrets import ByGroupSecret
from enroll.stages.address import tenant_of
from enroll.trace import DecisionTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The ids of what was proven, and the one device that it was proven for, if it names one."""

    credential_ids: frozenset[str] = frozenset()
    device_id: str | None = None

    def has(self, found: CertificateRecord | Order) -> bool:
        """Tell whether it may be the sender's: not what another device got by a shared secret."""
        return self.device_id in {None, found.device_id}


class Recognize:
    """Knows again who opened an exchange, with the same work whoever it is."""

    def __init__(self, vault: CodeVault, clock: Clock) -> None:
        self._codes = CodeMatcher(vault)
        self._by_group_secret = ByGroupSecret(vault, clock)
        self._clock = clock

    async def __call__(
        self,
        origin: RequestOrigin,
        credentials: Iterable[Credential],
        policy: PolicySnapshot,
        uow: UnitOfWork,
        trace: DecisionTrace,
        *,
        likely: AbstractSet[str] = frozenset(),
    ) -> Known:
        """Give what is proven; nothing, where nothing was shown.

        Of many codes those of `likely` ids are tried before all others, and a certificate that was
        not shown is one of them. Raises Untried, NotAuthenticated for a MAC of no secret,
        EnrollmentError (BAD_MESSAGE_CHECK, CERTIFICATE_REVOKED).
        """
        shown = tuple(credentials)
        mac = next((each for each in shown if isinstance(each, SharedSecretMAC)), None)
        if mac is not None:
            return await self._by_mac(origin, mac, policy, uow, trace, likely)
        unshown = next((each for each in shown if isinstance(each, UnshownCertificate)), None)
        certificate = proving_certificate(shown)
        if unshown is not None:
            fingerprint = await _kept(unshown, likely, uow, trace)
        elif certificate is not None:
            fingerprint = certificate.leaf.fingerprint(hashes.SHA256()).hex()
        else:
            return Known()
        record = await uow.certificates.by_fingerprint(fingerprint)
        if record is not None and record.status in {
            CertificateStatus.REVOKED,
            CertificateStatus.ON_HOLD,
        }:
            trace.failed("client certificate", "revoked or on hold")
            raise EnrollmentError(
                FailureReason.CERTIFICATE_REVOKED, "the presented certificate is revoked"
            )
        return Known(credential_ids=frozenset({fingerprint}))

    async def find_fault(
        self, faulty: FaultyRequest, uow: UnitOfWork, trace: DecisionTrace
    ) -> NoReturn:
        """Refuse a message for its fault if its sender is known again, else for that alone."""
        policy = await uow.policy.snapshot()
        await self(faulty.origin, faulty.credentials, policy, uow, trace)
        trace.proven = True
        raise faulty.fault

    async def _by_mac(
        self,
        origin: RequestOrigin,
        mac: SharedSecretMAC,
        policy: PolicySnapshot,
        uow: UnitOfWork,
        trace: DecisionTrace,
        likely: AbstractSet[str],
    ) -> Known:
        tenant = tenant_of(origin.profile, policy)
        tenant_id = tenant.tenant_id if tenant is not None else ""
        found = await self._codes.find(mac, tenant_id, self._clock.now(), uow, likely=likely)
        ids = {each.code_id for each in found.codes if each.revoked_at is None}
        group_id = found.device.group_id if found.device is not None else None
        if not ids:
            shared = self._by_group_secret.shown_of(mac, tenant_id, group_id, policy)
            passcodes = {each.secret_id for each in shared if each.reference is not None}
            if passcodes:
                # Its name is no device's: the exchange's id, which its parties know, tells them.
                trace.passed("passcode", "known again")
                return Known(credential_ids=frozenset(passcodes))
            ids |= {each.secret_id for each in shared}
        if found.device is None or not ids:
            trace.failed("shared secret", found.finding)
            raise NotAuthenticated(found.detail, finding=found.finding)
        trace.device = found.device
        trace.passed("shared secret", "known again")
        return Known(credential_ids=frozenset(ids), device_id=found.device.device_id)


async def _kept(
    unshown: UnshownCertificate, likely: AbstractSet[str], uow: UnitOfWork, trace: DecisionTrace
) -> str:
    """Find whose signature it is among those who began the exchange. Raises BAD_MESSAGE_CHECK."""
    for fingerprint in sorted(likely):
        record = await uow.certificates.by_fingerprint(fingerprint)
        if record is not None and unshown.matches(record.certificate):
            return fingerprint
    trace.failed("client certificate", "neither shown nor kept")
    raise EnrollmentError(
        FailureReason.BAD_MESSAGE_CHECK,
        "the message has no certificate, and none that began its exchange gives the signature",
        finding="signer_missing",
    )
