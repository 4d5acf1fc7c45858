"""Which profiles and groups may be stored: every fault names its key and what was expected."""

import re
from datetime import timedelta

from enroll.credentials import CredentialKind
from enroll.options import (
    ChallengePasswordRule,
    CSRAttributesStyle,
    ESTOptions,
    LinkingRule,
    ServerKeyGeneration,
)
from enroll.policy.names import (
    ALTERNATIVE_NAME_KINDS,
    ATTRIBUTE_TYPES,
    is_impossible,
    unknown_placeholder,
)
from enroll.profiles import (
    CertificateClass,
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    PolicySnapshot,
)

MAXIMUM_VALIDITY = timedelta(days=366 * 30)
MOST_NEWCOMERS = 1_000_000
RESERVED_SLUGS = frozenset(
    {
        # RFC 7030 §3.2.2: a label must not be an operation's name. "p" is CMP's path element.
        "cacerts",
        "simpleenroll",
        "simplereenroll",
        "csrattrs",
        "serverkeygen",
        "fullcmc",
        "p",
        "pkiclient.exe",
    }
)
EXTENDED_KEY_USAGES = {
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
}
"""Names for the common purposes; any other is given as a dotted OID."""

_DEVICE_CLASSES = frozenset({CertificateClass.BOOTSTRAP, CertificateClass.OPERATIONAL})
_RENEWING = frozenset(
    {CredentialKind.OWN_CERTIFICATE, CredentialKind.ONE_TIME_CODE, CredentialKind.RA}
)
# anyExtendedKeyUsage and OCSPSigning; cmcCA, cmcRA and cmKGA, which speak for others.
_FORBIDDEN_PURPOSES = frozenset(
    {
        "2.5.29.37.0",
        "1.3.6.1.5.5.7.3.9",
        "1.3.6.1.5.5.7.3.27",
        "1.3.6.1.5.5.7.3.28",
        "1.3.6.1.5.5.7.3.32",
    }
)
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")


class PolicyError(ValueError):
    """A profile or group cannot be stored as it is; the message names the key at fault."""


def purpose_oid(name: str) -> str:
    """Give the dotted OID of an extended key usage. Raises PolicyError."""
    oid = EXTENDED_KEY_USAGES.get(name, name)
    if not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]{0,18})){1,30}", oid):
        known = ", ".join(EXTENDED_KEY_USAGES)
        raise PolicyError(f"extended_key_usage: {name!r} is neither one of {known} nor an OID")
    return oid


def check_enrollment_profile(profile: EnrollmentProfile, policy: PolicySnapshot) -> None:
    """Check one enrollment profile against the policy that it will join. Raises PolicyError."""
    _check_slug(profile.slug)
    if profile.certificate_class not in _DEVICE_CLASSES:
        raise PolicyError("certificate_class: expected bootstrap or operational")
    wanted = policy.certificate_profiles.get((profile.tenant_id, profile.certificate_profile))
    if wanted is None:
        raise PolicyError(
            f"certificate_profile: there is none named {profile.certificate_profile!r}"
        )
    if not profile.protocols:
        raise PolicyError("protocols: expected at least one of est, scep, cmp")
    if not 0 < profile.renewal_window <= 1:
        raise PolicyError("renewal_window: expected a part of the lifetime, above 0 and up to 1")
    if profile.decision_webhook is not None and not _SLUG.fullmatch(profile.decision_webhook):
        raise PolicyError(
            "decision_webhook: expected the NAME of a section [webhooks.NAME] of the configuration"
        )
    _check_initial_credentials(profile, policy)
    _check_durations(profile)
    _check_est(profile)
    _check_can_renew(profile, wanted)
    if profile.est.server_key_generation is ServerKeyGeneration.ALLOWED:
        _check_key_generation(profile.est, wanted)


def check_certificate_profile(profile: CertificateProfile) -> None:
    """Check one certificate profile by itself. Raises PolicyError."""
    if not _NAME.fullmatch(profile.name):
        raise PolicyError("name: expected 1 to 64 letters, digits, spaces, dots or hyphens")
    if not timedelta(minutes=1) <= profile.validity <= MAXIMUM_VALIDITY:
        raise PolicyError("validity: expected one minute to thirty years, such as 90d")
    if not timedelta(0) <= profile.backdate <= timedelta(minutes=5):
        raise PolicyError("backdate: expected zero to five minutes")
    _check_names(profile)
    if not profile.key_usage:
        raise PolicyError("key_usage: expected at least one")
    if not profile.key_algorithms:
        raise PolicyError("key_algorithms: expected at least one")
    for name in profile.extended_key_usage:
        if purpose_oid(name) in _FORBIDDEN_PURPOSES:
            raise PolicyError(f"extended_key_usage: {name!r} may not be given to a device")


def check_group(group: DeviceGroup, policy: PolicySnapshot) -> None:
    """Check one group against the policy that it will join. Raises PolicyError."""
    if not _NAME.fullmatch(group.name):
        raise PolicyError("name: expected 1 to 64 letters, digits, spaces, dots or hyphens")
    for slug in group.required_profiles:
        profile = policy.enrollment_profiles.get(slug)
        if profile is None or profile.tenant_id != group.tenant_id:
            raise PolicyError(f"required_profiles: there is no profile {slug!r} in this tenant")
    if not 1 <= group.newcomers_per_day <= MOST_NEWCOMERS:
        raise PolicyError(f"newcomers_per_day: expected 1 to {MOST_NEWCOMERS}")
    if not timedelta(minutes=1) <= group.approval_timeout <= timedelta(days=366):
        raise PolicyError("approval_timeout: expected a minute to a year, such as 7d")
    if not timedelta(seconds=1) <= group.approval_retry_after <= timedelta(days=1):
        raise PolicyError("approval_retry_after: expected a second to a day, such as 60s")


