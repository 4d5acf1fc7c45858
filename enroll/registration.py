"""Use cases: register a device, and make a one-time code for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from enroll.credentials import CredentialKind, OneTimeCode, new_one_time_code
from enroll.device import (
    TRANSITIONS,
    Cause,
    Device,
    DeviceIdentity,
    DeviceSource,
    DeviceState,
    IdentityKind,
    new_id,
)
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound, Refused
from enroll.policy.approval import application
from enroll.policy.attributes import objection_to_attribute
from enroll.policy.device_names import objection_to_name
from enroll.policy.identities import to_identity
from enroll.ports import Clock, CodeVault, Randomness, Registry, UnitOfWork
from enroll.profiles import DeviceGroup, GroupStatus, PolicySnapshot, ProtocolName
from enroll.retry import decided_anew

CODE_LIFETIME = timedelta(days=7)
MAXIMUM_USES = 1_000
MAXIMUM_LIFETIME = timedelta(days=3_660)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """What an operator says of a device to be registered."""

    name: str
    group: str = "default"
    serial_number: str | None = None
    identities: tuple[tuple[IdentityKind, str], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTerms:
    """How long and how often a code is good."""

    lifetime: timedelta = CODE_LIFETIME
    uses: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCode:
    """A code in the clear, to be shown once."""

    clear: str = field(repr=False)
    expires_at: datetime


class RegistrationError(ValueError):
    """What was said of a device or its code cannot be; the message says what was expected."""


class Registration:
    """Brings devices and their codes into the registry."""

    def __init__(
        self, registry: Registry, vault: CodeVault, clock: Clock, randomness: Randomness
    ) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock
        self._randomness = randomness

    @decided_anew
    async def register(
        self, new: NewDevice, *, code: CodeTerms | None, actor: str, tenant: str = "default"
    ) -> tuple[Device, MadeCode | None]:
        """Register a device (T-01) and make its code, if terms for one are given.

        Where its group says so, it waits for somebody's approval (T-02); so does who uses the code.
        Raises RegistrationError, IdentityFormatError, NotFound (group), Refused (group disabled),
        AlreadyTaken (device_name, identity).
        """
        check_device_name(new.name)
        _check_attributes(new)
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            group = _group(policy, tenant, new.group)
            waits = DeviceSource.MANUAL in group.device_approval
            device = Device(
                device_id=new_id(now, self._randomness.octets(10)),
                tenant_id=group.tenant_id,
                group_id=group.group_id,
                name=new.name,
                state=TRANSITIONS[None, Cause.APPLY if waits else Cause.REGISTER],
                identities=_identities(new),
                attributes=dict(new.attributes),
                description=new.description,
                created_at=now,
                updated_at=now,
            )
            uow.policy.expect(policy.version)
            uow.devices.add(device)
            if waits:
                order_id = new_id(now, self._randomness.octets(10))
                uow.orders.add(application(device, group, order_id, actor))
            uow.events.append(_event(EventName.DEVICE_REGISTERED, device, actor, now))
            made = self._add_code(uow, policy, device, code, actor) if code else None
            await uow.commit()
        return device, made

    async def make_code(
        self, device_id: str, terms: CodeTerms, *, actor: str
    ) -> tuple[Device, MadeCode]:
        """Make another code for a device; those it has stay good.

        Raises RegistrationError, NotFound.
        """
        async with self._registry.unit_of_work() as uow:
            device = await uow.devices.by_id(device_id)
            if device is None or device.state is DeviceState.DELETED:
                raise NotFound(f"there is no device {device_id}")
            policy = await uow.policy.snapshot()
            made = self._add_code(uow, policy, device, terms, actor)
            await uow.commit()
        return device, made

    def stage_code(
        self, uow: UnitOfWork, policy: PolicySnapshot, device: Device, actor: str
    ) -> MadeCode:
        """Stage a code of the usual terms in a unit that does more than this."""
        return self._add_code(uow, policy, device, CodeTerms(), actor)

    def _add_code(
        self,
        uow: UnitOfWork,
        policy: PolicySnapshot,
        device: Device,
        terms: CodeTerms,
        actor: str,
    ) -> MadeCode:
        if not timedelta(0) < terms.lifetime <= MAXIMUM_LIFETIME:
            raise RegistrationError(
                "a code lives for more than nothing and up to ten years, such as 7d"
            )
        if not 1 <= terms.uses <= MAXIMUM_USES:
            raise RegistrationError(f"a code is good for 1 to {MAXIMUM_USES} uses")
        now = self._clock.now()
        clear = new_one_time_code(self._randomness.octets(13))
        code_id = new_id(now, self._randomness.octets(10))
        wrapped = self._vault.wrap(code_id, clear) if _needs_clear_code(policy, device) else None
        uow.codes.add(
            OneTimeCode(
                code_id=code_id,
                device_id=device.device_id,
                digest=self._vault.digest(clear),
                wrapped=wrapped,
                max_uses=terms.uses,
                created_at=now,
                expires_at=now + terms.lifetime,
            )
        )
        uow.events.append(
            _event(
                EventName.CODE_CREATED,
                device,
                actor,
                now,
                code=code_id,
                uses=terms.uses,
                expires_at=(now + terms.lifetime).isoformat(),
            )
        )
        return MadeCode(clear=clear, expires_at=now + terms.lifetime)


def check_device_name(name: str) -> None:
    """Check a new device's name. Raises RegistrationError, which says what was expected."""
    objection = objection_to_name(name)
    if objection is not None:
        raise RegistrationError(objection)


def _check_attributes(new: NewDevice) -> None:
    for key, value in new.attributes.items():
        objection = objection_to_attribute(key, value)
        if objection is not None:
            raise RegistrationError(objection)
    if not (new.description or "").isprintable():
        raise RegistrationError("a description is one line without control characters")


def _group(policy: PolicySnapshot, tenant: str, name: str) -> DeviceGroup:
    owner = policy.tenant_named(tenant)
    group = policy.group_named(owner.tenant_id, name) if owner else None
    if group is None:
        raise NotFound(f"there is no group {name!r}")
    if group.status is GroupStatus.DISABLED:
        raise Refused(f"group {name!r} is disabled and takes no new devices")
    return group


def _identities(new: NewDevice) -> tuple[DeviceIdentity, ...]:
    found = [to_identity(kind, value) for kind, value in new.identities]
    if new.serial_number is not None:
        found.insert(0, to_identity(IdentityKind.SERIAL_NUMBER, new.serial_number))
    return tuple(dict.fromkeys(found))


def _needs_clear_code(policy: PolicySnapshot, device: Device) -> bool:
    """Tell whether some protocol needs the code itself: for a MAC or HTTP Digest."""
    for each in policy.enrollment_profiles.values():
        if each.tenant_id != device.tenant_id:
            continue
        taken = each.initial_credentials | each.renewal_credentials
        est = ProtocolName.EST in each.protocols and (each.est.takes_digest or each.est.fullcmc)
        if CredentialKind.ONE_TIME_CODE in taken and (ProtocolName.CMP in each.protocols or est):
            return True
    return False


def _event(
    name: EventName, device: Device, actor: str, now: datetime, **facts: object
) -> EnrollmentEvent:
    return EnrollmentEvent(
        name=name,
        occurred_at=now,
        actor=actor,
        device_id=device.device_id,
        facts=facts
        or {
            "name": device.name,
            "group": device.group_id,
            "source": device.source,
            "after": device.state.value,
        },
    )
