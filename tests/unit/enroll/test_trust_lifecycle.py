"""What a device may do with another CA's certificate, from the first time on."""

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.certificates import CertificateStatus
from enroll.credentials import CredentialKind
from enroll.device import DeviceState, IdentityKind
from enroll.events import EventName
from enroll.failures import FailureReason, Refused
from enroll.profiles import OnDisable, ReEnrollment
from enroll.result import Issued, Rejected
from tests.support.builders import (
    a_group,
    a_policy,
    an_enrollment_profile,
)
from tests.support.chains import a_dn, a_hardware_module
from tests.support.csr import a_key, a_name
from tests.support.enrollment import (
    OPERATOR,
    Held,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.fakes import START
from tests.support.registries import store
from tests.support.third_party import (
    BETWEEN,
    a_site,
    ask,
    customer,
    fingerprint_of,
    idevid,
    idevid_of,
    maker,
    names_of_events,
    obtain,
    refused,
    show,
    trust,
)


async def test_est_T7_an_expired_certificate_is_refused_or_taken_by_the_profiles_grace() -> None:
    site = await a_site()
    leaf = idevid(not_after=START - timedelta(days=3))

    result = await refused(site, leaf)
    await site.change_policy(bootstrap={"expired_grace": timedelta(days=3)})
    await obtain(site, leaf)

    assert (result.reason, result.finding) == (
        FailureReason.NOT_AUTHORIZED,
        "certificate_expired",
    )
    issued = [each for each in await site.events() if each.name is EventName.CERTIFICATE_ISSUED]
    assert issued[0].facts["renewed_expired"] is True


async def test_lifecycle_T11_a_renewal_with_an_expired_certificate_is_the_profiles_choice() -> None:
    site = await open_site()
    held = await site.enroll()
    site.clock.advance(timedelta(days=370))

    before = await site.be_refused(renewal(held))
    await site.change_policy(bootstrap={"expired_grace": timedelta(days=10)})
    after = await site.send(renewal(held))

    assert before.finding == "certificate_expired"
    assert isinstance(after, Issued)


async def test_lifecycle_T07_a_factory_certificate_enrolls_without_a_code() -> None:
    site, leaf = await a_site(), idevid()

    issued = await obtain(site, leaf)

    device = await site.device()
    assert device.state is DeviceState.REGISTERED
    assert issued.record.credential_id == fingerprint_of(leaf)
    assert issued.record.certificate.subject == x509.Name(
        [*a_name("pump-1"), *x509.Name.from_rfc4514_string("2.5.4.5=SN-1")]
    )
    events = [each.name for each in await site.events()]
    assert events.count(EventName.DEVICE_CERTIFICATE_PINNED) == 1
    assert EventName.CODE_USED not in events


async def test_lifecycle_T08_the_idevid_is_recorded_and_pinned_at_its_first_use() -> None:
    direct = an_enrollment_profile(
        "operational", initial_credentials=frozenset({CredentialKind.IDEVID})
    )
    site, leaf = await a_site(maker(), direct), idevid()

    issued = await obtain(site, leaf, ask(profile="operational"))

    device = await site.device()
    pins = [each.value for each in device.identities if "idevid_cert" in each.kind]
    kept = {each.profile: each for each in await site.certificates()}
    assert device.state is DeviceState.PROVISIONED
    assert pins == [fingerprint_of(leaf)]
    assert kept["trust:maker"].der == leaf.public_bytes(Encoding.DER)
    assert kept["operational"].fingerprint == issued.record.fingerprint


async def test_lifecycle_T13_a_repeated_request_gets_the_same_certificate() -> None:
    site, leaf, wish = await a_site(), idevid(), ask()

    first = await obtain(site, leaf, wish)
    again = await obtain(site, leaf, wish)

    assert again.record.fingerprint == first.record.fingerprint
    assert again.repeated


@pytest.mark.parametrize(
    ("policy", "finding"),
    [
        (ReEnrollment.ALLOW, None),
        (ReEnrollment.FRESH_CODE, None),
        (ReEnrollment.DENY, "re_enrollment_refused"),
    ],
)
async def test_lifecycle_T12_the_pinned_idevid_enrolls_again_as_the_profile_says(
    policy: ReEnrollment, finding: str | None
) -> None:
    site, leaf = await a_site(maker(), an_enrollment_profile(re_enrollment=policy)), idevid()
    await obtain(site, leaf)

    result = await show(site, leaf)

    assert (result.finding if isinstance(result, Rejected) else None) == finding


@pytest.mark.parametrize(
    ("policy", "finding"),
    [
        (ReEnrollment.ALLOW, None),
        (ReEnrollment.FRESH_CODE, "re_enrollment_refused"),
        (ReEnrollment.DENY, "re_enrollment_refused"),
    ],
)
async def test_lifecycle_T12_a_customers_certificate_enrolls_again_only_where_all_may(
    policy: ReEnrollment, finding: str | None
) -> None:
    anchor = customer(patterns=(("serialNumber", "SN-*"),))
    site, leaf = await a_site(anchor, an_enrollment_profile(re_enrollment=policy)), idevid()
    await obtain(site, leaf)

    result = await show(site, leaf)

    assert (result.finding if isinstance(result, Rejected) else None) == finding
    assert EventName.DEVICE_CERTIFICATE_PINNED not in await names_of_events(site)


async def test_a_change_of_trust_is_seen_by_the_next_request() -> None:
    site, leaf = await a_site(), idevid()
    wish = ask()
    await obtain(site, leaf, wish)

    await trust(site).change(maker(blocked=True), own=(), actor=OPERATOR)
    blocked = await refused(site, leaf, wish=wish)
    await trust(site).change(maker(), own=(), actor=OPERATOR)
    good = await obtain(site, leaf, wish)
    await trust(site).remove(maker(), actor=OPERATOR)
    removed = await refused(site, leaf, wish=wish)

    assert (blocked.finding, good.repeated) == ("anchor_blocked", True)
    assert removed.finding == "certificate_not_ours"


async def test_a_device_is_known_by_its_hardware_module() -> None:
    site = await open_site(a_policy(maker()))
    module = (IdentityKind.HW_MODULE_NAME, f"2.999.1:{b'HW-1'.hex()}")
    await site.register("pump-1", identities=(module,))
    good = BETWEEN.issue(a_dn("Pump"), names=[a_hardware_module(b"HW-1")])
    other = BETWEEN.issue(a_dn("Pump"), names=[a_hardware_module(b"HW-2")])

    assert (await refused(site, other)).finding == "identity_unknown"
    await obtain(site, good)


async def test_a_device_is_known_by_issuer_and_serial_number() -> None:
    site, leaf = await open_site(a_policy(maker())), BETWEEN.issue(a_dn("Pump"))
    number = f"{leaf.issuer.rfc4514_string()}#{leaf.serial_number:X}"
    await site.register("pump-1", identities=((IdentityKind.IDEVID_ISSUER_SERIAL, number),))

    assert (await refused(site, BETWEEN.issue(a_dn("Pump")))).finding == "identity_unknown"
    await obtain(site, leaf)


async def test_lifecycle_T15_a_disabled_device_is_refused_and_its_idevid_is_spared() -> None:
    group = a_group(on_disable=OnDisable.REVOKE)
    site, leaf = await a_site(maker(), group), idevid()
    await obtain(site, leaf)
    device = await site.device()

    await site.lifecycle.disable(device.device_id, "stolen", actor=OPERATOR)
    result = await refused(site, leaf)
    await site.lifecycle.enable(device.device_id, "found", actor=OPERATOR)

    assert result.finding == "device_disabled"
    await obtain(site, leaf)


async def test_lifecycle_T23_a_reset_device_begins_again_with_its_idevid() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)

    await site.lifecycle.reset((await site.device()).device_id, "repair", actor=OPERATOR)
    again = await obtain(site, leaf)

    assert again.record.status is CertificateStatus.ACTIVE
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_a_device_whose_board_was_replaced_is_untied_from_the_old() -> None:
    site, old, new = await a_site(), idevid(), idevid(key=a_key("p-256", 2))
    await obtain(site, old)
    device = await site.device()

    await trust(site).unpin(device.device_id, "new board", actor=OPERATOR)

    assert (await refused(site, old)).finding == "certificate_revoked"
    await obtain(site, new)
    assert (await refused(site, old)).finding == "certificate_revoked"
    assert EventName.DEVICE_CERTIFICATE_UNPINNED in await names_of_events(site)


