"""Use cases: keys for the management interface, made, listed, revoked and proven."""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound
from enroll.ports import AccessKey, Clock, Randomness, Registry
from enroll.retry import decided_anew

MAXIMUM_LIFETIME = timedelta(days=3_660)
_BEARER = re.compile(r"ak_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@-]{0,62}[A-Za-z0-9])?")
_ID_OCTETS = 6
_SECRET_OCTETS = 32


class Role(StrEnum):
    """What the holder of a key may be (lifecycle §2.1)."""

    ACCOUNT_ADMIN = "account-admin"
    TENANT_ADMIN = "tenant-admin"
    REGISTRAR = "registrar"
    DEVICE_ADMIN = "device-admin"
    INTEGRATION = "integration"


class Permission(StrEnum):
    """What there is to be permitted."""

    MAKE_CODE = "code:create"
    STOP_CERTIFICATE = "certificate:stop"


PERMITTED: Mapping[Permission, frozenset[Role]] = {
    Permission.MAKE_CODE: frozenset(
        {Role.ACCOUNT_ADMIN, Role.TENANT_ADMIN, Role.REGISTRAR, Role.INTEGRATION}
    ),
    Permission.STOP_CERTIFICATE: frozenset(
        {Role.ACCOUNT_ADMIN, Role.TENANT_ADMIN, Role.DEVICE_ADMIN}
    ),
}


class AccessVault(Protocol):
    """Holds the pepper of access keys, which lies outside the database."""

    def access_digest(self, secret: str) -> bytes: ...


class AccessKeyError(ValueError):
    """What was said of a key cannot be; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A key in the clear, to be shown once."""

    key: AccessKey
    clear: str = field(repr=False)


class AccessKeys:
    """Makes keys, and tells whose a bearer's is. A key is `ak_<id>_<secret of 256 bits>`."""

    def __init__(
        self, registry: Registry, vault: AccessVault, clock: Clock, randomness: Randomness
    ) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._no_key = vault.access_digest("no such key")

    async def make(
        self, name: str, role: Role, *, lifetime: timedelta | None, actor: str
    ) -> MadeKey:
        """Make a key. Raises AccessKeyError."""
        if not _NAME.fullmatch(name):
            raise AccessKeyError("name: expected 1 to 64 letters, digits, spaces or . _ @ -")
        if lifetime is not None and not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
            raise AccessKeyError("a key lives for more than nothing and up to ten years, as 365d")
        now = self._clock.now()
        made = new_access_key(
            name, role, self._vault, self._randomness, now, now + lifetime if lifetime else None
        )
        async with self._registry.unit_of_work() as uow:
            uow.access_keys.add(made.key)
            uow.events.append(key_event(EventName.KEY_CREATED, made.key, actor, now))
            await uow.commit()
        return made

    async def list(self) -> Sequence[AccessKey]:
        async with self._registry.unit_of_work() as uow:
            return await uow.access_keys.list()

    @decided_anew
    async def revoke(self, key_id: str, *, actor: str) -> AccessKey:
        """End a key; what is revoked stays so. Raises NotFound."""
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            key = await uow.access_keys.by_id(key_id)
            if key is None:
                raise NotFound(f"there is no access key {key_id!r}; see 'enroll key list'")
            if key.revoked_at is not None:
                return key
            uow.access_keys.revoke(key, now)
            uow.events.append(key_event(EventName.KEY_REVOKED, key, actor, now))
            await uow.commit()
        return replace(key, revoked_at=now)

    async def prove(self, bearer: str) -> AccessKey | None:
        """Give the key that a bearer shows, if it is good; the work is the same for any id."""
        shown = _BEARER.fullmatch(bearer)
        key_id, secret = shown.groups() if shown else ("", "")
        async with self._registry.unit_of_work() as uow:
            key = await uow.access_keys.by_id(key_id)
        digest = self._vault.access_digest(secret)
        right = hmac.compare_digest(digest, key.digest if key is not None else self._no_key)
        if key is None or not right or not key.is_active(self._clock.now()):
            return None
        return key


def new_access_key(
    name: str,
    role: Role,
    vault: AccessVault,
    randomness: Randomness,
    now: datetime,
    expires_at: datetime | None = None,
) -> MadeKey:
    """Make a key that is not yet stored."""
    key_id = randomness.octets(_ID_OCTETS).hex()
    secret = _text(randomness.octets(_SECRET_OCTETS))
    key = AccessKey(
        key_id=key_id,
        name=name,
        role=role.value,
        digest=vault.access_digest(secret),
        created_at=now,
        expires_at=expires_at,
    )
    return MadeKey(key=key, clear=f"ak_{key_id}_{secret}")


def may(key: AccessKey, permission: Permission) -> bool:
    """Tell whether the key's role has a permission; a role that is not known has none."""
    return key.role in PERMITTED[permission]


def key_event(name: EventName, key: AccessKey, actor: str, at: datetime) -> EnrollmentEvent:
    facts = {"key": key.key_id, "name": key.name, "role": key.role}
    return EnrollmentEvent(name=name, occurred_at=at, actor=actor, facts=facts)


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
