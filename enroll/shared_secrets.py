"""A secret that a group shares is good, and the device that was named is one of the group's."""

import hmac
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.x509.oid import NameOID

from enroll.codes import first_known
from enroll.credentials import (
    Authentication,
    ChallengePassword,
    CredentialKind,
    GroupSecret,
    HTTPBasic,
    HTTPDigest,
    NamedChallengePassword,
    Secret,
    SharedSecretMAC,
)
from enroll.ports import Clock, CodeVault, UnitOfWork
from enroll.profiles import DeviceGroup, PolicySnapshot
from enroll.steps import Addressed, Authenticated
from enroll.trace import DecisionTrace
from enroll.trials import first_right

NAMES_LOOKED_UP = 4
SECRETS_TRIED = 2
"""How many secrets a group has at once: the present one and the next, to change over."""

_DUMMY = "AAAA-AAAA-AAAA-AAAA-AAAA"
_NAMING = frozenset({NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER})


def names_in(subject: x509.Name) -> tuple[str, ...]:
    """Give the names by which a request's subject may mean a device, in their order."""
    names = dict.fromkeys(
        unicodedata.normalize("NFC", each.value.strip())
        for each in subject
        if each.oid in _NAMING and isinstance(each.value, str)
    )
    return tuple(names)[:NAMES_LOOKED_UP]


class ByGroupSecret:
    """Proves a device by its group's secret and its name alone: as much as any member could."""

    def __init__(self, vault: CodeVault, clock: Clock) -> None:
        self._vault = vault
        self._wrapped_dummy = vault.wrap("none", _DUMMY)
        self._clock = clock

    async def __call__(
        self, step: Addressed, secret: Secret, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated | None:
        """Give the device that was named, if it is of a group whose secret was shown; or None."""
        now = self._clock.now()
        groups = [
            each
            for each in step.policy.groups.values()
            if each.tenant_id == step.tenant.tenant_id and each.secrets
        ]
        device = await first_known(_names(step, secret), step.tenant.tenant_id, uow)
        matching = self._matching(secret, groups, device.group_id if device else None, now)
        found = [each for group, each in matching if device and group.group_id == device.group_id]
        if device is None or not found:
            return None
        trace.device = device
        trace.passed("group secret", found[0].secret_id)
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=CredentialKind.GROUP_SECRET,
                device_id=device.device_id,
                credential_id=found[0].secret_id,
                authenticated_at=now,
            ),
        )

    def shown_of(
        self, secret: Secret, tenant_id: str, group_id: str | None, policy: PolicySnapshot
    ) -> frozenset[str]:
        """Give the ids of this group's secrets that were shown; every group's are compared."""
        groups = [each for each in policy.groups.values() if each.tenant_id == tenant_id]
        matching = self._matching(secret, groups, group_id, self._clock.now())
        return frozenset(each.secret_id for group, each in matching if group.group_id == group_id)

    def _matching(
        self,
        secret: Secret,
        groups: Iterable[DeviceGroup],
        group_id: str | None,
        now: datetime,
    ) -> Sequence[tuple[DeviceGroup, GroupSecret]]:
        """Compare with every secret of every group, whichever it is.

        An answer is compared with those of the device's group alone, and always with as many: each
        may cost the derivation of a key, and strangers choose how long that takes.
        """
        every = [(group, each) for group in groups for each in group.secrets]
        if not isinstance(secret, HTTPDigest | SharedSecretMAC):
            return [
                (group, each)
                for group, each in every
                if self._shows_digest(secret, each) and each.is_active(now)
            ]
        own = [(group, each) for group, each in every if group.group_id == group_id]
        chosen = own[:SECRETS_TRIED]
        clear = [self._clear(each, number) for number, (_, each) in enumerate(chosen)]
        clear.extend(map(self._no_secret, range(len(chosen), SECRETS_TRIED)))
        right = first_right(secret, clear)
        return [chosen[right]] if right is not None and chosen[right][1].is_active(now) else []

    def _shows_digest(
        self, secret: HTTPBasic | NamedChallengePassword | ChallengePassword, kept: GroupSecret
    ) -> bool:
        digest = self._vault.digest(secret.password)
        return hmac.compare_digest(digest, bytes.fromhex(kept.digest))

    def _clear(self, kept: GroupSecret, number: int) -> str:
        try:
            return self._vault.unwrap(kept.secret_id, bytes.fromhex(kept.wrapped))
        except InvalidTag:
            return self._no_secret(number)

    def _no_secret(self, number: int) -> str:
        """Give what is no secret: each another, for what was tried is not tried again."""
        return f"no group secret {number} {self._vault.unwrap('none', self._wrapped_dummy)}"


def _names(step: Addressed, secret: Secret) -> tuple[str, ...]:
    if isinstance(secret, NamedChallengePassword):
        return secret.names
    if isinstance(secret, ChallengePassword):
        return names_in(step.request.certificate_request.subject)
    return (secret.username,)
