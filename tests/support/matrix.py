"""The matrix of security E3: every operation by every certificate of every sort of device.

The certificate shown is a bootstrap certificate, or passes for one; `pump-1` is registered, and
what is told of it happens after the certificate was obtained.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from enroll.certificates import IssuanceOrder, RevocationReason, new_serial_number
from enroll.device import DeviceState, DeviceStatus
from enroll.failures import FailureReason
from enroll.policy.slots import held as on_hold
from enroll.profiles import CertificateClass, KeyUsageBit, OnDisable
from tests.support.arrangements import disable, forged, put_in_state
from tests.support.builders import a_certificate_profile, a_certificate_record, a_group, a_policy
from tests.support.cases import Case
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Ask, Held, Site, a_new_key, by_certificate, renewal
from tests.support.registries import store

Show = Callable[[Site, Held], Awaitable[Held]]
Happen = Callable[[Site], Awaitable[None]]
Verdict = tuple[FailureReason, str]

NOT_AUTHORIZED = FailureReason.NOT_AUTHORIZED
REVOKED: Verdict = (FailureReason.CERTIFICATE_REVOKED, "certificate_revoked")


async def _active(site: Site, held: Held) -> Held:
    del site
    return held


async def _pending(site: Site, held: Held) -> Held:
    return await site.obtain(renewal(held))


async def _superseded(site: Site, held: Held) -> Held:
    await site.obtain(renewal(await site.obtain(renewal(held))))
    return held


async def _on_hold(site: Site, held: Held) -> Held:
    record = await site.record_of(held)
    after = on_hold(record, site.clock.now())
    await store(site.registry, lambda uow: uow.certificates.save(after, was=record))
    return held


async def _revoked(site: Site, held: Held) -> Held:
    record = await site.record_of(held)
    await site.lifecycle.revoke(record, RevocationReason.SUPERSEDED, actor=OPERATOR)
    return held


async def _expired(site: Site, held: Held) -> Held:
    site.clock.advance(timedelta(days=366))
    return held


async def _not_yet_valid(site: Site, held: Held) -> Held:
    site.clock.advance(timedelta(minutes=-6))
    return held


async def _of_another(site: Site, held: Held) -> Held:
    del held
    return await site.enroll("pump-2")


async def _of_the_server(site: Site, held: Held) -> Held:
    """Show the server's own TLS certificate, as if its key had been stolen."""
    del held
    return await _service_certificate(site, (ExtendedKeyUsageOID.SERVER_AUTH,))


async def _of_the_server_for_any_purpose(site: Site, held: Held) -> Held:
    del held
    return await _service_certificate(site, ())


async def _service_certificate(site: Site, purposes: tuple[x509.ObjectIdentifier, ...]) -> Held:
    key, now = a_new_key(), site.clock.now()
    order = IssuanceOrder(
        serial_number=new_serial_number(site.randomness.octets(20)),
        issuer="issuing",
        subject=a_name("localhost"),
        subject_alternative_names=(),
        public_key=key.public_key(),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
        extended_key_usage=purposes,
        not_valid_before=now,
        not_valid_after=now + timedelta(days=90),
    )
    issued = await site.authority.issue(order)
    record = a_certificate_record(
        der=issued.der,
        serial_number=f"{order.serial_number:x}",
        device_id=None,
        certificate_class=CertificateClass.SERVICE,
        not_valid_before=order.not_valid_before,
        not_valid_after=order.not_valid_after,
    )
    await store(site.registry, lambda uow: uow.certificates.add(record))
    return Held(der=issued.der, key=key)


async def _forged(site: Site, held: Held) -> Held:
    del site
    return forged(held)


async def _not_for_clients(site: Site, held: Held) -> Held:
    """Renew under a profile whose certificates are for something else than TLS clients."""
    strange = a_certificate_profile(version=2, extended_key_usage=("codeSigning",))
    await store(site.registry, lambda uow: uow.policy.put_certificate_profile(strange))
    return await site.obtain(renewal(held))


async def _nothing(site: Site) -> None:
    del site


async def _deleted(site: Site) -> None:
    await put_in_state(site, DeviceState.DELETED)