def _check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise PolicyError("slug: expected 1 to 64 of a-z, 0-9, dot, hyphen and underscore")
    if slug in RESERVED_SLUGS:
        raise PolicyError(f"slug: {slug!r} is the name of a protocol operation")


def _check_initial_credentials(profile: EnrollmentProfile, policy: PolicySnapshot) -> None:
    credentials = profile.initial_credentials
    if not credentials:
        raise PolicyError("initial_credentials: expected at least one")
    if CredentialKind.OWN_CERTIFICATE in credentials and not profile.own_certificates_of:
        raise PolicyError("own_certificates_of: name the slots whose certificates are accepted")
    for slot in profile.own_certificates_of:
        other = policy.enrollment_profiles.get(slot)
        if other is None or other.tenant_id != profile.tenant_id:
            raise PolicyError(f"own_certificates_of: there is no profile {slot!r} in this tenant")
    if not profile.renewal_credentials <= _RENEWING:
        # RFC 7030 §3.3.2: the certificate that is renewed, or an initial method where it cannot be.
        raise PolicyError(
            "renewal_credentials: expected own_certificate, one_time_code or ra; a certificate "
            "of another CA's proves a first enrollment only"
        )


def _check_est(profile: EnrollmentProfile) -> None:
    rule, linking = profile.est.challenge_password, profile.est.linking
    schemes = profile.est.http_authentication
    if len(set(schemes)) != len(schemes):
        raise PolicyError("est.http_authentication: expected each scheme once")
    if rule is ChallengePasswordRule.CODE and linking is LinkingRule.REQUIRED:
        raise PolicyError(
            "est.linking: cannot be required where est.challenge_password=code, for a "
            "challengePassword is then a one-time code and no channel binding"
        )
    if profile.est.csr_attributes is CSRAttributesStyle.NONE:
        # RFC 7030 §4.5.2: what is demanded has to be told.
        if linking is LinkingRule.REQUIRED:
            raise PolicyError(
                "est.csr_attributes: expected list or both where est.linking=required, so that "
                "devices are told to link their requests"
            )
        if profile.est.enforce_attributes:
            raise PolicyError(
                "est.csr_attributes: expected list or both where est.enforce_attributes=true, so "
                "that devices are told what to ask for"
            )


def _check_durations(profile: EnrollmentProfile) -> None:
    for key, duration in (
        ("confirm_timeout", profile.confirm_timeout),
        ("replay_window", profile.replay_window),
        ("expired_grace", profile.expired_grace),
        ("revoke_superseded_after", profile.revoke_superseded_after or timedelta(0)),
        ("cmp.message_time_window", profile.cmp.message_time_window or timedelta(0)),
    ):
        if not timedelta(0) <= duration <= MAXIMUM_VALIDITY:
            raise PolicyError(f"{key}: expected nothing to thirty years, such as 24h")


def _check_key_generation(options: ESTOptions, wanted: CertificateProfile) -> None:
    made = options.key_generation_algorithms
    if not made:
        raise PolicyError("est.key_generation_algorithms: expected at least one, such as p-256")
    allowed = {each.value for each in wanted.key_algorithms}
    refused = [each.value for each in made if each.value not in allowed]
    if refused:
        raise PolicyError(
            f"est.key_generation_algorithms: certificate profile {wanted.name!r} does not allow "
            f"{', '.join(refused)}"
        )


def _check_can_renew(profile: EnrollmentProfile, wanted: CertificateProfile) -> None:
    renews_by_tls = CredentialKind.OWN_CERTIFICATE in profile.renewal_credentials
    purposes = {purpose_oid(each) for each in wanted.extended_key_usage}
    if renews_by_tls and purposes and EXTENDED_KEY_USAGES["clientAuth"] not in purposes:
        raise PolicyError(
            f"certificate_profile: {wanted.name!r} lacks clientAuth, so its certificates could "
            "never be shown to renew themselves"
        )


def _check_names(profile: CertificateProfile) -> None:
    for key, template in profile.subject:
        if key not in ATTRIBUTE_TYPES:
            raise PolicyError(f"subject: {key!r} is none of {', '.join(ATTRIBUTE_TYPES)}")
        _check_template("subject", key, template)
    for kind, template in profile.subject_alternative_names:
        if kind not in ALTERNATIVE_NAME_KINDS:
            known = ", ".join(ALTERNATIVE_NAME_KINDS)
            raise PolicyError(f"subject_alternative_names: {kind!r} is none of {known}")
        _check_template("subject_alternative_names", kind, template)
    if not profile.subject and not profile.subject_alternative_names:
        raise PolicyError("subject: a certificate without any name is good for nothing")


def _check_template(key: str, kind: str, template: str) -> None:
    if not template:
        raise PolicyError(f"{key}: an empty template")
    unknown = unknown_placeholder(template)
    if unknown is not None:
        raise PolicyError(
            f"{key}: {unknown!r} is none of {{name}}, {{serial}}, {{id}}, {{attribute.X}}"
        )
    if is_impossible(kind, template):
        raise PolicyError(f"{key}: {template!r} can never be a {kind}")
