"""Which CAs an installation has, and how one takes another's place: pure, step by step."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ca.ceremony import ISSUING, ROOT
from enroll.failures import Refused


class AuthorityKind(StrEnum):
    """What a CA signs: other CAs, or end entities."""

    ROOT = "root"
    ISSUING = "issuing"


class AuthorityState(StrEnum):
    """What has become of a CA. One that succeeded another is ACTIVE, the other SUCCEEDED."""

    PREPARED = "prepared"
    PUBLISHED = "published"
    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    RETIRED = "retired"


class Phase(StrEnum):
    """How far a rollover has come."""

    SETTLED = "settled"
    PREPARED = "prepared"
    PUBLISHED = "published"
    ACTIVATED = "activated"


NEXT: Mapping[Phase, str] = {
    Phase.SETTLED: "when the CA is to be replaced: enroll issuer rollover prepare",
    Phase.PREPARED: "make the new CA known: enroll issuer rollover publish",
    Phase.PUBLISHED: "when devices and relying parties have fetched the CA certificates anew, "
    "issue with it: enroll issuer rollover activate",
    Phase.ACTIVATED: "when no certificate of the old CA is needed any more: "
    "enroll issuer rollover retire",
}
"""What to do next, in each phase."""


class SuccessionError(ValueError):
    """The record of the CAs cannot be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityRecord:
    """A CA by name. `above` names the root that certified it, `follows` the CA that it replaces."""

    name: str
    kind: AuthorityKind
    state: AuthorityState
    above: str | None = None
    follows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """The CAs of an installation, the oldest first. Each step gives the succession after it.

    A step that has been done already gives the same again, one whose time has not come raises
    Refused and says what to do first.
    """

    records: tuple[AuthorityRecord, ...]

    def __post_init__(self) -> None:
        _check(self.records)

    @property
    def phase(self) -> Phase:
        states = {each.state for each in self.records}
        if AuthorityState.PREPARED in states:
            return Phase.PREPARED
        if AuthorityState.PUBLISHED in states:
            return Phase.PUBLISHED
        return Phase.ACTIVATED if AuthorityState.SUCCEEDED in states else Phase.SETTLED

    @property
    def known(self) -> tuple[AuthorityRecord, ...]:
        """Give all that may be seen outside: none that is only prepared."""
        return tuple(each for each in self.records if each.state is not AuthorityState.PREPARED)

    def named(self, name: str) -> AuthorityRecord | None:
        return next((each for each in self.records if each.name == name), None)

    def active(self, kind: AuthorityKind) -> AuthorityRecord:
        return next(self.of(kind, AuthorityState.ACTIVE))

    def of(self, kind: AuthorityKind, *states: AuthorityState) -> Iterator[AuthorityRecord]:
        return (each for each in self.records if each.kind is kind and each.state in states)

    def successors(self) -> dict[str, str]:
        """Tell who signs now in the place of each CA that signs no more."""
        found: dict[str, str] = {}
        for each in reversed(self.records):
            if each.follows is not None and each.state in _SIGNED:
                found[each.follows] = found.get(each.name, each.name)
        return found

    def prepare(self, *, new_root: bool) -> "Succession":
        """Add a new issuing CA, and a new root above it if wanted."""
        if self.phase is Phase.PREPARED:
            return self
        if self.phase is not Phase.SETTLED:
            raise Refused(f"a rollover is under way already; next, {NEXT[self.phase]}")
        root, issuing = self.active(AuthorityKind.ROOT), self.active(AuthorityKind.ISSUING)
        above = root
        added: list[AuthorityRecord] = []
        if new_root:
            above = self._after(root, above=None)
            added.append(above)
        added.append(self._after(issuing, above=above.name))
        return Succession(records=(*self.records, *added))

    def publish(self) -> "Succession":
        if self.phase is Phase.SETTLED:
            raise Refused(f"no new CA has been prepared; {NEXT[Phase.SETTLED]}")
        return self._changed({AuthorityState.PREPARED: AuthorityState.PUBLISHED})

    def activate(self) -> "Succession":
        """Let the new CAs sign, and those before them no more."""
        if self.phase in {Phase.SETTLED, Phase.PREPARED}:
            raise Refused(f"no new CA has been published; first, {NEXT[self.phase]}")
        if self.phase is Phase.ACTIVATED:
            return self
        over = {each.follows for each in self.records if each.state is AuthorityState.PUBLISHED}
        return self._changed(
            {AuthorityState.PUBLISHED: AuthorityState.ACTIVE},
            **{name: AuthorityState.SUCCEEDED for name in over if name is not None},
        )

    def retire(self) -> "Succession":
        """Let go of what has been succeeded."""
        if self.phase in {Phase.PREPARED, Phase.PUBLISHED}:
            raise Refused(f"the new CA does not issue yet; first, {NEXT[self.phase]}")
        if self.phase is Phase.SETTLED and len(self.records) <= len(AuthorityKind):
            raise Refused(f"there is no CA to retire; {NEXT[Phase.SETTLED]}")
        return self._changed({AuthorityState.SUCCEEDED: AuthorityState.RETIRED})

    def encode(self) -> bytes:
        """Write it as a JSON document."""
        rows = [
            {
                key: value
                for key in ("name", "kind", "state", "above", "follows")
                if (value := getattr(each, key)) is not None
            }
            for each in self.records
        ]
        return json.dumps({"issuers": rows}, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, document: bytes) -> "Succession":
        """Read what `encode` wrote. Raises SuccessionError."""
        try:
            rows = json.loads(document)["issuers"]
            records = tuple(
                AuthorityRecord(
                    **{
                        **row,
                        "kind": AuthorityKind(row["kind"]),
                        "state": AuthorityState(row["state"]),
                    }
                )
                for row in rows
            )
            return cls(records=records)
        except SuccessionError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise SuccessionError(f"not a record of CAs: {error}") from error

    def _after(self, old: AuthorityRecord, *, above: str | None) -> AuthorityRecord:
        """Name the next of a kind: root-2, root-3 and so on."""
        base = old.kind.value
        number = sum(each.kind is old.kind for each in self.records) + 1
        return AuthorityRecord(
            name=f"{base}-{number}",
            kind=old.kind,
            state=AuthorityState.PREPARED,
            above=above,
            follows=old.name,
        )

    def _changed(
        self, states: Mapping[AuthorityState, AuthorityState], **named: AuthorityState
    ) -> "Succession":
        """Change the state of all in one, or of one by its name."""
        return Succession(
            records=tuple(
                replace(each, state=named.get(each.name) or states.get(each.state, each.state))
                for each in self.records
            )
        )


