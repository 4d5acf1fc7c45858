"""The contract of `DeviceRepository`."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from enroll.device import (
    GLOBAL_IDENTITY_KINDS,
    Assurance,
    Connection,
    Device,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    IdentityKind,
)
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.ports import Registry, UnitOfWork
from tests.support.builders import TENANT, a_device, a_group, a_tenant, an_id
from tests.support.fakes import START
from tests.support.registries import look, store

OTHER_TENANT = a_tenant("other")
OTHER_GROUP = a_group("other's", tenant_id=OTHER_TENANT.tenant_id)
LOCAL_KINDS = sorted(set(IdentityKind) - GLOBAL_IDENTITY_KINDS)


def an_identity(value: str, kind: IdentityKind = IdentityKind.SERIAL_NUMBER) -> DeviceIdentity:
    return DeviceIdentity(kind=kind, value=value)


def a_foreign_device(name: str, **changes: object) -> Device:
    return a_device(
        name,
        device_id=an_id(f"foreign {name}"),
        tenant_id=OTHER_TENANT.tenant_id,
        group_id=OTHER_GROUP.group_id,
        **changes,
    )


async def register(registry: Registry, *devices: Device) -> None:
    """Store devices, and the other tenant where it is one of theirs."""

    def stage(uow: UnitOfWork) -> None:
        if any(each.tenant_id == OTHER_TENANT.tenant_id for each in devices):
            uow.policy.put_tenant(OTHER_TENANT)
            uow.policy.put_group(OTHER_GROUP)
        for each in devices:
            uow.devices.add(each)

    await store(registry, stage)


async def by_id(registry: Registry, device: Device) -> Device | None:
    return await look(registry, lambda uow: uow.devices.by_id(device.device_id))


async def read(registry: Registry, device: Device) -> Device:
    found = await by_id(registry, device)
    assert found is not None
    return found


async def test_a_name_taken_in_the_tenant_is_refused(registry: Registry) -> None:
    await register(registry, a_device("pump-1"))
    other = a_device("pump-1", device_id=an_id("another"))

    with pytest.raises(AlreadyTaken) as refusal:
        await register(registry, other)

    assert (refusal.value.what, refusal.value.value) == ("device_name", "pump-1")
    assert await by_id(registry, other) is None


async def test_a_name_taken_within_the_same_unit_is_refused(registry: Registry) -> None:
    one, other = a_device("pump-1"), a_device("pump-1", device_id=an_id("another"))

    with pytest.raises(AlreadyTaken) as refusal:
        await register(registry, one, other)

    assert refusal.value.what == "device_name"
    assert await look(registry, lambda uow: uow.devices.list()) == []


@pytest.mark.parametrize("kind", IdentityKind)
async def test_an_identity_taken_in_the_tenant_is_refused(
    registry: Registry, kind: IdentityKind
) -> None:
    await register(registry, a_device("pump-1", identities=(an_identity("x1", kind),)))
    other = a_device("pump-2", identities=(an_identity("x0", kind), an_identity("x1", kind)))

    with pytest.raises(AlreadyTaken) as refusal:
        await register(registry, other)

    assert (refusal.value.what, refusal.value.value) == ("identity", f"{kind}=x1")
    assert await by_id(registry, other) is None
    taken = await look(
        registry, lambda uow: uow.devices.named_by(TENANT, (), [an_identity("x0", kind)])
    )
    assert taken == frozenset()


@pytest.mark.parametrize("kind", sorted(GLOBAL_IDENTITY_KINDS))
async def test_an_identity_of_a_piece_of_hardware_taken_in_another_tenant_is_refused(
    registry: Registry, kind: IdentityKind
) -> None:
    await register(registry, a_foreign_device("pump-1", identities=(an_identity("x1", kind),)))

    with pytest.raises(AlreadyTaken) as refusal:
        await register(registry, a_device("pump-2", identities=(an_identity("x1", kind),)))

    assert refusal.value.what == "identity"


@pytest.mark.parametrize("kind", sorted(GLOBAL_IDENTITY_KINDS))
async def test_an_identity_of_a_piece_of_hardware_cannot_be_saved_on_another_tenants_device(
    registry: Registry, kind: IdentityKind
) -> None:
    identity = an_identity("x1", kind)
    await register(registry, a_foreign_device("pump-1", identities=(identity,)), a_device("pump-2"))
    device = await read(registry, a_device("pump-2"))

    with pytest.raises(AlreadyTaken) as refusal:
        await store(registry, lambda uow: uow.devices.save(replace(device, identities=(identity,))))

    assert refusal.value.what == "identity"
    assert await read(registry, device) == device


async def test_an_identity_given_twice_to_one_device_is_refused(registry: Registry) -> None:
    twice = a_device(identities=(an_identity("SN-1"), an_identity("SN-1")))

    with pytest.raises(AlreadyTaken) as refusal:
        await register(registry, twice)

    assert refusal.value.what == "identity"


async def test_a_stale_version_is_refused(registry: Registry) -> None:
    await register(registry, a_device())
    device = await read(registry, a_device())
    await store(registry, lambda uow: uow.devices.save(replace(device, description="first")))

    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.devices.save(replace(device, description="second")))

    assert (await read(registry, device)).description == "first"


async def test_a_version_that_is_not_yet_there_is_refused(registry: Registry) -> None:
    await register(registry, a_device())
    ahead = replace(await read(registry, a_device()), version=2)

    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.devices.save(ahead))


async def test_saving_an_unknown_device_is_refused(registry: Registry) -> None:
    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.devices.save(a_device("nobody")))

    assert await by_id(registry, a_device("nobody")) is None


async def test_of_two_units_that_read_one_version_one_saves(registry: Registry) -> None:
    await register(registry, a_device())
    async with registry.unit_of_work() as one, registry.unit_of_work() as other:
        device = await one.devices.by_id(a_device().device_id)
        same = await other.devices.by_id(a_device().device_id)
        assert device is not None
        assert device == same
        one.devices.save(replace(device, description="one"))
        other.devices.save(replace(device, description="other"))

        await one.commit()
        with pytest.raises(ConcurrentChange):
            await other.commit()

    assert (await read(registry, device)).description == "one"


async def test_a_stale_save_leaves_the_identities_alone(registry: Registry) -> None:
    await register(registry, a_device(identities=(an_identity("SN-1"),)))
    device = await read(registry, a_device())
    await store(registry, lambda uow: uow.devices.save(device))

    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.devices.save(replace(device, identities=())))

    assert (await read(registry, device)).identities == (an_identity("SN-1"),)


async def test_a_name_is_free_in_another_tenant(registry: Registry) -> None:
    await register(registry, a_device("pump-1"), a_foreign_device("pump-1"))

    found = await look(registry, lambda uow: uow.devices.by_reference(TENANT, "pump-1"))
    foreign = await look(
        registry, lambda uow: uow.devices.by_reference(OTHER_TENANT.tenant_id, "pump-1")
    )

    assert found == a_device("pump-1")
    assert foreign == a_foreign_device("pump-1")


@pytest.mark.parametrize("kind", LOCAL_KINDS)
async def test_an_identity_that_is_the_tenants_own_is_free_in_another(
    registry: Registry, kind: IdentityKind
) -> None:
    identity = an_identity("x1", kind)
    own = a_device("pump-1", identities=(identity,))
    foreign = a_foreign_device("pump-2", identities=(identity,))

    await register(registry, own, foreign)

    assert await look(registry, lambda uow: uow.devices.named_by(TENANT, (), [identity])) == {
        own.device_id
    }


@pytest.mark.parametrize("name", ["Pump-1", "pump-1 ", "pump-%", "pump__", "Pump-1\u0301"])
async def test_names_are_compared_octet_by_octet(registry: Registry, name: str) -> None:
    await register(registry, a_device("pump-1"))

    await register(registry, a_device(name))

    found = await look(registry, lambda uow: uow.devices.by_reference(TENANT, name))
    assert found == a_device(name)


async def test_a_device_comes_back_as_it_was_stored(registry: Registry) -> None:
    device = a_device(
        "Pumpe №7 'ß' \"💧\"; --",
        state=DeviceState.PROVISIONED,
        status=DeviceStatus.DISABLED,
        status_reason="lost\nand found",
        identities=(
            an_identity("SN-9"),
            an_identity("a.example", IdentityKind.SAN_DNS),
            an_identity("SN-8"),
        ),
        attributes={"site": "Łódź", "": "empty key", "quote'\"": "\\ \t", "long": "x" * 10_000},
        description="long " * 200_000,
        source="import",
        connection=Connection.CONNECTED,
        assurance=Assurance.HIGH,
        created_at=START + timedelta(microseconds=1),
        updated_at=START + timedelta(microseconds=999_999),
        version=7,
    )

    await register(registry, device)

    assert await read(registry, device) == device
    assert await look(registry, lambda uow: uow.devices.list()) == [device]


async def test_a_time_is_the_same_moment_whatever_its_zone(registry: Registry) -> None:
    there = timezone(timedelta(hours=5, minutes=45))
    device = a_device(created_at=START.astimezone(there), updated_at=START.astimezone(there))

    await register(registry, device)

    assert (await read(registry, device)).created_at == START


async def test_saving_makes_the_next_version(registry: Registry) -> None:
    await register(registry, a_device(identities=(an_identity("SN-1"),)))
    device = await read(registry, a_device())
    changed = replace(
        device,
        state=DeviceState.REGISTERED,
        status=DeviceStatus.DISABLED,
        status_reason="broken",
        identities=(an_identity("SN-2"), an_identity("SN-1")),
        attributes={"site": "north"},
        description="by the river",
        connection=Connection.NOT_CONNECTED,
        assurance=Assurance.NONE,
        updated_at=START + timedelta(days=1),
    )

    await store(registry, lambda uow: uow.devices.save(changed))

    assert await read(registry, device) == replace(changed, version=device.version + 1)


async def test_a_device_can_be_saved_again_and_again(registry: Registry) -> None:
    await register(registry, a_device())

    for number in range(5):
        async with registry.unit_of_work() as uow:
            device = await uow.devices.by_id(a_device().device_id)
            assert device is not None
            uow.devices.save(replace(device, description=str(number)))
            await uow.commit()

    assert (await read(registry, a_device())).description == "4"
    assert (await read(registry, a_device())).version == 6


async def test_saving_keeps_what_a_device_was_born_with(registry: Registry) -> None:
    await register(registry, a_device())
    device = await read(registry, a_device())
    renamed = replace(device, name="pump-9", source="import", created_at=START + timedelta(1))

    await store(registry, lambda uow: uow.devices.save(renamed))

    assert await read(registry, device) == replace(device, version=2)
    assert await look(registry, lambda uow: uow.devices.by_reference(TENANT, "pump-9")) is None


async def test_an_identity_given_up_is_free_for_another(registry: Registry) -> None:
    await register(registry, a_device("pump-1", identities=(an_identity("SN-1"),)))
    await register(registry, a_device("pump-2"))
    async with registry.unit_of_work() as uow:
        one = await uow.devices.by_id(a_device("pump-1").device_id)
        other = await uow.devices.by_id(a_device("pump-2").device_id)
        assert one is not None
        assert other is not None
        uow.devices.save(replace(one, identities=()))
        uow.devices.save(replace(other, identities=(an_identity("SN-1"),)))

        await uow.commit()

    found = await look(registry, lambda uow: uow.devices.by_reference(TENANT, "SN-1"))
    assert found is not None
    assert found.name == "pump-2"


@pytest.mark.parametrize("is_read_first", [True, False])
async def test_identities_are_kept_in_their_order_when_saved(
    registry: Registry,
    is_read_first: bool,  # noqa: FBT001 - one of two cases
) -> None:
    identities = tuple(an_identity(f"SN-{number}") for number in (3, 1, 2))
    await register(registry, a_device(identities=identities))

    async with registry.unit_of_work() as uow:
        if is_read_first:
            await uow.devices.by_id(a_device().device_id)
        uow.devices.save(a_device(identities=identities[1:]))
        await uow.commit()

    assert (await read(registry, a_device())).identities == identities[1:]


@pytest.mark.parametrize("reference", ["", "pump", "pump-1 ", "%", "SN-_", "sn-1", "a.example"])
async def test_what_is_neither_name_nor_serial_number_refers_to_nothing(
    registry: Registry, reference: str
) -> None:
    identities = (an_identity("SN-1"), an_identity("a.example", IdentityKind.SAN_DNS))
    await register(registry, a_device("pump-1", identities=identities))

    assert await look(registry, lambda uow: uow.devices.by_reference(TENANT, reference)) is None


@pytest.mark.parametrize("text", ["pump-1\x00", "\x00", "\ud800", "pump-1\udcff"])
async def test_what_no_database_could_hold_refers_to_nothing_and_hides_nothing(
    registry: Registry, text: str
) -> None:
    device = a_device("pump-1", identities=(an_identity("SN-1"),))
    await register(registry, device)

    found = await look(registry, lambda uow: uow.devices.by_reference(TENANT, text))
    named = await look(
        registry,
        lambda uow: uow.devices.named_by(
            TENANT, [text], [an_identity(text), an_identity("SN-1"), an_identity(text + "x")]
        ),
    )

    assert found is None
    assert named == {device.device_id}


async def test_a_device_is_found_among_however_many_names(registry: Registry) -> None:
    device = a_device("pump-1", identities=(an_identity("SN-1"),))
    other = a_device("pump-2")
    await register(registry, device, other)
    names = [f"name-{number}" for number in range(3_000)]
    identities = [an_identity(f"SN-{number}") for number in range(3_000)]

    found = await look(
        registry, lambda uow: uow.devices.named_by(TENANT, [*names, "pump-2"], identities)
    )

    assert found == {device.device_id, other.device_id}


async def test_a_serial_number_of_another_tenant_refers_to_nothing(registry: Registry) -> None:
    await register(registry, a_foreign_device("pump-1", identities=(an_identity("SN-1"),)))

    assert await look(registry, lambda uow: uow.devices.by_reference(TENANT, "SN-1")) is None
    assert await look(registry, lambda uow: uow.devices.by_reference(TENANT, "pump-1")) is None


async def test_a_reference_means_a_name_before_a_serial_number(registry: Registry) -> None:
    bearer = a_device("pump-1", identities=(an_identity("pump-2"), an_identity("SN-1")))
    await register(registry, bearer, a_device("pump-2"))

    by_name = await look(registry, lambda uow: uow.devices.by_reference(TENANT, "pump-2"))
    by_serial = await look(registry, lambda uow: uow.devices.by_reference(TENANT, "SN-1"))

    assert by_name == a_device("pump-2")
    assert by_serial == bearer


async def test_nothing_is_named_by_nothing(registry: Registry) -> None:
    await register(registry, a_device("pump-1", identities=(an_identity("SN-1"),)))

    assert await look(registry, lambda uow: uow.devices.named_by(TENANT, (), ())) == frozenset()


async def test_all_devices_that_names_and_identities_point_at_are_named(
    registry: Registry,
) -> None:
    mac = an_identity("0024be804ff1", IdentityKind.MAC)
    key = an_identity("ab" * 32, IdentityKind.SPKI_SHA256)
    one = a_device("pump-1", identities=(an_identity("SN-1"),))
    two = a_device("pump-2", identities=(mac,))
    three = a_foreign_device("pump-3", identities=(key,))
    await register(registry, one, two, three, a_device("pump-4", identities=(an_identity("x"),)))

    found = await look(
        registry,
        lambda uow: uow.devices.named_by(
            TENANT,
            ["pump-1", "pump-3", "nobody"],
            [mac, key, an_identity("pump-4"), an_identity("SN-1", IdentityKind.MAC)],
        ),
    )

    assert found == {one.device_id, two.device_id, three.device_id}


async def test_devices_are_listed_by_name(registry: Registry) -> None:
    names = ["pump-10", "pump-2", "Pump-1", "Ärmel", "a", "Z", "💧", "pump 3"]
    await register(registry, *[a_device(name) for name in names], a_foreign_device("foreign"))

    everywhere = await look(registry, lambda uow: uow.devices.list())
    here = await look(registry, lambda uow: uow.devices.list(TENANT))

    assert [each.name for each in everywhere] == sorted([*names, "foreign"])
    assert [each.name for each in here] == sorted(names)
    assert await look(registry, lambda uow: uow.devices.list("nobody")) == []


async def test_the_list_holds_each_devices_own_identities(registry: Registry) -> None:
    devices = [
        a_device(f"pump-{one}", identities=(an_identity(f"b{one}"), an_identity(f"a{one}")))
        for one in range(5)
    ]
    await register(registry, *devices, a_device("pump-9"))

    assert await look(registry, lambda uow: uow.devices.list()) == [*devices, a_device("pump-9")]


async def test_nobody_else_can_change_what_was_stored(registry: Registry) -> None:
    attributes = {"site": "north"}
    device = a_device(attributes=attributes)

    async with registry.unit_of_work() as uow:
        uow.devices.add(device)
        attributes["site"] = "south"
        await uow.commit()

    assert (await read(registry, device)).attributes == {"site": "north"}
