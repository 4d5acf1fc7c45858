"""Who may speak for devices: certificates with id-kp-cmcRA (RFC 7030 §3.7, RFC 6402 §2.10)."""

from cryptography import x509

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.profiles import DeviceGroup, EnrollmentProfile, PolicySnapshot
from enroll.trust import TrustAnchor, TrustPurpose, says_cmc_ra


def is_appointed(anchor: TrustAnchor) -> bool:
    """Tell whether the anchor is a registration authority's own certificate, and no CA's."""
    if anchor.purpose is not TrustPurpose.RA:
        return False
    try:
        certificate = anchor.certificate
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return says_cmc_ra(anchor.certificate)
    except ValueError:
        return False
    return not basic.ca


def appointed_with(tenant_id: str, der: bytes, policy: PolicySnapshot) -> TrustAnchor | None:
    """Find the registration authority of this very certificate."""
    return next(
        (
            each
            for each in policy.trust_anchors.values()
            if each.tenant_id == tenant_id
            and each.purpose is TrustPurpose.RA
            and each.der == der
            and is_appointed(each)
        ),
        None,
    )


def check_may_speak(
    anchor: TrustAnchor, profile: EnrollmentProfile, shown: CertificateRecord
) -> None:
    """Check that an appointed authority is one, and not blocked, and serves the profile.

    Raises EnrollmentError (CERTIFICATE_REVOKED), NotAuthorized.
    """
    if shown.status is CertificateStatus.ON_HOLD:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_REVOKED,
            "the certificate of the registration authority is on hold",
            finding="certificate_on_hold",
        )
    if anchor.blocked:
        raise NotAuthorized(
            f"the registration authority {anchor.name!r} is blocked", finding="anchor_blocked"
        )
    if anchor.profiles and profile.slug not in anchor.profiles:
        raise NotAuthorized(
            f"the registration authority {anchor.name!r} does not serve profile {profile.slug!r}",
            finding="credential_not_sufficient",
        )
    if not says_cmc_ra(shown.certificate):
        raise NotAuthorized("the certificate lacks id-kp-cmcRA", finding="certificate_purpose")


def check_speaks_for(anchor: TrustAnchor, group: DeviceGroup) -> None:
    """Check that a device of the group is one that it may enroll. Raises NotAuthorized."""
    if anchor.groups and not {group.name, group.group_id} & set(anchor.groups):
        raise NotAuthorized(
            f"the registration authority {anchor.name!r} may not enroll devices of group "
            f"{group.name!r}; see 'enroll trust set {anchor.name} groups=…'",
            finding="ra_of_other_groups",
        )
