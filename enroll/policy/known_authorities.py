"""The CAs of others that one tenant knows, in the form in which paths are built."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from enroll.credentials import CredentialKind
from enroll.policy.paths.building import Anchor, CertificateStore
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.validation import CLIENT_PURPOSES
from enroll.policy.registration_authorities import is_appointed
from enroll.profiles import PolicySnapshot
from enroll.trust import CMC_RA, TrustAnchor, TrustPurpose

KINDS: Mapping[TrustPurpose, CredentialKind] = {
    TrustPurpose.IDEVID: CredentialKind.IDEVID,
    TrustPurpose.AUTH_CA: CredentialKind.AUTH_CA,
    TrustPurpose.RA: CredentialKind.RA,
}
"""The purposes whose anchors vouch for devices, or for who speaks for them."""

PURPOSES = {
    TrustPurpose.RA: frozenset({CMC_RA, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}),
}
"""What certificates below an anchor have to be meant for, where that is not TLS clients.

A CA that is limited to those of devices can make no registration authorities.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAuthorities:
    """Anchors that vouch for devices, by id, and the store that paths to them are found in."""

    anchors: Mapping[str, TrustAnchor]
    store: CertificateStore


class AuthoritiesByTenant:
    """Reads each tenant's CAs once for each version of policy."""

    def __init__(self) -> None:
        self._policy: PolicySnapshot | None = None
        self._known: dict[str, KnownAuthorities] = {}

    def known_to(self, tenant_id: str, policy: PolicySnapshot) -> KnownAuthorities:
        if self._policy is not policy:
            self._policy, self._known = policy, {}
        found = self._known.get(tenant_id)
        if found is None:
            found = self._known[tenant_id] = known_authorities(tenant_id, policy)
        return found


def known_authorities(tenant_id: str, policy: PolicySnapshot) -> KnownAuthorities:
    """Sort out a tenant's anchors; those of every purpose help to complete a path."""
    own = [
        each
        for each in policy.trust_anchors.values()
        if each.tenant_id == tenant_id and not is_appointed(each)
    ]
    tops = {each.anchor_id: PathCertificate(each.certificate) for each in own}
    between = [PathCertificate(one) for each in own for one in each.intermediate_certificates]
    vouching = {each.anchor_id: each for each in own if each.purpose in KINDS}
    return KnownAuthorities(
        anchors=vouching,
        store=CertificateStore(
            anchors=tuple(
                Anchor(
                    anchor_id=each.anchor_id,
                    certificate=tops[each.anchor_id],
                    policies=frozenset(map(x509.ObjectIdentifier, each.policies)),
                    purposes=PURPOSES.get(each.purpose, CLIENT_PURPOSES),
                )
                for each in vouching.values()
            ),
            between=(*between, *tops.values()),
            blocked_keys=frozenset(
                tops[each.anchor_id].spki_sha256 for each in own if each.blocked
            ),
        ),
    )
