"""The credential belongs to a registered device, and nothing in the request points at another."""

from cryptography.hazmat.primitives import hashes

from enroll.credentials import NamingSecret, ShownCertificate, proving_certificate
from enroll.device import Device, DeviceState
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.policy.identities import claims_of, foreign_claims, names_of
from enroll.ports import UnitOfWork
from enroll.steps import Authenticated, Identified
from enroll.trace import DecisionTrace


async def identify(step: Authenticated, uow: UnitOfWork, trace: DecisionTrace) -> Identified:
    """Resolve every identifier to one device (lifecycle §2.3, rules 1 to 5).

    Raises EnrollmentError (UNKNOWN_DEVICE), NotAuthorized (identity_conflict).
    """
    addressed = step.addressed
    device = step.newcomer or await uow.devices.by_id(step.authentication.device_id)
    if device is None or device.state is DeviceState.DELETED:
        trace.failed("device", "not in the registry")
        raise EnrollmentError(
            FailureReason.UNKNOWN_DEVICE,
            "the credential's device is not in the registry",
            finding="identity_unknown",
        )
    if step.newcomer is None:
        trace.device = device
    if device.tenant_id != addressed.tenant.tenant_id:
        trace.failed("device", "of another tenant")
        raise NotAuthorized("the device is another tenant's", finding="wrong_tenant")
    await _check_no_conflict(step, device, uow, trace)
    trace.passed("device", device.name)
    live = await uow.certificates.live_of(device.device_id)
    return Identified(
        authenticated=step,
        device=device,
        group=addressed.policy.groups[device.group_id],
        live=tuple(each for each in live if each.is_live),
    )


async def _check_no_conflict(
    step: Authenticated, device: Device, uow: UnitOfWork, trace: DecisionTrace
) -> None:
    """Refuse if anything in the request, or another credential shown, is another device's."""
    request = step.addressed.request
    users = [each.username for each in request.credentials if isinstance(each, NamingSecret)]
    if step.authentication.by_reference:
        users = []
    claims = claims_of(request.certificate_request, users, names_of(device))
    foreign = foreign_claims(claims, device)
    others = await uow.devices.named_by(device.tenant_id, foreign.names, foreign.identities)
    ids = [each for each in foreign.device_ids if await uow.devices.by_id(each) is not None]
    shown = await _shown_certificate_owner(step, uow)
    conflicting = (others | shown | set(ids)) - {device.device_id}
    if conflicting:
        trace.rivals = tuple(sorted(conflicting))
        trace.failed("identity", f"points at {', '.join(trace.rivals)} too")
        raise NotAuthorized(
            f"the request points at {device.device_id} and at {', '.join(trace.rivals)}",
            finding="identity_conflict",
        )


async def _shown_certificate_owner(step: Authenticated, uow: UnitOfWork) -> frozenset[str]:
    """Find whose certificates were shown beside the proof, which needs no second look itself."""
    credentials = step.addressed.request.credentials
    by_certificate = step.presented is not None or step.third_party is not None
    proving = proving_certificate(credentials) if by_certificate else None
    owners = set()
    for credential in credentials:
        if isinstance(credential, ShownCertificate) and credential is not proving:
            fingerprint = credential.leaf.fingerprint(hashes.SHA256()).hex()
            record = await uow.certificates.by_fingerprint(fingerprint)
            if record is not None and record.device_id is not None:
                owners.add(record.device_id)
    return frozenset(owners)
