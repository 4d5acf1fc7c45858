"""Which one-time codes of which device a caller has shown to know."""

import hmac
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.exceptions import InvalidTag

from enroll.credentials import (
    ChallengePassword,
    HTTPBasic,
    HTTPDigest,
    NamedChallengePassword,
    OneTimeCode,
    Secret,
    SharedSecretMAC,
)
from enroll.device import Device, DeviceState
from enroll.ports import CodeVault, UnitOfWork
from enroll.trials import first_right

CODES_TRIED = 8
"""How many codes an answer to a challenge is tried with; as many are tried where there are less."""
DERIVED_CODES_TRIED = 3
"""How many, where a key is derived for each at the expense that a stranger chose."""

NOBODY = "00000000-0000-0000-0000-000000000000"
_DUMMY = "AAAA-AAAA-AAAA-AAAA-AAAA"
_NO_DEVICE = (
    "no device has the name or serial number that was given; a passcode goes by its reference only "
    "where the profile's initial_credentials has group_secret"
)
_KEPT_NO_CODE = (
    "name and code do not belong together, or the code was made before a profile took HTTP Digest "
    "or CMC, and serves for HTTP Basic only"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodesFound:
    """The device that was named, and those of its codes that go with the secret, good or not.

    Without any, `finding` and `detail` say to an operator why.
    """

    device: Device | None
    codes: tuple[OneTimeCode, ...] = ()
    finding: str = ""
    detail: str = "name and code do not belong together"


class CodeMatcher:
    """Compares what was shown with what the registry keeps, in time that tells nothing."""

    def __init__(self, vault: CodeVault) -> None:
        self._vault = vault
        self._no_code = vault.digest("no such code")
        self._wrapped_dummy = vault.wrap("none", _DUMMY)

    async def find(
        self,
        secret: Secret,
        tenant_id: str,
        now: datetime,
        uow: UnitOfWork,
        *,
        likely: AbstractSet[str] = frozenset(),
    ) -> CodesFound:
        """Find the codes, with the same work whether device and code exist or not.

        An answer to a challenge is tried with the codes of `likely` ids before all others. Raises
        Untried.
        """
        if isinstance(secret, ChallengePassword):
            return await self._by_itself(secret, tenant_id, uow)
        names = secret.names if isinstance(secret, NamedChallengePassword) else (secret.username,)
        device = await first_known(names, tenant_id, uow)
        kept = await uow.codes.of_device(device.device_id if device is not None else NOBODY)
        if isinstance(secret, HTTPDigest | SharedSecretMAC):
            codes = self._answered(secret, kept, now, likely)
        else:
            codes = self._equal(secret, kept)
        if device is None:
            return CodesFound(device=None, finding="identity_unknown", detail=_NO_DEVICE)
        found = CodesFound(device=device, codes=tuple(codes), finding="code_wrong")
        if isinstance(secret, HTTPDigest | SharedSecretMAC) and any(
            each.wrapped is None for each in kept
        ):
            return replace(found, detail=_KEPT_NO_CODE)
        return found

    async def _by_itself(
        self, secret: ChallengePassword, tenant_id: str, uow: UnitOfWork
    ) -> CodesFound:
        """Find the code by its digest: it names its device, one of this tenant's."""
        digest = self._vault.digest(secret.password)
        codes = await uow.codes.by_digest(digest)
        device = await uow.devices.by_id(codes[0].device_id if codes else NOBODY)
        hmac.compare_digest(digest, self._no_code)
        if not codes:
            return CodesFound(device=None, finding="code_wrong")
        if device is None or device.tenant_id != tenant_id or _known(device) is None:
            return CodesFound(device=None, finding="identity_unknown")
        own = tuple(each for each in codes if each.device_id == device.device_id)
        return CodesFound(device=device, codes=own)

    def _equal(
        self, secret: HTTPBasic | NamedChallengePassword, codes: Sequence[OneTimeCode]
    ) -> list[OneTimeCode]:
        digest = self._vault.digest(secret.password)
        hmac.compare_digest(digest, self._no_code)
        return [each for each in codes if hmac.compare_digest(digest, each.digest)]

    def _answered(
        self,
        answer: HTTPDigest | SharedSecretMAC,
        codes: Sequence[OneTimeCode],
        now: datetime,
        likely: AbstractSet[str],
    ) -> list[OneTimeCode]:
        """Try the codes that are kept in the clear, those that are still good and new first.

        Who knows one is told soon; whoever knows none costs as much wherever nothing is kept.
        """
        kept = [each for each in codes if each.wrapped is not None]
        kept.sort(
            key=lambda each: (each.code_id in likely, each.is_active(now), each.created_at),
            reverse=True,
        )
        derives = isinstance(answer, SharedSecretMAC) and answer.rounds > 0
        trials = DERIVED_CODES_TRIED if derives else CODES_TRIED
        chosen = kept[:trials]
        clear = [self._clear(each, number) for number, each in enumerate(chosen)]
        clear.extend(map(self._no_secret, range(len(chosen), trials)))
        right = first_right(answer, clear)
        return [chosen[right]] if right is not None else []

    def _clear(self, code: OneTimeCode, number: int) -> str:
        assert code.wrapped is not None  # noqa: S101 - only such are tried
        try:
            return self._vault.unwrap(code.code_id, code.wrapped)
        except InvalidTag:
            return self._no_secret(number)

    def _no_secret(self, number: int) -> str:
        """Give what is no code: each another, for what was tried is not tried again."""
        return f"no code {number} {self._vault.unwrap('none', self._wrapped_dummy)}"


async def first_known(names: Sequence[str], tenant_id: str, uow: UnitOfWork) -> Device | None:
    """Find the device of the first name that is known; all are looked up in any case."""
    found = [_known(await uow.devices.by_reference(tenant_id, each)) for each in names]
    return next((each for each in found if each is not None), None)


def _known(device: Device | None) -> Device | None:
    if device is None or device.state is DeviceState.DELETED:
        return None
    return device
