"""The policy of a new installation: one tenant, one group, two profiles of each sort."""

from dataclasses import dataclass
from datetime import timedelta

from enroll.credentials import CredentialKind
from enroll.profiles import (
    CertificateClass,
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    ReEnrollment,
    Tenant,
)

BOOTSTRAP = "bootstrap"
OPERATIONAL = "operational"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultPolicy:
    """What `init` stores."""

    tenant: Tenant
    group: DeviceGroup
    certificate_profiles: tuple[CertificateProfile, ...]
    enrollment_profiles: tuple[EnrollmentProfile, ...]


def default_policy(tenant_id: str, group_id: str) -> DefaultPolicy:
    """Write the policy: a code, or another CA's certificate, leads to a bootstrap certificate.

    That leads to an operational one.
    """
    return DefaultPolicy(
        tenant=Tenant(tenant_id=tenant_id, name="default", default_profile=BOOTSTRAP),
        group=DeviceGroup(
            group_id=group_id,
            tenant_id=tenant_id,
            name="default",
            required_profiles=(OPERATIONAL,),
        ),
        certificate_profiles=(
            CertificateProfile(
                name=BOOTSTRAP,
                tenant_id=tenant_id,
                validity=timedelta(days=365),
            ),
            CertificateProfile(
                name=OPERATIONAL,
                tenant_id=tenant_id,
                validity=timedelta(days=90),
            ),
        ),
        enrollment_profiles=(
            EnrollmentProfile(
                slug=BOOTSTRAP,
                tenant_id=tenant_id,
                certificate_class=CertificateClass.BOOTSTRAP,
                certificate_profile=BOOTSTRAP,
                initial_credentials=frozenset(
                    {
                        CredentialKind.ONE_TIME_CODE,
                        CredentialKind.IDEVID,
                        CredentialKind.AUTH_CA,
                    }
                ),
                re_enrollment=ReEnrollment.FRESH_CODE,
                allow_replace=True,
            ),
            EnrollmentProfile(
                slug=OPERATIONAL,
                tenant_id=tenant_id,
                certificate_class=CertificateClass.OPERATIONAL,
                certificate_profile=OPERATIONAL,
                initial_credentials=frozenset({CredentialKind.OWN_CERTIFICATE}),
                own_certificates_of=(BOOTSTRAP,),
                re_enrollment=ReEnrollment.ALLOW,
                allow_replace=True,
            ),
        ),
    )
