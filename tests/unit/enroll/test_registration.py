from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enroll.credentials import OneTimeCode
from enroll.device import DeviceState, DeviceStatus, IdentityKind
from enroll.events import EventName
from enroll.failures import AlreadyTaken, NotFound, Refused
from enroll.options import ESTOptions, HTTPScheme
from enroll.policy.identities import IdentityFormatError
from enroll.profiles import DeviceGroup, GroupStatus, ProtocolName
from enroll.registration import CodeTerms, NewDevice, RegistrationError
from tests.support.arrangements import put_in_state
from tests.support.builders import (
    GROUP,
    a_policy,
    a_tenant,
    an_enrollment_profile,
)
from tests.support.enrollment import OPERATOR, Site, by_code, open_site
from tests.support.registries import look, store


async def codes_of(site: Site, name: str = "pump-1") -> list[OneTimeCode]:
    device = await site.device(name)
    return list(await look(site.registry, lambda uow: uow.codes.of_device(device.device_id)))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 65,
        " pump",
        "pump ",
        "pump:1",
        "pump\n1",
        "pump\x7f",
        "pump\u00a01",
        "pump\u202e1",
        "pump\ue0001",
        "Cafe\u0301",
    ],
    ids=[
        "empty",
        "65 characters",
        "space before",
        "space after",
        "colon",
        "line feed",
        "delete",
        "no-break space",
        "right-to-left override",
        "private use",
        "not in normal form C",
    ],
)
async def test_interface_names_a_device_cannot_have(name: str) -> None:
    site = await open_site()

    with pytest.raises(ValueError, match="a device name"):
        await site.register(name)


@pytest.mark.parametrize("name", ["x", "x" * 64, "Café 7", "泵-1", "<img onerror>"])
async def test_interface_whoever_has_a_good_name_gets_a_certificate_for_it(name: str) -> None:
    site = await open_site()

    held = await site.enroll(name)

    assert name in {each.value for each in held.certificate.subject}


async def test_lifecycle_T01_a_registered_device_is_enrolled_and_enabled() -> None:
    site = await open_site()

    device, code = await site.registration.register(
        NewDevice(
            name="pump-1",
            serial_number=" SN-1 ",
            identities=(
                (IdentityKind.MAC, "00:24:BE:80:4F:F1"),
                (IdentityKind.MAC, "0024be804ff1"),
            ),
            attributes={"site": "plant 7"},
            description="the left one",
        ),
        code=CodeTerms(lifetime=timedelta(hours=1), uses=3),
        actor=OPERATOR,
    )

    assert await site.device("SN-1") == device
    assert (device.state, device.status) == (DeviceState.ENROLLED, DeviceStatus.ENABLED)
    assert [(each.kind, each.value) for each in device.identities] == [
        (IdentityKind.SERIAL_NUMBER, "SN-1"),
        (IdentityKind.MAC, "0024be804ff1"),
    ]
    assert (device.attributes, device.description) == ({"site": "plant 7"}, "the left one")
    assert code is not None
    assert code.expires_at == site.clock.now() + timedelta(hours=1)
    registered, created = await site.events()
    assert (registered.name, registered.actor) == (EventName.DEVICE_REGISTERED, OPERATOR)
    assert registered.facts["after"] == "enrolled"
    assert (created.name, created.facts["uses"]) == (EventName.CODE_CREATED, 3)


async def test_a_device_without_a_serial_number_has_none() -> None:
    site = await open_site()

    device = await site.register(identities=((IdentityKind.MAC, "0024be804ff1"),))

    assert device.serial_number is None


async def test_lifecycle_T01_no_two_devices_have_one_name() -> None:
    site = await open_site()
    await site.register()

    with pytest.raises(AlreadyTaken) as refusal:
        await site.register()

    assert refusal.value.what == "device_name"


async def test_lifecycle_T01_no_two_devices_have_one_identity() -> None:
    site = await open_site()
    await site.register(serial_number="SN-1")

    with pytest.raises(AlreadyTaken) as refusal:
        await site.register("pump-2", serial_number="SN-1")

    assert refusal.value.what == "identity"
    assert len(await look(site.registry, lambda uow: uow.devices.list())) == 1


async def test_lifecycle_T01_a_disabled_group_takes_no_device() -> None:
    site = await open_site(a_policy(_default_group(GroupStatus.DISABLED)))

    with pytest.raises(Refused, match="disabled"):
        await site.register()


async def test_lifecycle_T01_a_disabled_group_lets_its_members_go_on() -> None:
    site = await open_site()
    await site.register()
    await store(
        site.registry, lambda uow: uow.policy.put_group(_default_group(GroupStatus.DISABLED))
    )

    await site.obtain(by_code("pump-1", await site.code()))

    assert (await site.device()).state is DeviceState.REGISTERED