def _check(records: tuple[AuthorityRecord, ...]) -> None:
    """Demand one active CA of each kind, and that each names only those before it."""
    seen: set[str] = set()
    for each in records:
        if not _NAME.fullmatch(each.name):
            raise SuccessionError(f"{each.name!r} is no name of a CA")
        named = {name for name in (each.above, each.follows) if name is not None}
        if each.name in seen or not named <= seen:
            raise SuccessionError(f"{each.name!r} is there twice, or names what comes after it")
        if (each.kind is AuthorityKind.ISSUING) is not (each.above is not None):
            raise SuccessionError(f"{each.name!r}: an issuing CA is under a root, a root is not")
        seen.add(each.name)
    for kind in AuthorityKind:
        active = [
            each for each in records if each.kind is kind and each.state is AuthorityState.ACTIVE
        ]
        if len(active) != 1:
            raise SuccessionError(f"expected one active {kind} CA, found {len(active)}")


_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")  # It stands in file names and addresses.
_SIGNED = frozenset({AuthorityState.ACTIVE, AuthorityState.SUCCEEDED, AuthorityState.RETIRED})
"""Those that sign, or did before they were succeeded themselves."""

FIRST = Succession(
    records=(
        AuthorityRecord(name=ROOT, kind=AuthorityKind.ROOT, state=AuthorityState.ACTIVE),
        AuthorityRecord(
            name=ISSUING, kind=AuthorityKind.ISSUING, state=AuthorityState.ACTIVE, above=ROOT
        ),
    )
)
"""What `init` makes."""
