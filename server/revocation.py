"""Revocation lists: made when something is revoked and on schedule, served from memory."""

from collections.abc import Mapping
from datetime import timedelta

import structlog

from ca.crl import make_crl
from ca.issuers import Issuer
from enroll.certificates import RevocationList
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import ConcurrentChange
from enroll.ports import Clock, Registry

_log = structlog.get_logger("revocation")


class RevocationPublisher:
    """Holds the latest CRL of each issuer, and makes the next when one is due.

    Due is a list at half of its lifetime, or behind the registry's revocations. Several processes
    may try; the registry lets one of them take each number, and the others read its list. Of an
    issuer whose key is not here, the last list that was made is served on.
    """

    def __init__(
        self,
        registry: Registry,
        issuers: Mapping[str, Issuer],
        lifetimes: Mapping[str, timedelta],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self.issuers = issuers
        self.lifetimes = lifetimes
        self._clock = clock
        self._latest: dict[str, RevocationList] = {}

    def latest(self, issuer: str) -> RevocationList | None:
        return self._latest.get(issuer)

    async def refresh(self) -> None:
        """Bring every list up to date. Raises RegistryUnavailable."""
        for name in self.lifetimes:
            await self._refresh(name)

    async def _refresh(self, name: str) -> None:
        async with self._registry.unit_of_work() as uow:
            version = await uow.crls.version()
            latest = self._latest.get(name)
            if latest is None or latest.revocation_version != version or self._is_due(latest):
                latest = await uow.crls.latest(name)
        if latest is not None:
            self._latest[name] = latest
        if latest is None or latest.revocation_version != version or self._is_due(latest):
            await self._make(name, latest, version)

    async def _make(self, name: str, latest: RevocationList | None, version: int) -> None:
        issuer, lifetime = self.issuers.get(name), self.lifetimes[name]
        if issuer is None:
            return
        now = self._clock.now().replace(microsecond=0)
        # What expired stays for one period more, and until a list made after its end has held it
        # (security R1, RFC 5280 §3.3): the server may have been down all that period.
        seen = latest.this_update if latest else issuer.not_valid_before
        since = min(now - lifetime, seen)
        try:
            async with self._registry.unit_of_work() as uow:
                made = make_crl(
                    issuer,
                    await uow.certificates.revoked(name, since),
                    number=latest.number + 1 if latest else 1,
                    this_update=now,
                    next_update=now + lifetime,
                    revocation_version=version,
                )
                uow.crls.add(made)
                uow.events.append(
                    EnrollmentEvent(
                        name=EventName.CRL_ISSUED,
                        occurred_at=now,
                        actor="system",
                        facts={"issuer": name, "number": made.number},
                    )
                )
                await uow.commit()
        except ConcurrentChange:
            return  # Another process took the number; the next turn reads what it made.
        self._latest[name] = made
        _log.info("CRL made", issuer=name, number=made.number)

    def _is_due(self, crl: RevocationList) -> bool:
        return self._clock.now() >= crl.this_update + (crl.next_update - crl.this_update) / 2