@pytest.mark.parametrize(("tenant", "group"), [("default", "nowhere"), ("nobody", "default")])
async def test_a_device_is_registered_only_into_a_group_that_is_there(
    tenant: str, group: str
) -> None:
    site = await open_site()

    with pytest.raises(NotFound, match="no group"):
        await site.registration.register(
            NewDevice(name="pump-1", group=group), code=None, actor=OPERATOR, tenant=tenant
        )


async def test_lifecycle_2_3_junk_is_no_serial_number() -> None:
    site = await open_site()

    with pytest.raises(IdentityFormatError, match="real one"):
        await site.register(serial_number="To Be Filled By O.E.M.")


@pytest.mark.parametrize(
    "terms",
    [
        CodeTerms(uses=0),
        CodeTerms(uses=1_001),
        CodeTerms(lifetime=timedelta(0)),
        CodeTerms(lifetime=timedelta(days=3_661)),
    ],
)
async def test_a_code_has_terms_within_reason(terms: CodeTerms) -> None:
    site = await open_site()
    device = await site.register()

    with pytest.raises(ValueError, match="code"):
        await site.registration.make_code(device.device_id, terms, actor=OPERATOR)

    assert await codes_of(site) == []


@pytest.mark.parametrize(
    "details",
    [
        {"attributes": {"": "x"}},
        {"attributes": {"a b": "x"}},
        {"attributes": {"a": "line\nfeed"}},
        {"attributes": {"a": "x" * 100_000}},
        {"description": "two\nlines"},
    ],
    ids=["no key", "odd key", "control character", "long value", "two lines"],
)
async def test_what_is_said_of_a_device_is_within_reason(details: dict[str, Any]) -> None:
    site = await open_site()

    with pytest.raises(RegistrationError):
        await site.register(**details)


async def test_no_code_is_made_for_a_device_that_is_not_there() -> None:
    site = await open_site()

    with pytest.raises(NotFound):
        await site.registration.make_code("nobody", CodeTerms(), actor=OPERATOR)


async def test_no_code_is_made_for_a_deleted_device() -> None:
    site = await open_site()
    device = await site.register()
    await put_in_state(site, DeviceState.DELETED)

    with pytest.raises(NotFound):
        await site.registration.make_code(device.device_id, CodeTerms(), actor=OPERATOR)


async def test_another_code_leaves_the_first_one_good() -> None:
    site = await open_site()
    await site.register()
    first = await site.code()

    await site.code()
    await site.obtain(by_code("pump-1", first))

    assert (await site.device()).state is DeviceState.REGISTERED


async def test_security_D3_the_registry_does_not_hold_the_code() -> None:
    site = await open_site()
    await site.register()

    clear = await site.code()

    (stored,) = await codes_of(site)
    assert clear.replace("-", "").encode() not in stored.digest + (stored.wrapped or b"")
    assert clear not in repr(stored)
    assert stored.wrapped is not None
    assert site.vault.unwrap(stored.code_id, stored.wrapped) == clear


@pytest.mark.parametrize(
    ("protocol", "options", "wrapped"),
    [
        (ProtocolName.EST, ESTOptions(http_authentication=(HTTPScheme.BASIC,)), False),
        (ProtocolName.EST, ESTOptions(http_authentication=(HTTPScheme.DIGEST_MD5,)), True),
        (ProtocolName.SCEP, ESTOptions(http_authentication=(HTTPScheme.DIGEST_MD5,)), False),
        (ProtocolName.CMP, ESTOptions(http_authentication=(HTTPScheme.BASIC,)), True),
        (ProtocolName.EST, ESTOptions(http_authentication=(), fullcmc=True), True),
        (ProtocolName.SCEP, ESTOptions(http_authentication=(), fullcmc=True), False),
    ],
)
async def test_a_code_is_wrapped_only_where_its_clear_value_will_be_needed(
    protocol: ProtocolName,
    options: ESTOptions,
    wrapped: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    strangers = a_tenant("other")
    site = await open_site(
        a_policy(
            an_enrollment_profile(protocols=frozenset({protocol}), est=options),
            strangers,
            an_enrollment_profile("theirs", tenant_id=strangers.tenant_id),
        )
    )
    await site.register()

    await site.code()

    assert ((await codes_of(site))[0].wrapped is not None) is wrapped


def _default_group(status: GroupStatus) -> DeviceGroup:
    return replace(a_policy().groups[GROUP], status=status)
