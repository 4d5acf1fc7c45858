"""Which trust anchors may be stored, and what of a certificate below one must fit."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from enroll.device import IdentityKind
from enroll.policy.names import ATTRIBUTE_TYPES
from enroll.policy.paths.certificates import UNREADABLE, PathCertificate
from enroll.policy.paths.faults import PathError
from enroll.policy.paths.signatures import check_key, check_signature
from enroll.policy.profiles import PolicyError
from enroll.policy.registration_authorities import is_appointed
from enroll.profiles import EnrollmentProfile, PolicySnapshot
from enroll.trust import TrustAnchor, TrustPurpose, says_cmc_ra

LONGEST_NAME = 50
LONGEST_PATTERN = 255
MOST_INTERMEDIATES = 50
MOST_PATTERNS = 50
ALTERNATIVE_NAMES: Mapping[str, type[x509.GeneralName]] = {
    "uri": x509.UniformResourceIdentifier,
    "dns": x509.DNSName,
    "email": x509.RFC822Name,
}
IDENTIFYING: Mapping[str, IdentityKind] = {
    "serialNumber": IdentityKind.SERIAL_NUMBER,
    "CN": IdentityKind.COMMON_NAME,
    "uri": IdentityKind.SAN_URI,
    "dns": IdentityKind.SAN_DNS,
}
"""The fields that can tell one device from another."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,48}[A-Za-z0-9])?")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,18})){1,30}")


def is_shared(anchor: TrustAnchor) -> bool:
    """Tell whether many devices may show one and the same certificate below this CA.

    A maker's are each one device's. Another CA's are, where a pattern names the field that tells
    them apart.
    """
    return anchor.purpose is TrustPurpose.AUTH_CA and not any(
        field in IDENTIFYING for field, _ in anchor.patterns
    )


def objection(
    anchor: TrustAnchor, profile: EnrollmentProfile, values: Mapping[str, Sequence[str]]
) -> str | None:
    """Say why the anchor does not let a certificate with these values enroll here, if it does not.

    Of a field that has patterns there must be a value, and each must match one of them.
    """
    if anchor.profiles and profile.slug not in anchor.profiles:
        return f"trust anchor {anchor.name!r} does not serve profile {profile.slug!r}"
    patterns: dict[str, list[str]] = {}
    for field, pattern in anchor.patterns:
        patterns.setdefault(field, []).append(pattern)
    for field, alternatives in patterns.items():
        found = values.get(field, ())
        if not found:
            return f"the certificate has no {field}, for which {anchor.name!r} has a pattern"
        for value in found:
            if not any(_matches(value, pattern) for pattern in alternatives):
                return f"{field} {value[:80]!r} fits no pattern of trust anchor {anchor.name!r}"
    return None


def values_in(leaf: PathCertificate) -> Mapping[str, Sequence[str]]:
    """Give what a certificate says in each field that patterns may speak of. Raises PathError."""
    values: dict[str, list[str]] = {}
    names = {oid: key for key, oid in ATTRIBUTE_TYPES.items()}
    for attribute in leaf.certificate.subject:
        key = names.get(attribute.oid)
        if key is not None and isinstance(attribute.value, str):
            values.setdefault(key, []).append(attribute.value)
    kinds = {kind: key for key, kind in ALTERNATIVE_NAMES.items()}
    for name in leaf.extension(x509.SubjectAlternativeName) or ():
        key = kinds.get(type(name))
        if key is not None:
            values.setdefault(key, []).append(name.value)
    return values


def check_trust_anchor(anchor: TrustAnchor, policy: PolicySnapshot) -> None:
    """Check one trust anchor against the policy that it will join. Raises PolicyError."""
    if not _NAME.fullmatch(anchor.name):
        raise PolicyError(
            f"name: expected 1 to {LONGEST_NAME} letters, digits, spaces, dots, hyphens or "
            f"underscores, not {anchor.name!r}"
        )
    if is_appointed(anchor):
        _check_appointed(anchor)
    else:
        _check_certificates(anchor)
    _check_patterns(anchor)
    _check_groups(anchor, policy)
    _check_newcomers(anchor, policy)
    for slug in anchor.profiles:
        profile = policy.enrollment_profiles.get(slug)
        if profile is None or profile.tenant_id != anchor.tenant_id:
            raise PolicyError(f"profiles: there is no profile {slug!r}; see 'enroll profile list'")
    for policy_oid in anchor.policies:
        if not _OID.fullmatch(policy_oid):
            raise PolicyError(f"policies: {policy_oid!r} is not a dotted object identifier")
    maker = anchor.manufacturer
    if maker is not None and (not maker.strip() or not maker.isprintable() or len(maker) > 255):  # noqa: PLR2004 - as long as any name
        raise PolicyError("manufacturer: expected up to 255 printable characters")


