"""A device that nobody registered joins the group of the CA that its certificate is under."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from enroll.device import DeviceSource, DeviceState, IdentityKind
from enroll.events import EventName
from enroll.failures import FailureReason
from enroll.policy.profiles import PolicyError
from enroll.profiles import GroupStatus, RegistrationMode
from enroll.result import Issued, Pending, Rejected
from enroll.trust import TrustAnchor, TrustPurpose
from tests.support.builders import GROUP, a_policy
from tests.support.chains import Authority, a_dn
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Site, a_new_key, open_site
from tests.support.registries import look
from tests.support.third_party import (
    BETWEEN,
    ask,
    customer,
    fingerprint_of,
    idevid,
    maker,
    obtain,
    refused,
    show,
    trust,
)


async def a_site(anchor: TrustAnchor | None = None, **group: Any) -> Site:
    """Open a site where who comes with the maker's certificate joins the default group."""
    changes = {"registration_mode": RegistrationMode.JUST_IN_TIME, **group}
    joined = replace(a_policy().groups[GROUP], **changes)
    return await open_site(a_policy(joined, anchor or maker(newcomers_join="default")))


async def be_turned_away(site: Site, *chain: Any, **details: Any) -> Rejected:
    result = await refused(site, *chain, **details)
    assert not [each for each in await devices(site) if each.source == DeviceSource.AUTO]
    return result


async def devices(site: Site) -> Any:
    return await look(site.registry, lambda uow: uow.devices.list())


@pytest.mark.parametrize(
    ("anchor", "group", "finding"),
    [
        (maker(), {}, "identity_unknown"),
        (None, {"registration_mode": RegistrationMode.PRE_REGISTERED}, "identity_unknown"),
        (None, {"status": GroupStatus.DISABLED}, "group_disabled"),
    ],
)
async def test_lifecycle_SC1_nobody_joins_where_that_is_not_switched_on(
    anchor: TrustAnchor | None, group: dict[str, Any], finding: str
) -> None:
    site = await a_site(anchor, **group)

    result = await be_turned_away(site, idevid())

    assert (result.reason, result.finding) == (FailureReason.UNKNOWN_DEVICE, finding)


async def test_lifecycle_SC4_a_chain_that_ends_elsewhere_lets_nobody_join() -> None:
    site = await a_site()
    stranger = Authority.root(a_dn("Stranger"))

    result = await be_turned_away(site, stranger.issue(a_dn("Pump", serial_number="SN-1")))

    assert result.reason is FailureReason.SIGNER_NOT_TRUSTED


async def test_lifecycle_IZ10_a_blocked_ca_lets_nobody_join() -> None:
    site = await a_site(maker(newcomers_join="default", blocked=True))

    result = await be_turned_away(site, idevid())

    assert result.reason in {FailureReason.SIGNER_NOT_TRUSTED, FailureReason.NOT_AUTHORIZED}


async def test_an_anchor_of_another_profile_lets_nobody_join() -> None:
    site = await a_site(maker(newcomers_join="default", profiles=("operational",)))

    await be_turned_away(site, idevid())


@pytest.mark.parametrize("serial", ["Default string", "0000", "a:b"])
async def test_a_number_that_is_none_lets_nobody_join(serial: str) -> None:
    site = await a_site()

    result = await be_turned_away(site, idevid(serial))

    assert result.finding == "newcomer_name"


async def test_a_certificate_of_another_device_beside_it_is_a_conflict() -> None:
    site = await a_site()
    await site.register("pump-1")

    result = await be_turned_away(site, idevid("SN-9"), wish=ask(subject=a_name("pump-1")))

    assert result.finding == "identity_conflict"


async def test_a_name_that_somebody_has_is_not_given_twice() -> None:
    anchor = maker(newcomers_join="default", patterns=(("CN", "pump-*"),))
    site = await a_site(anchor)
    await site.register("SN-9")

    result = await be_turned_away(site, BETWEEN.issue(a_dn("pump-1", serial_number="SN-9")))

    assert result.finding == "identity_taken"


