"""Which endpoint was asked: the enrollment profile, its tenant, and the policy they stand under."""

from cryptography.hazmat.primitives import hashes

from enroll.credentials import TLSClientCertificate
from enroll.failures import NotAuthorized
from enroll.ports import UnitOfWork
from enroll.profiles import CertificateClass, EnrollmentProfile, PolicySnapshot
from enroll.request import EnrollmentRequest, Operation
from enroll.steps import Addressed
from enroll.trace import DecisionTrace

DEFAULT_TENANT = "default"
_OF_DEVICES = frozenset({CertificateClass.BOOTSTRAP, CertificateClass.OPERATIONAL})


async def address(request: EnrollmentRequest, uow: UnitOfWork, trace: DecisionTrace) -> Addressed:
    """Resolve the profile that the request is for.

    It is the one in the path; without one, on renewal, that of the presented certificate's slot;
    else the default tenant's default.

    Raises NotAuthorized if there is no such profile, or it does not serve this protocol.
    """
    policy = await uow.policy.snapshot()
    slug = request.origin.profile or await _implied_slug(request, uow, policy)
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


async def _implied_slug(request: EnrollmentRequest, uow: UnitOfWork, policy: PolicySnapshot) -> str:
    if request.operation is Operation.RENEWAL:
        for credential in request.credentials:
            if isinstance(credential, TLSClientCertificate):
                fingerprint = credential.leaf.fingerprint(hashes.SHA256()).hex()
                record = await uow.certificates.by_fingerprint(fingerprint)
                if record is not None and record.certificate_class in _OF_DEVICES:
                    return record.profile
    profile = default_profile(policy)
    return profile.slug if profile else ""
