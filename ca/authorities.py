"""The CAs of an installation at one moment: their certificates, and what each is shown with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuers import FormerIssuer, Issuer, IssuerSet
from ca.succession import AuthorityKind, AuthorityRecord, AuthorityState, Phase, Succession

_NEW = (AuthorityState.PUBLISHED,)
_OLD = (AuthorityState.SUCCEEDED,)
_TRUSTED = (AuthorityState.ACTIVE, AuthorityState.PUBLISHED, AuthorityState.SUCCEEDED)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A CA. `crosses` are certificates of a root's key by another root; `issuer` has its key."""

    record: AuthorityRecord
    certificate: x509.Certificate
    crosses: tuple[x509.Certificate, ...] = ()
    issuer: Issuer | None = None

    @cached_property
    def der(self) -> bytes:
        return to_der(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootUpdate:
    """A change of roots, DER, as CMP and EST tell it (RFC 4210 §4.4, RFC 7030 §4.1.3)."""

    old_with_old: bytes
    new_with_new: bytes
    new_with_old: bytes
    old_with_new: bytes


@dataclass(frozen=True, kw_only=True)
class Authorities:
    """All CAs that may be seen outside. During a rollover both sides are shown.

    Whoever knows one of two roots then finds a path to every certificate: over the certificate of
    the other root's key that its own root signed.
    """

    succession: Succession
    members: Mapping[str, Authority]

    def with_issuers(self, issuers: Mapping[str, Issuer]) -> "Authorities":
        """Give the keys to those whose they are, and each the chain that it is shown with."""
        members = {
            name: replace(each, issuer=replace(issuers[name], chain=self.above(name)))
            if name in issuers
            else each
            for name, each in self.members.items()
        }
        return replace(self, members=members)

    @cached_property
    def issuers(self) -> Mapping[str, Issuer]:
        """Give all whose key is here, the retired too: their revocation lists go on."""
        return {name: each.issuer for name, each in self.members.items() if each.issuer is not None}

    @property
    def issuing(self) -> Authority:
        """Give the issuing CA that signs now."""
        return self.members[self.succession.active(AuthorityKind.ISSUING).name]

    @property
    def root(self) -> Authority:
        return self.members[self.succession.active(AuthorityKind.ROOT).name]

    @cached_property
    def roots(self) -> tuple[Authority, ...]:
        """Give the roots to trust: the active one first, then the next or the one before."""
        return self._sorted(AuthorityKind.ROOT)

    def above(self, name: str) -> tuple[bytes, ...]:
        """Give what a CA is shown with, DER: certificates of its root's key, the root last."""
        root = self.members.get(self.members[name].record.above or "")
        if root is None:
            return tuple(map(to_der, self.members[name].crosses))
        return (*map(to_der, root.crosses), root.der)

    @cached_property
    def issuer_set(self) -> IssuerSet:
        """Give the issuing CAs as the authority needs them; what is retired is no more there."""
        trusted = self.trusted_issuing
        return IssuerSet(
            issuers={each.record.name: each.issuer for each in trusted if each.issuer is not None},
            roots=tuple(each.der for each in self.roots),
            former={
                each.record.name: FormerIssuer(
                    certificate=each.certificate, chain=self.above(each.record.name)
                )
                for each in trusted
                if each.issuer is None
            },
            successors=self.succession.successors(),
        )

    @property
    def ca_certificates(self) -> tuple[bytes, ...]:
        """Give what EST's /cacerts and CMP's caCerts hold."""
        return self.issuer_set.certificates

    @property
    def next_certificates(self) -> tuple[bytes, ...]:
        """Give the CA that is to issue next, and those above it, once they are published.

        SCEP's GetNextCACert (RFC 8894 §4.7) asks for it.
        """
        coming = self.next_issuing
        return (coming.der, *self.above(coming.record.name)) if coming is not None else ()

    @cached_property
    def next_issuing(self) -> Authority | None:
        """Give the issuing CA that is published, and does not sign for everybody yet."""
        coming = next(self.succession.of(AuthorityKind.ISSUING, *_NEW), None)
        return self.members[coming.name] if coming is not None else None

    @cached_property
    def trusted_issuing(self) -> tuple[Authority, ...]:
        """Give the issuing CAs whose certificates are good: the active one, the next, the last."""
        return self._sorted(AuthorityKind.ISSUING)

    @property
    def root_update(self) -> RootUpdate | None:
        """Give the change of roots that is under way: CMP's rootCaUpdate (RFC 9480 §4.3.2)."""
        records = self.succession
        new = next(records.of(AuthorityKind.ROOT, *_NEW), None)
        if new is None and records.phase is Phase.ACTIVATED:
            new = records.active(AuthorityKind.ROOT)
        old = self.members.get(new.follows or "") if new is not None else None
        if new is None or old is None or old.record.state is AuthorityState.RETIRED:
            return None
        (with_new,), (with_old,) = old.crosses, self.members[new.name].crosses
        return RootUpdate(
            old_with_old=old.der,
            new_with_new=self.members[new.name].der,
            new_with_old=to_der(with_old),
            old_with_new=to_der(with_new),
        )

    def _sorted(self, kind: AuthorityKind) -> tuple[Authority, ...]:
        """Give those of a kind that are trusted: the active one, the next, the one before."""
        return tuple(
            self.members[each.name]
            for state in _TRUSTED
            for each in self.succession.of(kind, state)
        )


def to_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def crossing(succession: Succession) -> Iterable[tuple[str, str]]:
    """Name the pairs of roots that certify each other now: (certified, by)."""
    for each in succession.records:
        if each.kind is not AuthorityKind.ROOT or each.follows is None:
            continue
        old = succession.named(each.follows)
        if old is not None and AuthorityState.RETIRED not in {each.state, old.state}:
            yield (each.name, old.name)
            yield (old.name, each.name)