def _check_appointed(anchor: TrustAnchor) -> None:
    """Check a registration authority's own certificate: there is nothing below or beside it."""
    if anchor.intermediates or anchor.patterns or anchor.policies:
        raise PolicyError(
            "certificate: it is a registration authority's own, so that intermediates, patterns "
            "and policies have no meaning"
        )
    if not says_cmc_ra(anchor.certificate):
        raise PolicyError(
            "certificate: it is no CA's, and lacks id-kp-cmcRA: it is no registration authority's"
        )


def _check_groups(anchor: TrustAnchor, policy: PolicySnapshot) -> None:
    if anchor.groups and anchor.purpose is not TrustPurpose.RA:
        raise PolicyError("groups: they are for anchors of purpose ra")
    for name in anchor.groups:
        if policy.group_named(anchor.tenant_id, name) is None:
            raise PolicyError(f"groups: there is no group {name!r}; see 'enroll group list'")


def _check_newcomers(anchor: TrustAnchor, policy: PolicySnapshot) -> None:
    """Check that who joins on the anchor's word is told apart by it, and joins a group there is."""
    name = anchor.newcomers_join
    if name is None:
        return
    if anchor.purpose not in {TrustPurpose.IDEVID, TrustPurpose.AUTH_CA} or is_shared(anchor):
        raise PolicyError(
            "newcomers_join: it is for anchors whose certificates are each one device's: of "
            "purpose idevid, or auth-ca with a pattern for CN, serialNumber, uri or dns"
        )
    if policy.group_named(anchor.tenant_id, name) is None:
        raise PolicyError(f"newcomers_join: there is no group {name!r}; see 'enroll group list'")


def split_chain(
    certificates: Sequence[x509.Certificate],
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Tell the anchor among CAs in any order: the one that none of the others issued.

    Raises PolicyError unless there is exactly one, and every other is below it.
    """
    found = [PathCertificate(each) for each in dict.fromkeys(certificates)]
    tops = [each for each in found if not any(_issued(each, other) for other in found)]
    if len(tops) != 1:
        titles = "; ".join(each.title for each in tops) or "none"
        raise PolicyError(
            "certificate: expected one CA and, if you like, those below it, in one file; "
            f"at the top of it stand: {titles}"
        )
    return tops[0].certificate, tuple(each.certificate for each in found if each is not tops[0])


def _issued(certificate: PathCertificate, issuer: PathCertificate) -> bool:
    if certificate is issuer:
        return False
    try:
        if certificate.issuer != issuer.subject:
            return False
        check_signature(certificate, issuer)
    except PathError:
        return False
    return True


def _check_certificates(anchor: TrustAnchor) -> None:
    if len(anchor.intermediates) > MOST_INTERMEDIATES:
        raise PolicyError(f"intermediates: more than {MOST_INTERMEDIATES}")
    try:
        top = PathCertificate(anchor.certificate)
        between = [PathCertificate(each) for each in anchor.intermediate_certificates]
    except UNREADABLE as error:
        raise PolicyError(f"certificate: it cannot be read: {error}") from error
    try:
        for each in (top, *between):
            _check_authority(each)
            check_key(each)
    except PathError as error:
        raise PolicyError(f"certificate: {error.detail}") from error
    if top.is_self_issued:
        _check_self_signature(top)


def _check_authority(certificate: PathCertificate) -> None:
    basic = certificate.extension(x509.BasicConstraints)
    old_root = certificate.certificate.version is x509.Version.v1 and certificate.is_self_issued
    if not old_root and (basic is None or not basic.ca):
        raise PolicyError(
            f"certificate: {certificate.title} is not a CA's; register the CA that issued it"
        )


def _check_self_signature(top: PathCertificate) -> None:
    """Notice a damaged root. Its own signature proves nothing, and so may be by any algorithm."""
    try:
        top.certificate.verify_directly_issued_by(top.certificate)
    except InvalidSignature as error:
        raise PolicyError(
            f"certificate: {top.title} names itself as issuer, and did not sign itself"
        ) from error
    except UNREADABLE:
        return


def _check_patterns(anchor: TrustAnchor) -> None:
    if len(anchor.patterns) > MOST_PATTERNS:
        raise PolicyError(f"patterns: more than {MOST_PATTERNS}")
    known = (*ATTRIBUTE_TYPES, *ALTERNATIVE_NAMES)
    for field, pattern in anchor.patterns:
        if field not in known:
            raise PolicyError(f"patterns: {field!r} is none of {', '.join(known)}")
        if not 1 <= len(pattern) <= LONGEST_PATTERN or not pattern.isprintable():
            raise PolicyError(f"patterns: expected 1 to {LONGEST_PATTERN} printable characters")


def _matches(value: str, pattern: str) -> bool:
    """Match a glob: * is any characters, ? is one, all else is itself."""
    if len(value) > LONGEST_PATTERN:
        return False
    return fnmatchcase(value, pattern.replace("[", "[[]"))
