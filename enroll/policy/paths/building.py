"""Finding a path: from a device's certificate through what was sent and what is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cryptography import x509

from enroll.policy.names import ComparableName
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError, PathFault
from enroll.policy.paths.signatures import SignatureChecks
from enroll.policy.paths.validation import CLIENT_PURPOSES, PathRules, validate

LONGEST_PATH = 10
"""How many certificates a path may have, the device's included and the anchor's not."""
MOST_SENT = 10
MOST_STEPS = 200
"""How many certificates may be tried as the next of a path before the search is given up."""

# Which of several failures is told: the one that came furthest.
_RANKS = {
    PathFault.CHAIN_INCOMPLETE: 0,
    PathFault.ISSUER_NOT_TRUSTED: 1,
    PathFault.CERTIFICATE_UNREADABLE: 2,
    PathFault.ALGORITHM_NOT_ALLOWED: 3,
    PathFault.SIGNATURE_WRONG: 4,
    PathFault.PATH_TOO_LONG: 5,
    PathFault.ANCHOR_BLOCKED: 9,
    PathFault.ANCHOR_NOT_FOR_THIS: 9,
    PathFault.PATH_TOO_COMPLEX: 10,
}
_VALIDATED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A CA that a path may end at, and what it must be good for then: policies and purposes."""

    anchor_id: str
    certificate: PathCertificate
    policies: frozenset[x509.ObjectIdentifier] = frozenset()
    purposes: frozenset[x509.ObjectIdentifier] = CLIENT_PURPOSES


