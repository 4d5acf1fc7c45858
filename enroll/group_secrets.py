"""Use cases: give a group a secret that its devices share, and take it back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from enroll.credentials import GroupSecret, new_one_time_code
from enroll.device import new_id
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound, Refused
from enroll.ports import Clock, CodeVault, Randomness, Registry, UnitOfWork
from enroll.profiles import DeviceGroup, PolicySnapshot
from enroll.retry import decided_anew
from enroll.shared_secrets import SECRETS_TRIED
from enroll.tallies import uses_of

MOST = SECRETS_TRIED
"""How many are good at once: the present one and the next, so that none need change in a day."""

MOST_PASSCODES = 100
MAXIMUM_USES = 1_000_000
MAXIMUM_LIFETIME = timedelta(days=3_660)
LONGEST_REFERENCE = 128


class GroupSecretError(ValueError):
    """What was said of a secret cannot be; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTerms:
    """When and how often a secret is good, and the octets that it goes by, if it has some."""

    reference: bytes | None = None
    lifetime: timedelta | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    uses: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSecret:
    """A secret in the clear, to be shown once."""

    group: DeviceGroup
    secret: GroupSecret
    clear: str = field(repr=False)


class GroupSecrets:
    """Makes secrets of 100 random bits, written as one-time codes are; people choose none."""

    def __init__(
        self, registry: Registry, vault: CodeVault, clock: Clock, randomness: Randomness
    ) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock
        self._randomness = randomness

    @decided_anew
    async def add(
        self, group_id: str, terms: SecretTerms = SecretTerms(), *, actor: str
    ) -> MadeSecret:
        """Make a secret for a group.

        Raises GroupSecretError, NotFound, Refused (enough are there, the reference is taken).
        """
        now = self._clock.now()
        expires_at = _checked_end(terms, now)
        async with self._registry.unit_of_work() as uow:
            group, policy = await _group(group_id, uow)
            kept = tuple(each for each in group.secrets if not each.is_over(now))
            _check_room(group, kept, terms, policy)
            clear = new_one_time_code(self._randomness.octets(13))
            secret_id = new_id(now, self._randomness.octets(10))
            secret = GroupSecret(
                secret_id=secret_id,
                digest=self._vault.digest(clear).hex(),
                wrapped=self._vault.wrap(secret_id, clear).hex(),
                created_at=now,
                expires_at=expires_at,
                reference=terms.reference.hex() if terms.reference is not None else None,
                not_before=terms.not_before,
                max_uses=terms.uses,
            )
            for each in group.secrets:
                if each not in kept:
                    uow.tallies.forget(uses_of(each.secret_id))
            group = replace(group, secrets=(*kept, secret))
            self._stage(uow, group, policy, secret, EventName.GROUP_SECRET_CREATED, actor)
            await uow.commit()
        return MadeSecret(group=group, secret=secret, clear=clear)

    @decided_anew
    async def remove(self, group_id: str, secret_id: str, *, actor: str) -> DeviceGroup:
        """Take a secret back: it proves nothing from the next request on. Raises NotFound."""
        async with self._registry.unit_of_work() as uow:
            group, policy = await _group(group_id, uow)
            found = [each for each in group.secrets if each.secret_id == secret_id]
            if not found:
                raise NotFound(
                    f"group {group.name!r} has no secret {secret_id!r}; "
                    f"see 'enroll group secret list {group.name}'"
                )
            kept = tuple(each for each in group.secrets if each not in found)
            group = replace(group, secrets=kept)
            uow.tallies.forget(uses_of(secret_id))
            self._stage(uow, group, policy, found[0], EventName.GROUP_SECRET_REVOKED, actor)
            await uow.commit()
        return group

    async def of_group(self, group_id: str) -> Sequence[GroupSecret]:
        """Give the group's secrets, the oldest first. Raises NotFound."""
        async with self._registry.unit_of_work() as uow:
            group, _ = await _group(group_id, uow)
        return group.secrets

    async def uses(self, secrets: Sequence[GroupSecret]) -> Mapping[str, int]:
        """Tell how often each was used, by its id; of one without a limit none are counted."""
        async with self._registry.unit_of_work() as uow:
            return {
                each.secret_id: await uow.tallies.read(uses_of(each.secret_id)) for each in secrets
            }

    def _stage(
        self,
        uow: UnitOfWork,
        group: DeviceGroup,
        policy: PolicySnapshot,
        secret: GroupSecret,
        name: EventName,
        actor: str,
    ) -> None:
        uow.policy.expect(policy.version)
        uow.policy.put_group(group)
        facts: dict[str, object] = {"group": group.name, "secret": secret.secret_id}
        if secret.reference is not None:
            facts["reference"] = show_reference(bytes.fromhex(secret.reference))
        uow.events.append(
            EnrollmentEvent(name=name, occurred_at=self._clock.now(), actor=actor, facts=facts)
        )


