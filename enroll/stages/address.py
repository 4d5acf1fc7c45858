"""Which endpoint was asked: the enrollment profile, its tenant, and the policy they stand under."""

from dataclasses import replace

from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateRecord
from enroll.credentials import proving_certificate
from enroll.failures import NotAuthorized
from enroll.ports import UnitOfWork
from enroll.profiles import CertificateClass, EnrollmentProfile, PolicySnapshot, Tenant
from enroll.request import EnrollmentRequest, Operation
from enroll.steps import Addressed
from enroll.trace import DecisionTrace

DEFAULT_TENANT = "default"
_OF_DEVICES = frozenset({CertificateClass.BOOTSTRAP, CertificateClass.OPERATIONAL})


async def address(request: EnrollmentRequest, uow: UnitOfWork, trace: DecisionTrace) -> Addressed:
    """Resolve the profile that the request is for.

    It is the one in the path; without one, on renewal, that of the presented certificate's slot;
    else the default tenant's default. A request that does not say what it is renews that slot, and
    is a first enrollment for any other.

    Raises NotAuthorized if there is no such profile, or it does not serve this protocol.
    """
    policy = await uow.policy.snapshot()
    shown = await _shown(request, uow)
    slug = request.origin.profile or _implied_slug(shown, policy)
    if request.operation is Operation.BY_CERTIFICATE:
        fills = shown is not None and shown.profile == slug
        request = replace(request, operation=Operation.RENEWAL if fills else Operation.INITIAL)
    profile = policy.enrollment_profiles.get(slug)
    if profile is None or request.origin.protocol not in profile.protocols:
        trace.failed("profile", slug)
        raise NotAuthorized(
            f"there is no profile {slug!r} for {request.origin.protocol}",
            finding="profile_unknown",
        )
    trace.passed("profile", slug)
    return Addressed(
        request=request,
        policy=policy,
        tenant=policy.tenants[profile.tenant_id],
        profile=profile,
    )


def default_profile(policy: PolicySnapshot) -> EnrollmentProfile | None:
    """Give the profile that a path without one means."""
    tenant = policy.tenant_named(DEFAULT_TENANT)
    return policy.enrollment_profiles.get(tenant.default_profile) if tenant else None


def tenant_of(slug: str | None, policy: PolicySnapshot) -> Tenant | None:
    """Give the tenant that a path belongs to: the profile's, or the default one."""
    if slug is None:
        return policy.tenant_named(DEFAULT_TENANT)
    profile = policy.enrollment_profiles.get(slug)
    return policy.tenants.get(profile.tenant_id) if profile is not None else None


async def _shown(request: EnrollmentRequest, uow: UnitOfWork) -> CertificateRecord | None:
    """Find the device's certificate that was shown, where the operation depends on it."""
    unsaid = request.operation is Operation.BY_CERTIFICATE
    if not unsaid and (request.operation is Operation.INITIAL or request.origin.profile):
        return None
    shown = proving_certificate(request.credentials)
    if shown is None:
        return None
    fingerprint = shown.leaf.fingerprint(hashes.SHA256()).hex()
    record = await uow.certificates.by_fingerprint(fingerprint)
    is_the_devices = record is not None and record.certificate_class in _OF_DEVICES
    return record if is_the_devices else None


def _implied_slug(shown: CertificateRecord | None, policy: PolicySnapshot) -> str:
    if shown is not None:
        return shown.profile
    profile = default_profile(policy)
    return profile.slug if profile else ""