@dataclass(frozen=True, kw_only=True)
class CertificateStore:
    """The CAs that are known: anchors, those between, and keys that no path may pass."""

    anchors: tuple[Anchor, ...] = ()
    between: tuple[PathCertificate, ...] = ()
    blocked_keys: frozenset[str] = frozenset()
    _between_by_name: Mapping[ComparableName, list[PathCertificate]] = field(
        default_factory=dict, init=False, repr=False
    )
    _anchors_by_name: Mapping[ComparableName, list[Anchor]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_between_by_name", by_subject(self.between))
        anchors: dict[ComparableName, list[Anchor]] = {}
        for each in self.anchors:
            anchors.setdefault(each.certificate.subject, []).append(each)
        object.__setattr__(self, "_anchors_by_name", anchors)

    def anchors_named(self, name: ComparableName) -> Sequence[Anchor]:
        return self._anchors_by_name.get(name, ())

    def between_named(self, name: ComparableName) -> Sequence[PathCertificate]:
        return self._between_by_name.get(name, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedPath:
    """A valid path, the device's certificate first, and where it ends.

    `expired_for` says how long the device's certificate has been over, if grace let it through.
    """

    anchor: Anchor
    certificates: tuple[PathCertificate, ...]
    expired_for: timedelta | None = None

    @property
    def issuer(self) -> PathCertificate:
        """The CA that issued the device's certificate."""
        return self.certificates[1] if len(self.certificates) > 1 else self.anchor.certificate


def find_path(
    leaf: PathCertificate,
    sent: Iterable[PathCertificate],
    store: CertificateStore,
    rules: PathRules,
    objection: Callable[[Anchor], str | None] | None = None,
) -> TrustedPath:
    """Find a valid path from the device's certificate to an anchor of the store.

    What was sent beside it is a help and no more: its order does not matter, and neither does
    what does not belong. `objection` says why an anchor that a valid path ends at will not do.

    Raises PathError, saying what stopped the path that came furthest.
    """
    search = _Search(store, tuple(sent)[:MOST_SENT], rules, objection)
    found = search.extend((leaf,))
    if found is None:
        raise search.failure
    return found


def by_subject(
    certificates: Iterable[PathCertificate],
) -> dict[ComparableName, list[PathCertificate]]:
    """Sort certificates by their subject; those that cannot be read are left out."""
    found: dict[ComparableName, list[PathCertificate]] = {}
    for each in certificates:
        try:
            found.setdefault(each.subject, []).append(each)
        except PathError:
            continue
    return found


class _Search:
    """A depth-first search that remembers its most telling failure and how far it may go."""

    def __init__(
        self,
        store: CertificateStore,
        sent: tuple[PathCertificate, ...],
        rules: PathRules,
        objection: Callable[[Anchor], str | None] | None,
    ) -> None:
        self._store = store
        self._sent = by_subject(sent)
        self._rules = rules
        self._objection = objection
        self._signatures = SignatureChecks()
        self._steps = 0
        self.failure = PathError(PathFault.CHAIN_INCOMPLETE, "there is no path")
        self._rank = -1

    def extend(self, path: tuple[PathCertificate, ...]) -> TrustedPath | None:
        """Go on from the last certificate of a path. Raises PathError if the search is too long."""
        current = path[-1]
        try:
            issuer = current.issuer
        except PathError as error:
            self._note(error)
            return None
        anchors = self._store.anchors_named(issuer)
        for anchor in anchors:
            found = self._arrive(path, anchor)
            if found is not None:
                return found
        candidates = self._candidates(path, issuer)
        for candidate in candidates:
            found = self._step(path, candidate)
            if found is not None:
                return found
        if not anchors and not candidates:
            self._note(_dead_end(current))
        return None

    def _arrive(self, path: tuple[PathCertificate, ...], anchor: Anchor) -> TrustedPath | None:
        """Try to end a path at an anchor."""
        self._count()
        try:
            self._check_edge(path[-1], anchor.certificate)
        except PathError as error:
            self._note(error)
            return None
        rules = replace(
            self._rules,
            policies=self._rules.policies or anchor.policies,
            explicit_policy=self._rules.explicit_policy or bool(anchor.policies),
            purposes=anchor.purposes,
        )
        try:
            expired_for = validate(path[::-1], anchor.certificate, rules, self._signatures)
        except PathError as error:
            self._note(error, validated=True)
            return None
        objection = self._objection(anchor) if self._objection is not None else None
        if objection is not None:
            self._note(PathError(PathFault.ANCHOR_NOT_FOR_THIS, objection))
            return None
        return TrustedPath(anchor=anchor, certificates=path, expired_for=expired_for)

    def _step(
        self, path: tuple[PathCertificate, ...], candidate: PathCertificate
    ) -> TrustedPath | None:
        """Try a certificate as the next of a path."""
        self._count()
        if len(path) >= LONGEST_PATH:
            self._note(
                PathError(PathFault.PATH_TOO_LONG, f"the path has more than {LONGEST_PATH} CAs")
            )
            return None
        try:
            self._check_edge(path[-1], candidate)
        except PathError as error:
            self._note(error)
            return None
        return self.extend((*path, candidate))

    def _candidates(
        self, path: tuple[PathCertificate, ...], issuer: ComparableName
    ) -> list[PathCertificate]:
        """Give the certificates of that name, those with the right key identifier first.

        One key under one name stands only once in a path, so that there is no going in circles.
        """
        seen: dict[str, PathCertificate] = {}
        for each in (*self._sent.get(issuer, ()), *self._store.between_named(issuer)):
            seen.setdefault(each.fingerprint, each)
        wanted = _authority_key_identifier(path[-1])
        found = [each for each in seen.values() if not _stands_in(each, path)]
        return sorted(found, key=lambda each: wanted is None or wanted != _key_identifier(each))

    def _check_edge(self, certificate: PathCertificate, issuer: PathCertificate) -> None:
        if issuer.spki_sha256 in self._store.blocked_keys:
            raise PathError(PathFault.ANCHOR_BLOCKED, f"the CA {issuer.title} is blocked")
        self._signatures.check(certificate, issuer)

    def _count(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise PathError(
                PathFault.PATH_TOO_COMPLEX,
                "the CAs that were sent and are known make too many paths",
            )

    def _note(self, error: PathError, *, validated: bool = False) -> None:
        rank = _VALIDATED if validated else _RANKS.get(error.fault, 0)
        if rank > self._rank:
            self.failure, self._rank = error, rank


def _stands_in(candidate: PathCertificate, path: tuple[PathCertificate, ...]) -> bool:
    try:
        return any(
            each.spki_sha256 == candidate.spki_sha256 and each.subject == candidate.subject
            for each in path
        )
    except PathError:
        return True  # A key that cannot be read signs nothing.


def _dead_end(certificate: PathCertificate) -> PathError:
    if certificate.is_self_issued:
        return PathError(
            PathFault.ISSUER_NOT_TRUSTED, f"the path ends at {certificate.title}, no trust anchor"
        )
    return PathError(
        PathFault.CHAIN_INCOMPLETE,
        f"the CA {certificate.issuer_title}, which issued {certificate.title}, "
        "was neither sent nor is it known here",
    )


def _authority_key_identifier(certificate: PathCertificate) -> bytes | None:
    try:
        found = certificate.extension(x509.AuthorityKeyIdentifier)
    except PathError:
        return None
    return found.key_identifier if found is not None else None


def _key_identifier(certificate: PathCertificate) -> bytes | None:
    try:
        found = certificate.extension(x509.SubjectKeyIdentifier)
    except PathError:
        return None
    return found.key_identifier if found is not None else None
