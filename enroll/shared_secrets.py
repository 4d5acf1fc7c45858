"""A secret that a group shares is good, and the device that was named is one of the group's."""

import hmac
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.x509.oid import NameOID

from enroll.codes import first_known
from enroll.credentials import (
    Authentication,
    ChallengePassword,
    CredentialKind,
    GroupSecret,
    HTTPDigest,
    NamedChallengePassword,
    Secret,
    SharedSecretMAC,
)
from enroll.device import Device
from enroll.failures import NotAuthorized
from enroll.newcomers import Newcomers
from enroll.ports import Clock, CodeVault, UnitOfWork
from enroll.profiles import DeviceGroup, PolicySnapshot
from enroll.request import NO_REQUEST_YET
from enroll.spent import CHECKS, order_of_repetition, refused
from enroll.steps import Addressed, Authenticated
from enroll.tallies import uses_of
from enroll.trace import DecisionTrace
from enroll.trials import first_right

NAMES_LOOKED_UP = 4
SECRETS_TRIED = 2
"""How many secrets without a reference a group has at once: the present one and the next."""
PASSCODES_TRIED = 1
"""How many go by one reference in a tenant."""

SECRET_SHARED = "secret_shared"  # noqa: S105 - a finding
"""Who asked is one of several, and is told what is for all of them."""