def show_reference(octets: bytes) -> str:
    """Write a reference as text where it is some, else as `hex:` and its octets."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return f"hex:{octets.hex()}"
    return text if text.isprintable() and not text.startswith("hex:") else f"hex:{octets.hex()}"


def read_reference(text: str) -> bytes:
    """Read what `show_reference` writes. Raises GroupSecretError."""
    if not text.startswith("hex:"):
        return text.encode()
    try:
        return bytes.fromhex(text.removeprefix("hex:"))
    except ValueError:
        raise GroupSecretError("a reference after hex: is hexadecimal, such as hex:0a1b") from None


def _checked_end(terms: SecretTerms, now: datetime) -> datetime | None:
    """Judge the terms, and tell until when the secret is good. Raises GroupSecretError."""
    if terms.reference is not None and not 1 <= len(terms.reference) <= LONGEST_REFERENCE:
        raise GroupSecretError(f"a reference has 1 to {LONGEST_REFERENCE} octets")
    if terms.uses is not None and not 1 <= terms.uses <= MAXIMUM_USES:
        raise GroupSecretError(f"a secret is good for 1 to {MAXIMUM_USES} uses, or without a limit")
    if terms.lifetime is not None and terms.expires_at is not None:
        raise GroupSecretError("say how long a secret is good or until when, not both")
    begins = max(now, terms.not_before or now)
    ends = terms.expires_at if terms.lifetime is None else begins + terms.lifetime
    if ends is not None and ends <= begins:
        raise GroupSecretError("a secret ends after it begins, and not in the past")
    if ends is not None and ends > begins + MAXIMUM_LIFETIME:
        raise GroupSecretError("a secret lives for up to ten years")
    if begins > now + MAXIMUM_LIFETIME:
        raise GroupSecretError("a secret begins to be good within ten years")
    return ends


def _check_room(
    group: DeviceGroup,
    kept: Sequence[GroupSecret],
    terms: SecretTerms,
    policy: PolicySnapshot,
) -> None:
    """Check that the group may have another, under this reference. Raises Refused."""
    by_name = [each for each in kept if each.reference is None]
    if terms.reference is None:
        if len(by_name) >= MOST:
            raise Refused(
                f"group {group.name!r} has {MOST} secrets that are good; remove one first"
            )
        return
    if len(kept) - len(by_name) >= MOST_PASSCODES:
        raise Refused(f"group {group.name!r} has {MOST_PASSCODES} passcodes; remove one first")
    for other in policy.groups.values():
        secrets = kept if other.group_id == group.group_id else other.secrets
        if other.tenant_id == group.tenant_id and any(
            each.reference == terms.reference.hex() for each in secrets
        ):
            raise Refused(
                f"a passcode of group {other.name!r} goes by this reference; remove it first"
            )


async def _group(group_id: str, uow: UnitOfWork) -> tuple[DeviceGroup, PolicySnapshot]:
    policy = await uow.policy.snapshot()
    group = policy.groups.get(group_id)
    if group is None:
        raise NotFound(f"there is no group {group_id!r}; see 'enroll group list'")
    return group, policy
