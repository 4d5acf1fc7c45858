"""RFC 5280 §6.1 for one path: from the trust anchor down to the device's certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from enroll.policy.paths.certificate_policies import POLICY_MAPPINGS, CertificatePolicies
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError, PathFault
from enroll.policy.paths.name_constraints import NameConstraints
from enroll.policy.paths.signatures import SignatureChecks, check_key

CLIENT_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
PROCESSED = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        POLICY_MAPPINGS,
    }
)
"""The extensions that may be critical. Any other that is makes a path invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """The inputs of §6.1.1 besides the path, and what else is asked of it.

    `grace` is how long after its end the device's certificate, and no CA's, is still taken.
    `policies` are the certificate policies of which the path needs one; empty for none. Where
    extended key usage is limited, `purposes` are those of which it needs one.
    """

    at: datetime
    grace: timedelta = timedelta(0)
    policies: frozenset[x509.ObjectIdentifier] = frozenset()
    explicit_policy: bool = False
    inhibit_policy_mapping: bool = False
    inhibit_any_policy: bool = False
    purposes: frozenset[x509.ObjectIdentifier] = CLIENT_PURPOSES


def validate(
    path: Sequence[PathCertificate],
    anchor: PathCertificate,
    rules: PathRules,
    signatures: SignatureChecks,
) -> timedelta | None:
    """Validate a path, the certificate below the anchor first and the device's last.

    That the anchor is to be trusted is its operator's word; its dates, its path length and its
    name constraints hold all the same (RFC 5280 §6.2, RFC 5937). Gives for how long the device's
    certificate has been over, if it was taken by grace. Raises PathError.
    """
    names, leaf = NameConstraints(), path[-1]
    policies = CertificatePolicies(
        len(path),
        acceptable=rules.policies or None,
        explicit=rules.explicit_policy,
        inhibit_mapping=rules.inhibit_policy_mapping,
        inhibit_any=rules.inhibit_any_policy,
    )
    room = len(path)
    _check_authority(anchor, rules, is_anchor=True)
    names.add(anchor)
    room = _lower(room, anchor)
    issuer = anchor
    for certificate in path:
        last = certificate is leaf
        _check_name(certificate, issuer)
        signatures.check(certificate, issuer)
        if last or not certificate.is_self_issued:
            names.check(certificate)
        policies.enter(certificate, last=last)
        _check_critical(certificate)
        if not last:
            _check_authority(certificate, rules, is_anchor=False)
            policies.descend(certificate)
            names.add(certificate)
            room = _lower(_one_less(room, certificate), certificate)
            issuer = certificate
    policies.finish(leaf)
    check_key(leaf)
    _check_leaf(leaf, rules)
    return _check_leaf_dates(leaf, rules)


def _check_name(certificate: PathCertificate, issuer: PathCertificate) -> None:
    if certificate.issuer != issuer.subject:
        raise PathError(
            PathFault.CHAIN_INCOMPLETE,
            f"{certificate.title} was issued by {certificate.issuer_title}, not {issuer.title}",
        )


def _check_authority(authority: PathCertificate, rules: PathRules, *, is_anchor: bool) -> None:
    """Demand a CA that may issue certificates now. Raises PathError."""
    parsed = authority.certificate
    if rules.at < parsed.not_valid_before_utc:
        raise PathError(PathFault.CA_NOT_YET_VALID, f"the CA {authority.title} is not valid yet")
    if rules.at > parsed.not_valid_after_utc:
        raise PathError(
            PathFault.CA_EXPIRED,
            f"the CA {authority.title} expired at {parsed.not_valid_after_utc.isoformat()}",
        )
    if not is_anchor or parsed.version is not x509.Version.v1:
        basic = authority.extension(x509.BasicConstraints)
        if basic is None or not basic.ca:
            raise PathError(PathFault.CA_PURPOSE, f"{authority.title} is no CA")
    usage = authority.extension(x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise PathError(
            PathFault.CA_PURPOSE, f"the key of {authority.title} may not sign certificates"
        )
    if not _is_for(rules.purposes, authority):
        raise PathError(
            PathFault.CA_PURPOSE, f"{authority.title} is not meant to issue to TLS clients"
        )


def _check_leaf(leaf: PathCertificate, rules: PathRules) -> None:
    """Demand a certificate with which a device may authenticate itself. Raises PathError.

    An alternative name is not asked for: IDevIDs may have none (IEEE 802.1AR §8).
    """
    basic = leaf.extension(x509.BasicConstraints)
    if basic is not None and basic.ca:
        raise PathError(PathFault.CERTIFICATE_PURPOSE, f"{leaf.title} is a CA, and not a device")
    usage = leaf.extension(x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise PathError(
            PathFault.CERTIFICATE_PURPOSE, f"the key of {leaf.title} is not for signing"
        )
    if not _is_for(rules.purposes, leaf):
        raise PathError(PathFault.CERTIFICATE_PURPOSE, f"{leaf.title} is not meant for TLS clients")


def _check_leaf_dates(leaf: PathCertificate, rules: PathRules) -> timedelta | None:
    """Judge the dates last: that it is over is told only of a certificate that is good."""
    parsed = leaf.certificate
    if rules.at < parsed.not_valid_before_utc:
        raise PathError(
            PathFault.CERTIFICATE_NOT_YET_VALID,
            f"{leaf.title} is not valid before {parsed.not_valid_before_utc.isoformat()}",
        )
    over = rules.at - parsed.not_valid_after_utc
    if over > max(rules.grace, timedelta(0)):
        raise PathError(
            PathFault.CERTIFICATE_EXPIRED,
            f"{leaf.title} expired at {parsed.not_valid_after_utc.isoformat()}",
        )
    return over if over > timedelta(0) else None


def _check_critical(certificate: PathCertificate) -> None:
    for each in certificate.extensions:
        if each.critical and each.oid not in PROCESSED:
            raise PathError(
                PathFault.CRITICAL_EXTENSION,
                f"{certificate.title} has the critical extension {each.oid.dotted_string}, "
                "which is not understood here",
            )


def _is_for(purposes: frozenset[x509.ObjectIdentifier], certificate: PathCertificate) -> bool:
    found = certificate.extension(x509.ExtendedKeyUsage)
    return found is None or not purposes.isdisjoint(found)


def _one_less(room: int, authority: PathCertificate) -> int:
    """Do step (l) of §6.1.4. Raises PathError."""
    if authority.is_self_issued:
        return room
    if room <= 0:
        raise PathError(
            PathFault.PATH_TOO_LONG, f"a CA above it does not let {authority.title} be a CA"
        )
    return room - 1


def _lower(room: int, authority: PathCertificate) -> int:
    """Do step (m) of §6.1.4."""
    basic = authority.extension(x509.BasicConstraints)
    limit = basic.path_length if basic is not None else None
    return room if limit is None else min(room, limit)