_DUMMY = "AAAA-AAAA-AAAA-AAAA-AAAA"
_NAMING = frozenset({NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A secret that was shown, whose it is, and the device that was named with it."""

    group: DeviceGroup
    secret: GroupSecret
    device: Device | None


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
        self._newcomers = Newcomers(clock)

    async def __call__(
        self, step: Addressed, secret: Secret, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated | None:
        """Give the device that was named, if it is of a group whose secret was shown; or None.

        Raises NotAuthenticated for a secret whose time or uses are over.
        """
        shown = await self._shown(step, secret, uow)
        if shown is None:
            return None
        device = shown.device
        if device is None and shown.secret.reference is not None:
            return await self._newcomer(step, shown, uow, trace)
        if device is None or device.group_id != shown.group.group_id:
            return None
        trace.device = device
        proven = Authentication(
            kind=CredentialKind.GROUP_SECRET,
            device_id=device.device_id,
            credential_id=shown.secret.secret_id,
            authenticated_at=self._clock.now(),
            group_secret=shown.secret,
        )
        spent = await self._why_spent(shown.secret, uow)
        if spent is None:
            trace.passed(CHECKS[proven.kind], shown.secret.secret_id)
            return Authenticated(addressed=step, authentication=proven)
        order = await order_of_repetition(step, proven, spent, uow, trace)
        trace.passed(CHECKS[proven.kind], "spent; good for a repetition")
        return Authenticated(addressed=step, authentication=proven, repeat_only=True, order=order)

    async def _newcomer(
        self, step: Addressed, shown: _Shown, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authenticated:
        """Let a device that nobody registered join, by a passcode that is still good."""
        spent = await self._why_spent(shown.secret, uow)
        if spent is not None:
            raise refused(CredentialKind.GROUP_SECRET, spent, trace)
        trace.passed(CHECKS[CredentialKind.GROUP_SECRET], shown.secret.secret_id)
        if step.request.certificate_request is NO_REQUEST_YET:
            raise NotAuthorized("whoever has the passcode could ask so", finding=SECRET_SHARED)
        device = await self._newcomers.by_passcode(step, shown.group, uow, trace)
        return Authenticated(
            addressed=step,
            authentication=Authentication(
                kind=CredentialKind.GROUP_SECRET,
                device_id=device.device_id,
                credential_id=shown.secret.secret_id,
                authenticated_at=self._clock.now(),
                group_secret=shown.secret,
            ),
            newcomer=device,
        )

    def shown_of(
        self, secret: Secret, tenant_id: str, group_id: str | None, policy: PolicySnapshot
    ) -> Sequence[GroupSecret]:
        """Give what was shown of this group's secrets and of all that go by a reference.

        Every group's are compared, spent ones too.
        """
        matching = self._matching(secret, _with_secrets(policy, tenant_id), group_id)
        return [
            each
            for group, each in matching
            if each.reference is not None or group.group_id == group_id
        ]

    async def _shown(self, step: Addressed, secret: Secret, uow: UnitOfWork) -> _Shown | None:
        """Find the secret, and the device: by the name shown with it, or by the request's own."""
        tenant_id = step.tenant.tenant_id
        by_subject = names_in(step.request.certificate_request.subject)
        by_secret = _names(step, secret)
        requested = named = await first_known(by_subject, tenant_id, uow)
        if by_secret != by_subject:
            named = await first_known(by_secret, tenant_id, uow)
        group_id = named.group_id if named is not None else None
        matching = self._matching(secret, _with_secrets(step.policy, tenant_id), group_id)
        for group, each in matching:
            if each.reference is not None:
                return _Shown(group=group, secret=each, device=requested)
            if group.group_id == group_id:
                return _Shown(group=group, secret=each, device=named)
        return None

    async def _why_spent(self, secret: GroupSecret, uow: UnitOfWork) -> str | None:
        now = self._clock.now()
        if not secret.is_active(now):
            return "passcode_expired" if secret.is_over(now) else "passcode_not_yet_valid"
        if secret.max_uses is None:
            return None
        used = await uow.tallies.read(uses_of(secret.secret_id))
        return "passcode_exhausted" if used >= secret.max_uses else None

    def _matching(
        self, secret: Secret, groups: Iterable[DeviceGroup], group_id: str | None
    ) -> Sequence[tuple[DeviceGroup, GroupSecret]]:
        """Compare with every secret of every group, whichever it is.

        An answer is compared with those of the device's group alone, and with the one that goes by
        its reference, and always with as many: each may cost the derivation of a key, and
        strangers choose how long that takes.
        """
        every = [(group, each) for group in groups for each in group.secrets]
        references = _references(secret)
        by_reference = [
            (group, each)
            for group, each in every
            if each.reference is not None
            and (references is None or bytes.fromhex(each.reference) in references)
        ]
        if not isinstance(secret, HTTPDigest | SharedSecretMAC):
            by_name = [(group, each) for group, each in every if each.reference is None]
            digest = self._vault.digest(secret.password)
            return [
                (group, each)
                for group, each in (*by_reference, *by_name)
                if hmac.compare_digest(digest, bytes.fromhex(each.digest))
            ]
        own = [
            (group, each)
            for group, each in every
            if group.group_id == group_id and each.reference is None
        ]
        chosen = [*by_reference[:PASSCODES_TRIED], *own[:SECRETS_TRIED]]
        clear = [self._clear(each, number) for number, (_, each) in enumerate(chosen)]
        clear.extend(map(self._no_secret, range(len(chosen), PASSCODES_TRIED + SECRETS_TRIED)))
        right = first_right(secret, clear)
        return [chosen[right]] if right is not None else []

    def _clear(self, kept: GroupSecret, number: int) -> str:
        try:
            return self._vault.unwrap(kept.secret_id, bytes.fromhex(kept.wrapped))
        except InvalidTag:
            return self._no_secret(number)

    def _no_secret(self, number: int) -> str:
        """Give what is no secret: each another, for what was tried is not tried again."""
        return f"no group secret {number} {self._vault.unwrap('none', self._wrapped_dummy)}"


def _with_secrets(policy: PolicySnapshot, tenant_id: str) -> Iterable[DeviceGroup]:
    return [each for each in policy.groups.values() if each.tenant_id == tenant_id and each.secrets]


def _references(secret: Secret) -> frozenset[bytes] | None:
    """Give the octets that the secret goes by; None where it comes without."""
    if isinstance(secret, ChallengePassword | NamedChallengePassword):
        return None
    given = secret.references if isinstance(secret, SharedSecretMAC) else ()
    return frozenset(given or (secret.username.encode("utf-8", "surrogatepass"),))


def _names(step: Addressed, secret: Secret) -> tuple[str, ...]:
    if isinstance(secret, NamedChallengePassword):
        return secret.names
    if isinstance(secret, ChallengePassword):
        return names_in(step.request.certificate_request.subject)
    return (secret.username,)
