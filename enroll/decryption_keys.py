"""Use cases: give a device a symmetric key that keys made for it are encrypted to, or take it."""

import re
from collections.abc import Sequence

from enroll.device import Device, DeviceState
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound
from enroll.key_generation import DecryptionKey, wrapping_id
from enroll.ports import Clock, CodeVault, Registry, UnitOfWork

KEY_OCTETS = (16, 24, 32)
_IDENTIFIER = re.compile(r"(?:[0-9a-f]{2}){1,32}")


class DecryptionKeyError(ValueError):
    """A key or its identifier cannot be taken; the message says what was expected."""


class DecryptionKeys:
    """Keeps symmetric keys wrapped by the vault; none is ever shown again."""

    def __init__(self, registry: Registry, vault: CodeVault, clock: Clock) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock

    async def add(self, device_id: str, identifier: str, key: bytes, *, actor: str) -> Device:
        """Keep a key for a device. Raises DecryptionKeyError, NotFound, AlreadyTaken."""
        if len(key) not in KEY_OCTETS:
            raise DecryptionKeyError("a key for AES key wrap is 16, 24 or 32 octets long")
        identifier = _normal(identifier)
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            device = await _device(device_id, uow)
            kept = DecryptionKey(
                device_id=device_id,
                key_identifier=identifier,
                wrapped=self._vault.wrap(wrapping_id(device_id, identifier), key.hex()),
                octets=len(key),
                created_at=now,
            )
            uow.decryption_keys.add(kept)
            uow.events.append(
                _event(EventName.DEVICE_DECRYPTION_KEY_ADDED, kept, actor, self._clock)
            )
            await uow.commit()
        return device

    async def remove(self, device_id: str, identifier: str, *, actor: str) -> Device:
        """Forget a key. Raises DecryptionKeyError, NotFound."""
        identifier = _normal(identifier)
        async with self._registry.unit_of_work() as uow:
            device = await _device(device_id, uow)
            kept = await uow.decryption_keys.find(device_id, identifier)
            if kept is None:
                raise NotFound(f"device {device.name!r} has no decryption key {identifier}")
            uow.decryption_keys.remove(kept)
            uow.events.append(
                _event(EventName.DEVICE_DECRYPTION_KEY_REMOVED, kept, actor, self._clock)
            )
            await uow.commit()
        return device

    async def of_device(self, device_id: str) -> Sequence[DecryptionKey]:
        async with self._registry.unit_of_work() as uow:
            return await uow.decryption_keys.of_device(device_id)


def _normal(identifier: str) -> str:
    normal = identifier.lower().replace(":", "")
    if not _IDENTIFIER.fullmatch(normal):
        raise DecryptionKeyError(
            "an identifier is 1 to 32 octets in hex, as the device's DecryptKeyIdentifier has them"
        )
    return normal


async def _device(device_id: str, uow: UnitOfWork) -> Device:
    device = await uow.devices.by_id(device_id)
    if device is None or device.state is DeviceState.DELETED:
        raise NotFound(f"there is no device {device_id}")
    return device


def _event(name: EventName, kept: DecryptionKey, actor: str, clock: Clock) -> EnrollmentEvent:
    return EnrollmentEvent(
        name=name,
        occurred_at=clock.now(),
        actor=actor,
        device_id=kept.device_id,
        facts={"key_identifier": kept.key_identifier, "octets": kept.octets},
    )
