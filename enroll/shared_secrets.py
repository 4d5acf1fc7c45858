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
    answers_with,
)
from enroll.ports import Clock, CodeVault, UnitOfWork
from enroll.profiles import DeviceGroup, PolicySnapshot
from enroll.steps import Addressed, Authenticated
from enroll.trace import DecisionTrace

NAMES_LOOKED_UP = 4
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
        matching = self._matching(secret, groups, now)
        device = await first_known(_names(step, secret), step.tenant.tenant_id, uow)
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
        matching = self._matching(secret, groups, self._clock.now())
        return frozenset(each.secret_id for group, each in matching if group.group_id == group_id)

    def _matching(
        self, secret: Secret, groups: Iterable[DeviceGroup], now: datetime
    ) -> Sequence[tuple[DeviceGroup, GroupSecret]]:
        """Compare with every secret of every group, whichever it is."""
        shows = self._shows_clear if _is_answer(secret) else self._shows_digest
        return [
            (group, each)
            for group in groups
            for each in group.secrets
            if shows(secret, each) and each.is_active(now)
        ]

    def _shows_digest(self, secret: Secret, kept: GroupSecret) -> bool:
        assert isinstance(secret, HTTPBasic | NamedChallengePassword | ChallengePassword)  # noqa: S101 - told apart by the caller
        digest = self._vault.digest(secret.password)
        return hmac.compare_digest(digest, bytes.fromhex(kept.digest))

    def _shows_clear(self, secret: Secret, kept: GroupSecret) -> bool:
        assert isinstance(secret, HTTPDigest | SharedSecretMAC)  # noqa: S101 - told apart by the caller
        try:
            clear = self._vault.unwrap(kept.secret_id, bytes.fromhex(kept.wrapped))
        except InvalidTag:
            return False
        return answers_with(secret, clear)


def _is_answer(secret: Secret) -> bool:
    return isinstance(secret, HTTPDigest | SharedSecretMAC)


def _names(step: Addressed, secret: Secret) -> tuple[str, ...]:
    if isinstance(secret, NamedChallengePassword):
        return secret.names
    if isinstance(secret, ChallengePassword):
        return names_in(step.request.certificate_request.subject)
    return (secret.username,)
