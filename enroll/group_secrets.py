"""Use cases: give a group a secret that its devices share, and take it back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from enroll.credentials import GroupSecret, new_one_time_code
from enroll.device import new_id
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound, Refused
from enroll.ports import Clock, CodeVault, Randomness, Registry, UnitOfWork
from enroll.profiles import DeviceGroup
from enroll.retry import decided_anew
from enroll.shared_secrets import SECRETS_TRIED

MOST = SECRETS_TRIED
"""How many are good at once: the present one and the next, so that none need change in a day."""

MAXIMUM_LIFETIME = timedelta(days=3_660)


class GroupSecretError(ValueError):
    """What was said of a secret cannot be; the message says what was expected."""


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
    async def add(self, group_id: str, *, lifetime: timedelta | None, actor: str) -> MadeSecret:
        """Make a secret for a group. Raises GroupSecretError, NotFound, Refused (two are live)."""
        if lifetime is not None and not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
            raise GroupSecretError("a secret lives for more than nothing and up to ten years")
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            group, version = await _group(group_id, uow)
            live = [each for each in group.secrets if each.is_active(now)]
            if len(live) >= MOST:
                raise Refused(
                    f"group {group.name!r} has {MOST} secrets that are good; remove one first"
                )
            clear = new_one_time_code(self._randomness.octets(13))
            secret_id = new_id(now, self._randomness.octets(10))
            secret = GroupSecret(
                secret_id=secret_id,
                digest=self._vault.digest(clear).hex(),
                wrapped=self._vault.wrap(secret_id, clear).hex(),
                created_at=now,
                expires_at=now + lifetime if lifetime is not None else None,
            )
            group = replace(group, secrets=(*live, secret))
            self._stage(uow, group, version, secret, EventName.GROUP_SECRET_CREATED, actor)
            await uow.commit()
        return MadeSecret(group=group, secret=secret, clear=clear)

    @decided_anew
    async def remove(self, group_id: str, secret_id: str, *, actor: str) -> DeviceGroup:
        """Take a secret back: it proves nothing from the next request on. Raises NotFound."""
        async with self._registry.unit_of_work() as uow:
            group, version = await _group(group_id, uow)
            found = [each for each in group.secrets if each.secret_id == secret_id]
            if not found:
                raise NotFound(f"group {group.name!r} has no secret {secret_id!r}")
            kept = tuple(each for each in group.secrets if each not in found)
            group = replace(group, secrets=kept)
            self._stage(uow, group, version, found[0], EventName.GROUP_SECRET_REVOKED, actor)
            await uow.commit()
        return group

    async def of_group(self, group_id: str) -> Sequence[GroupSecret]:
        """Give the group's secrets, the oldest first. Raises NotFound."""
        async with self._registry.unit_of_work() as uow:
            group, _ = await _group(group_id, uow)
        return group.secrets

    def _stage(
        self,
        uow: UnitOfWork,
        group: DeviceGroup,
        version: int,
        secret: GroupSecret,
        name: EventName,
        actor: str,
    ) -> None:
        uow.policy.expect(version)
        uow.policy.put_group(group)
        uow.events.append(
            EnrollmentEvent(
                name=name,
                occurred_at=self._clock.now(),
                actor=actor,
                facts={"group": group.name, "secret": secret.secret_id},
            )
        )


async def _group(group_id: str, uow: UnitOfWork) -> tuple[DeviceGroup, int]:
    policy = await uow.policy.snapshot()
    group = policy.groups.get(group_id)
    if group is None:
        raise NotFound(f"there is no group {group_id!r}; see 'enroll group list'")
    return group, policy.version
