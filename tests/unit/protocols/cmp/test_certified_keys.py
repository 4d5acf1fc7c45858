"""Keys that have a certificate already, and certificates that nobody has confirmed yet."""

import pytest

from enroll.certificates import CertificateStatus, RevocationReason
from protocols.cmp.messages import BodyType
from tests.support.cmp_conversation import FAIL_INFO, Client, by_held, by_secret
from tests.support.enrollment import OPERATOR, Held, Site, by_code, open_site, renewal


async def a_client(site: Site, name: str) -> Client:
    await site.register(name)
    return by_secret(site, name, await site.code(name))


async def test_cmp_O3_a_key_of_another_device_is_no_good_template() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    client = await a_client(site, "pump-2")

    answer = await client.ask(by_code("pump-2", "-", key=held.key))

    assert (answer.kind, answer.fail_info) == (BodyType.IP, {FAIL_INFO["badCertTemplate"]})
    assert not await site.certificates("pump-2")


async def test_cmp_O3_a_key_that_was_compromised_is_no_good_template() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    record = await site.record_of(held)
    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
    client = await a_client(site, "pump-2")

    answer = await client.ask(by_code("pump-2", "-", key=held.key))

    assert answer.fail_info == {FAIL_INFO["badCertTemplate"]}


@pytest.mark.parametrize("allowed", [False, True])
async def test_cmp_O3_the_profile_says_whether_an_update_may_keep_the_key(*, allowed: bool) -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    await site.change_policy(bootstrap={"allow_same_key": allowed})

    answer = await by_held(site, held).ask(renewal(held, key=held.key))

    assert answer.kind is BodyType.KUP
    assert answer.fail_info == (set() if allowed else {FAIL_INFO["badCertTemplate"]})


async def test_cmp_O4_a_certificate_counts_for_nothing_until_it_is_confirmed() -> None:
    site = await open_site()
    client = await a_client(site, "pump-1")
    ask = by_code("pump-1", "-")
    client.heard = given = await client.ask(ask)
    held = Held(der=given.certificate, key=ask.key)

    before = await by_held(site, held).ask(renewal(held))
    (record,) = await site.certificates()
    slots = (await site.device()).state
    confirmed = await client.confirm()
    after = await by_held(site, held).ask(renewal(held))

    assert before.fail_info == {FAIL_INFO["notAuthorized"]}
    assert (record.status, slots) == (CertificateStatus.PENDING_CONFIRM, "enrolled")
    assert confirmed.kind is BodyType.PKICONF
    assert after.status == 0