async def _unapproved(site: Site) -> None:
    await put_in_state(site, DeviceState.PENDING_APPROVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A certificate to show. `verdict` is what it meets whatever its device, `slot` once good."""

    show: Show
    verdict: Verdict | None = None
    slot: Verdict | None = None
    is_the_devices: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fate:
    """What happens to the device. `certificates` is what that does to those that are still good."""

    happen: Happen
    verdict: Verdict | None = None
    certificates: Verdict | None = None
    state: DeviceState = DeviceState.REGISTERED
    status: DeviceStatus = DeviceStatus.ENABLED
    on_disable: OnDisable = OnDisable.HOLD


_SHOWN = (
    _Shown(show=_active),
    _Shown(show=_pending),
    _Shown(show=_superseded, slot=(NOT_AUTHORIZED, "certificate_superseded")),
    _Shown(show=_on_hold, slot=(FailureReason.CERTIFICATE_REVOKED, "certificate_on_hold")),
    _Shown(show=_revoked, verdict=REVOKED),
    _Shown(show=_expired, verdict=(NOT_AUTHORIZED, "certificate_expired")),
    _Shown(show=_not_yet_valid, verdict=(NOT_AUTHORIZED, "certificate_not_yet_valid")),
    _Shown(show=_not_for_clients, verdict=(NOT_AUTHORIZED, "certificate_purpose")),
    _Shown(
        show=_forged,
        verdict=(FailureReason.SIGNER_NOT_TRUSTED, "certificate_not_ours"),
        is_the_devices=False,
    ),
    _Shown(
        show=_of_the_server,
        verdict=(NOT_AUTHORIZED, "certificate_purpose"),
        is_the_devices=False,
    ),
    _Shown(
        show=_of_the_server_for_any_purpose,
        verdict=(NOT_AUTHORIZED, "credential_not_sufficient"),
        is_the_devices=False,
    ),
    _Shown(show=_of_another, verdict=(NOT_AUTHORIZED, "identity_conflict"), is_the_devices=False),
)
_DISABLED: Verdict = (NOT_AUTHORIZED, "device_disabled")
_FATES = (
    _Fate(happen=_nothing),
    _Fate(happen=disable, verdict=_DISABLED, status=DeviceStatus.DISABLED),
    _Fate(
        happen=disable,
        verdict=_DISABLED,
        certificates=REVOKED,
        status=DeviceStatus.DISABLED,
        on_disable=OnDisable.REVOKE,
    ),
    _Fate(
        happen=disable,
        verdict=_DISABLED,
        status=DeviceStatus.DISABLED,
        on_disable=OnDisable.NONE,
    ),
    _Fate(
        happen=_deleted,
        verdict=(FailureReason.UNKNOWN_DEVICE, "identity_unknown"),
        state=DeviceState.DELETED,
    ),
    _Fate(
        happen=_unapproved,
        verdict=(NOT_AUTHORIZED, "state_conflict"),
        state=DeviceState.PENDING_APPROVAL,
    ),
)


def _enroll(held: Held) -> Ask:
    return by_certificate(held)


def _renew(held: Held) -> Ask:
    return renewal(held, subject=a_name("pump-1"))


def _verdict(shown: _Shown, fate: _Fate) -> Verdict | None:
    """Judge in the order of lifecycle 2.8: the certificate, the device, and then the slot."""
    if not shown.is_the_devices:
        return shown.verdict
    expired = shown.show is _expired
    if fate.certificates is not None and not expired:
        return fate.certificates
    if shown.verdict is not None:
        return shown.verdict
    if fate.state is DeviceState.PENDING_APPROVAL:
        return shown.slot or fate.verdict
    return fate.verdict or shown.slot


def _cases() -> Iterator[Case]:
    for ask in (_enroll, _renew):
        for shown in _SHOWN:
            for fate in _FATES:
                yield _case(ask, shown, fate)


def _case(ask: Callable[[Held], Ask], shown: _Shown, fate: _Fate) -> Case:
    async def arrange(site: Site) -> Ask:
        held = await shown.show(site, await site.enroll())
        await fate.happen(site)
        return ask(held)

    how = fate.on_disable.value if fate.status is DeviceStatus.DISABLED else ""
    arrange.__name__ = "".join(
        (ask.__name__, shown.show.__name__, "_", fate.happen.__name__.lstrip("_"), "_", how)
    ).strip("_")
    verdict = _verdict(shown, fate)
    state = fate.state
    if verdict is None and ask is _enroll:
        state = DeviceState.PROVISIONED
    case = Case(
        row="security-E3",
        arrange=arrange,
        state=state,
        status=fate.status,
        policy=a_policy(a_group(on_disable=fate.on_disable)),
    )
    if verdict is None:
        return case
    reason, finding = verdict
    return replace(case, reason=reason, finding=finding)


MATRIX = tuple(_cases())