async def test_lifecycle_27f_a_second_certificate_of_one_number_takes_nothing_over() -> None:
    site = await a_site()
    await obtain(site, idevid("SN-1"))

    result = await refused(site, idevid("SN-1"))

    assert result.finding == "clone_suspected"
    assert len(await devices(site)) == 1


async def test_security_C5_the_key_of_a_factory_certificate_is_one_devices() -> None:
    site = await a_site()
    key = a_new_key()
    await obtain(site, idevid("SN-1", key=key))

    result = await refused(site, idevid("SN-2", key=key))

    assert result.finding == "key_reuse"
    assert len(await devices(site)) == 1


async def test_lifecycle_T05_who_comes_with_an_idevid_joins_and_is_tied_to_it() -> None:
    site = await a_site()
    leaf = idevid("SN-1")

    result = await obtain(site, leaf)

    device = await site.device("SN-1")
    assert (device.name, device.state) == ("SN-1", DeviceState.REGISTERED)
    assert device.source == DeviceSource.AUTO
    known = {(each.kind, each.value) for each in device.identities}
    assert known == {
        (IdentityKind.SERIAL_NUMBER, "SN-1"),
        (IdentityKind.IDEVID_CERT_SHA256, fingerprint_of(leaf)),
    }
    assert result.record.certificate.subject.rfc4514_string() == "2.5.4.5=SN-1,CN=SN-1"
    events = await site.events("SN-1")
    assert [each.name for each in events] == [
        EventName.DEVICE_AUTO_PROVISIONED,
        EventName.CERTIFICATE_ISSUED,
        EventName.DEVICE_CERTIFICATE_PINNED,
        EventName.DEVICE_ENROLLED,
    ]
    assert events[0].facts["certificate"] == fingerprint_of(leaf)


async def test_lifecycle_SC4_a_common_name_that_patterns_vouch_for_is_the_name() -> None:
    anchor = customer(newcomers_join="default", patterns=(("CN", "pump-*"),))
    site = await a_site(anchor)

    await obtain(site, BETWEEN.issue(a_dn("pump-7")))

    assert (await site.device("pump-7")).state is DeviceState.REGISTERED


async def test_a_makers_name_becomes_the_devices_attribute() -> None:
    site = await a_site(maker(newcomers_join="default", manufacturer="ACME"))

    await obtain(site, idevid("SN-1"))

    assert (await site.device("SN-1")).attributes == {"manufacturer": "ACME"}


async def test_many_that_join_at_once_are_as_many_devices() -> None:
    site = await a_site()
    leaves = [idevid(f"SN-{number}", key=a_new_key()) for number in range(8)]

    results = await asyncio.gather(*(show(site, each) for each in leaves))

    assert all(isinstance(each, Issued) for each in results)
    assert len(await devices(site)) == 8


async def test_lifecycle_T05_who_joins_may_wait_for_a_person() -> None:
    site = await a_site(device_approval=frozenset({DeviceSource.AUTO}))
    leaf, wish = idevid("SN-1"), ask()

    waiting = await show(site, leaf, wish=wish)
    assert isinstance(waiting, Pending)
    assert (await site.device("SN-1")).state is DeviceState.PENDING_APPROVAL
    order = await site.approvals.of_device((await site.device("SN-1")).device_id)
    await site.approvals.approve(order.order_id, actor="cli:approver")
    await obtain(site, leaf, wish)

    device = await site.device("SN-1")
    assert device.state is DeviceState.REGISTERED
    assert IdentityKind.IDEVID_CERT_SHA256 in {each.kind for each in device.identities}


@pytest.mark.parametrize(
    "anchor",
    [
        customer(newcomers_join="default"),
        customer(newcomers_join="default", patterns=(("O", "Works"),)),
        maker(newcomers_join="default", purpose=TrustPurpose.IMPORT),
        maker(newcomers_join="default", purpose=TrustPurpose.RA),
        maker(newcomers_join="nowhere"),
    ],
)
async def test_lifecycle_SC2_newcomers_join_by_certificates_that_are_one_devices(
    anchor: TrustAnchor,
) -> None:
    site = await open_site(a_policy())

    with pytest.raises(PolicyError, match="newcomers_join"):
        await trust(site).add(anchor, own=(), actor=OPERATOR)
