"""The certificate profile and the registry turn a permitted request into an order."""

from datetime import datetime
from functools import lru_cache

from cryptography import x509

from enroll.certificates import IssuanceOrder, new_serial_number
from enroll.failures import AuthorityUnavailable
from enroll.policy.clock import check_clock
from enroll.policy.keys import fitting_key_usage, least_key_usage
from enroll.policy.names import alternative_names_for, subject_for
from enroll.policy.profiles import purpose_oid
from enroll.ports import CertificateAuthority, Clock, Randomness, UnitOfWork
from enroll.profiles import CertificateProfile, KeyAlgorithm, KeyUsageBit
from enroll.steps import Authorized, Planned
from enroll.trace import DecisionTrace


class Plan:
    """Writes orders: names from the registry, all else from the profile, nothing copied."""

    def __init__(
        self, authority: CertificateAuthority, clock: Clock, randomness: Randomness
    ) -> None:
        self._authority = authority
        self._clock = clock
        self._randomness = randomness
        self._last_issued_at: datetime | None = None

    async def __call__(self, step: Authorized, uow: UnitOfWork, trace: DecisionTrace) -> Planned:
        """Write the order, or raise PolicyViolation or AuthorityUnavailable."""
        device = step.identified.device
        addressed = step.identified.authenticated.addressed
        request = addressed.request.certificate_request
        profile = step.certificate_profile
        if request.public_key is None:
            raise AssertionError("an order is for a key that is there")
        now = await self._time(uow, trace)
        issuer = self._authority.current(addressed.request.issuer or addressed.profile.issuer)
        begins = max(now - profile.backdate, self._authority.not_valid_before(issuer))
        ends = min(now + profile.validity, self._authority.not_valid_after(issuer))
        if ends <= now:
            raise AuthorityUnavailable(f"issuer {issuer!r} has expired; renew it", retry_after=60)
        order = IssuanceOrder(
            serial_number=new_serial_number(self._randomness.octets(20)),
            issuer=issuer,
            subject=subject_for(device, profile),
            subject_alternative_names=alternative_names_for(device, profile),
            public_key=request.public_key,
            spki=request.spki,
            key_usage=key_usage_for(step.key_algorithm, request.key_usage, profile),
            extended_key_usage=_purposes(profile.extended_key_usage),
            not_valid_before=begins,
            not_valid_after=ends,
        )
        trace.passed("plan", f"{profile.name} version {profile.version}")
        return Planned(authorized=step, order=order)

    def issued(self, at: datetime) -> None:
        """Take note that a certificate was issued: time has come at least this far."""
        if self._last_issued_at is None or at > self._last_issued_at:
            self._last_issued_at = at

    async def _time(self, uow: UnitOfWork, trace: DecisionTrace) -> datetime:
        """Tell the time in whole seconds, if the clock can be believed.

        What the registry knows is asked once; this process's own certificates tell the rest.
        """
        if self._last_issued_at is None:
            known = await uow.certificates.last_issued_at()
            if known is not None:
                self.issued(known)
        now = self._clock.now()
        try:
            check_clock(now, self._last_issued_at)
        except AuthorityUnavailable as error:
            trace.failed("clock", error.detail)
            raise
        return now.replace(microsecond=0)


def key_usage_for(
    algorithm: KeyAlgorithm, wished: frozenset[KeyUsageBit] | None, profile: CertificateProfile
) -> frozenset[KeyUsageBit]:
    """Choose the key usage: as asked where the profile lets it be asked for, else the profile's.

    RFC 7030 §4.2.1: a key that can sign may be asked for without digitalSignature.
    """
    return _key_usage(
        algorithm, wished or frozenset(), profile.requestable_key_usage, profile.key_usage
    )


@lru_cache(maxsize=1_024)
def _key_usage(
    algorithm: KeyAlgorithm,
    wished: frozenset[KeyUsageBit],
    requestable: frozenset[KeyUsageBit],
    usual: frozenset[KeyUsageBit],
) -> frozenset[KeyUsageBit]:
    usage = wished & requestable or usual
    return (
        fitting_key_usage(algorithm, usage)
        or fitting_key_usage(algorithm, usual)
        or least_key_usage(algorithm)
    )


@lru_cache(maxsize=1_024)
def _purposes(names: tuple[str, ...]) -> tuple[x509.ObjectIdentifier, ...]:
    return tuple(x509.ObjectIdentifier(purpose_oid(each)) for each in names)