async def test_only_a_pinned_device_is_untied() -> None:
    site = await a_site()
    device = await site.device()

    with pytest.raises(Refused):
        await trust(site).unpin(device.device_id, "new board", actor=OPERATOR)
    with pytest.raises(Refused):
        await trust(site).unpin(device.device_id, " ", actor=OPERATOR)


async def test_a_factory_certificate_beside_a_code_leaves_the_code_to_decide() -> None:
    site = await a_site()
    wrong = by_code("pump-1", "AAAA-BBBB-CCCC-DDDD-EEEE")

    result = await refused(site, idevid(), wish=wrong)

    assert result.finding == "code_wrong"


async def test_a_factory_certificate_of_another_beside_a_code_is_a_conflict() -> None:
    site = await a_site()
    await site.register("pump-2", serial_number="SN-2")
    await obtain(site, idevid("SN-2"))

    result = await refused(
        site,
        idevid_of(await site.certificates("pump-2")),
        wish=by_code("pump-1", await site.code("pump-1")),
    )

    assert result.finding == "identity_conflict"


async def test_what_was_obtained_with_it_is_a_certificate_like_any_other() -> None:
    site, wish = await a_site(), ask()
    issued = await obtain(site, idevid(), wish)
    held = Held(der=issued.record.der, key=wish.key)

    operational = await site.obtain(by_certificate(held))

    assert operational.certificate.subject == held.certificate.subject
    assert (await site.device()).state is DeviceState.PROVISIONED
    assert isinstance(await site.send(renewal(held)), Issued)


async def test_an_anchor_may_be_taken_away_and_what_it_let_in_stays() -> None:
    site, wish = await a_site(), ask()
    issued = await obtain(site, idevid(), wish)
    await store(site.registry, lambda uow: uow.policy.remove_trust_anchor(maker()))

    renewed = await site.send(renewal(Held(der=issued.record.der, key=wish.key)))

    assert isinstance(renewed, Issued)


async def test_a_device_in_a_hurry_is_pinned_once() -> None:
    site, leaf = await a_site(), idevid()

    results = await asyncio.gather(*[show(site, leaf) for _ in range(8)])

    kept = [each.profile for each in await site.certificates()]
    events = await names_of_events(site)
    assert all(isinstance(each, Issued) for each in results)
    assert kept.count("trust:maker") == 1
    assert events.count(EventName.DEVICE_CERTIFICATE_PINNED) == 1
