"""Certificate policies along a path: RFC 5280 §6.1 by the graph of RFC 9618, which cannot explode.

The graph is kept as its lowest row alone. Each policy there remembers the policies of the highest
row that led to it, which is all that the end of the algorithm asks of the rows above.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import CertificatePoliciesOID, ObjectIdentifier

from enroll.policy.paths.certificates import UNREADABLE, PathCertificate
from enroll.policy.paths.faults import PathError, PathFault

ANY_POLICY = CertificatePoliciesOID.ANY_POLICY
POLICY_MAPPINGS = ObjectIdentifier("2.5.29.33")
MOST_POLICIES = 100
"""How many policies or mappings one certificate may hold."""
_LONG_FORM = 0x80


@asn1.sequence
class _Mapping:
    issuer_domain: ObjectIdentifier
    subject_domain: ObjectIdentifier


@asn1.sequence
class _Wrapped:
    """What `asn1` can read a SEQUENCE OF from: a SEQUENCE around it."""

    mappings: Annotated[list[_Mapping], asn1.Size(1, MOST_POLICIES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A valid policy: what the next certificate may call it, and where it came from."""

    expected: frozenset[ObjectIdentifier]
    origins: frozenset[ObjectIdentifier]


class CertificatePolicies:
    """The policy state of RFC 5280 §6.1.2 on the way down a path of `length` certificates.

    `acceptable` is the user-initial-policy-set, None for any; `explicit` demands one of them.
    """

    def __init__(
        self,
        length: int,
        *,
        acceptable: frozenset[ObjectIdentifier] | None = None,
        explicit: bool = False,
        inhibit_mapping: bool = False,
        inhibit_any: bool = False,
    ) -> None:
        self._acceptable = acceptable
        self._row: Mapping[ObjectIdentifier, _Node] = {
            ANY_POLICY: _Node(expected=frozenset({ANY_POLICY}), origins=frozenset({ANY_POLICY}))
        }
        self._explicit = 0 if explicit else length + 1
        self._mapping = 0 if inhibit_mapping else length + 1
        self._any = 0 if inhibit_any else length + 1

    def enter(self, certificate: PathCertificate, *, last: bool) -> None:
        """Do steps (d) to (f) of §6.1.3. Raises PathError."""
        asserted = _asserted(certificate)
        take_any = self._any > 0 or (not last and certificate.is_self_issued)
        self._row = self._next_row(asserted, take_any=take_any) if asserted else {}
        if not self._explicit and not self._row:
            raise PathError(
                PathFault.CERTIFICATE_POLICIES,
                f"a certificate policy is demanded, and {certificate.title} has none that is valid",
            )

    def descend(self, authority: PathCertificate) -> None:
        """Do steps (a), (b), (h), (i) and (j) of §6.1.4. Raises PathError."""
        self._map(authority)
        if not authority.is_self_issued:
            self._explicit = max(0, self._explicit - 1)
            self._mapping = max(0, self._mapping - 1)
            self._any = max(0, self._any - 1)
        constraints = authority.extension(x509.PolicyConstraints)
        if constraints is not None:
            self._explicit = _lower(self._explicit, constraints.require_explicit_policy)
            self._mapping = _lower(self._mapping, constraints.inhibit_policy_mapping)
        inhibit = authority.extension(x509.InhibitAnyPolicy)
        self._any = _lower(self._any, inhibit.skip_certs if inhibit is not None else None)

    def finish(self, leaf: PathCertificate) -> None:
        """Do steps (a), (b) and (g) of §6.1.5. Raises PathError."""
        self._explicit = max(0, self._explicit - 1)
        constraints = leaf.extension(x509.PolicyConstraints)
        if constraints is not None and constraints.require_explicit_policy == 0:
            self._explicit = 0
        origins = frozenset[ObjectIdentifier]().union(
            *(each.origins for each in self._row.values())
        )
        satisfied = bool(
            origins
            if self._acceptable is None or ANY_POLICY in origins
            else origins & self._acceptable
        )
        if not self._explicit and not satisfied:
            raise PathError(
                PathFault.CERTIFICATE_POLICIES,
                f"{leaf.title} is not issued under a certificate policy that is demanded",
            )

    def _next_row(
        self, asserted: frozenset[ObjectIdentifier], *, take_any: bool
    ) -> Mapping[ObjectIdentifier, _Node]:
        """Do step (d) of RFC 5280 §6.1.3 as RFC 9618 §5.3 has it."""
        expected: dict[ObjectIdentifier, frozenset[ObjectIdentifier]] = {}
        for node in self._row.values():
            for policy in node.expected:
                expected[policy] = expected.get(policy, frozenset()) | node.origins
        row = {}
        for policy in asserted - {ANY_POLICY}:
            origins = expected.get(policy)
            if origins is None and ANY_POLICY in self._row:
                origins = frozenset({policy})
            if origins is not None:
                row[policy] = _Node(expected=frozenset({policy}), origins=origins)
        if ANY_POLICY in asserted and take_any:
            for policy, origins in expected.items():
                row.setdefault(policy, _Node(expected=frozenset({policy}), origins=origins))
        return row

    def _map(self, authority: PathCertificate) -> None:
        """Do steps (a) and (b) of §6.1.4: policy mappings."""
        row = dict(self._row)
        for policy, others in _mappings(authority).items():
            if self._mapping == 0:
                row.pop(policy, None)
            elif policy in row:
                row[policy] = _Node(expected=others, origins=row[policy].origins)
            elif ANY_POLICY in row:
                row[policy] = _Node(expected=others, origins=frozenset({policy}))
        self._row = row


def _asserted(certificate: PathCertificate) -> frozenset[ObjectIdentifier]:
    found = certificate.extension(x509.CertificatePolicies)
    policies = frozenset(each.policy_identifier for each in found or ())
    if len(policies) > MOST_POLICIES:
        raise PathError(PathFault.PATH_TOO_COMPLEX, f"{certificate.title} has too many policies")
    return policies


def _mappings(
    authority: PathCertificate,
) -> Mapping[ObjectIdentifier, frozenset[ObjectIdentifier]]:
    try:
        extension = authority.extensions.get_extension_for_oid(POLICY_MAPPINGS)
    except x509.ExtensionNotFound:
        return {}
    found: dict[ObjectIdentifier, frozenset[ObjectIdentifier]] = {}
    for each in _decode(extension.value.public_bytes(), authority):
        if ANY_POLICY in {each.issuer_domain, each.subject_domain}:
            raise PathError(
                PathFault.CERTIFICATE_POLICIES, f"{authority.title} maps a policy to or from any"
            )
        others = found.get(each.issuer_domain, frozenset())
        found[each.issuer_domain] = others | {each.subject_domain}
    return found


def _decode(der: bytes, authority: PathCertificate) -> list[_Mapping]:
    octets = len(der).to_bytes(4).lstrip(b"\0")
    length = octets if len(der) < _LONG_FORM else bytes([_LONG_FORM | len(octets)]) + octets
    try:
        return asn1.decode_der(_Wrapped, b"\x30" + length + der).mappings
    except UNREADABLE as error:
        raise PathError(
            PathFault.CERTIFICATE_UNREADABLE,
            f"the policy mappings of {authority.title} cannot be read: {error}",
        ) from error


def _lower(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)
