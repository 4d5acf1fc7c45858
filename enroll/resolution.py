"""The one device that everything shown and claimed points at (lifecycle §2.3, rules 2 to 5)."""

from collections.abc import Iterable

from enroll.device import Device, DeviceIdentity
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.ports import UnitOfWork


async def the_one_device(
    tenant_id: str,
    names: frozenset[str],
    identities: frozenset[DeviceIdentity],
    device_ids: Iterable[str],
    uow: UnitOfWork,
) -> Device:
    """Resolve all identifiers to one device; those of nobody do no harm.

    Raises EnrollmentError (UNKNOWN_DEVICE) and NotAuthorized.
    """
    found = set(await uow.devices.named_by(tenant_id, names, identities))
    found.update([each for each in device_ids if await uow.devices.by_id(each)])
    if not found:
        raise EnrollmentError(
            FailureReason.UNKNOWN_DEVICE,
            f"no device is registered as {_shown(identities)}",
            finding="identity_unknown",
        )
    if len(found) > 1:
        raise NotAuthorized(
            f"the certificate, or the request with it, points at {', '.join(sorted(found))}",
            finding=await _why_several(tenant_id, identities, uow),
        )
    device = await uow.devices.by_id(found.pop())
    assert device is not None  # noqa: S101 - what names a device refers to its row
    return device


async def _why_several(
    tenant_id: str, identities: frozenset[DeviceIdentity], uow: UnitOfWork
) -> str:
    """Tell two sorts of confusion apart: values of one kind for two devices, or of two kinds."""
    for kind in {each.kind for each in identities}:
        alike = [each for each in identities if each.kind is kind]
        if len(await uow.devices.named_by(tenant_id, (), alike)) > 1:
            return "identity_ambiguous"
    return "identity_conflict"


def _shown(identities: frozenset[DeviceIdentity]) -> str:
    return ", ".join(sorted(f"{each.kind}={each.value}" for each in identities))[:400]
