"""Whole exchanges of CMP, message by message, each at another worker."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.certificates import CertificateStatus
from enroll.device import DeviceState
from enroll.options import CMPOptions
from enroll.profiles import Approval
from protocols.cmp.decode import decode
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import mac_holds, verify_signature
from tests.support.builders import a_group, a_policy
from tests.support.cmp import SECRET, integer, pbm, pbmac1, verify_mac
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    Client,
    a_message_signer,
    a_wire,
    an_endpoint,
    by_held,
    by_secret,
    content_of,
)
from tests.support.csr import a_name, sequence
from tests.support.enrollment import (
    Ask,
    Held,
    Site,
    a_new_key,
    by_certificate,
    by_code,
    open_site,
    renewal,
)

DAY = timedelta(days=1)


async def a_client(site: Site, name: str = "pump-1") -> tuple[Client, Ask]:
    """Register a device, and make a client that knows its code and what it will ask for."""
    await site.register(name)
    code = await site.code(name)
    return by_secret(site, name, code), by_code(name, code)


async def status_of(site: Site, name: str = "pump-1") -> CertificateStatus:
    return (await site.certificates(name))[0].status


def check_refused(answer: Answered, kind: BodyType, fail_info: str) -> None:
    assert answer.kind is kind
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


def check_signed(answer: Answered) -> None:
    verify_signature(decode(answer.octets), a_message_signer().certificate)


def check_under(ask: Ask, answer: Answered) -> None:
    assert ask.code is not None
    assert verify_mac(decode(answer.octets), ask.code.encode())


async def test_cmp_H17_a_device_is_registered_when_it_has_confirmed() -> None:
    site = await open_site()
    client, ask = await a_client(site)

    given = await client.ask(ask)
    before = (await site.device()).state, await status_of(site)
    confirmed = await client.confirm()

    assert (given.kind, given.status, given.cert_req_id) == (BodyType.IP, 0, 0)
    assert before == (DeviceState.ENROLLED, CertificateStatus.PENDING_CONFIRM)
    assert confirmed.kind is BodyType.PKICONF
    assert (await site.device()).state is DeviceState.REGISTERED
    assert await status_of(site) is CertificateStatus.ACTIVE


async def test_cmp_P7_answers_are_protected_with_the_secret_of_the_request() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    assert ask.code is not None
    key = derive_key(pbm(), ask.code.encode())

    given = await client.ask(ask)
    confirmed = await client.confirm()

    assert mac_holds(decode(given.octets), key)
    assert mac_holds(decode(confirmed.octets), key)


async def test_cmp_O5_only_an_ip_under_a_mac_has_ca_pubs() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    enrolled = await site.enroll("pump-2")
    other = by_held(site, enrolled, "operational")

    by_mac = await client.ask(ask)
    by_signature = await other.ask(by_certificate(enrolled, subject=a_name("pump-2")))

    assert len(by_mac.body["caPubs"]) == 2
    assert by_signature.kind is BodyType.CP
    assert not by_signature.body["caPubs"].isValue


async def test_cmp_H11_implicit_confirmation_is_one_message_less() -> None:
    site = await open_site()
    client, ask = await a_client(site)

    given = await client.ask(ask, implicit_confirm=True)

    assert given.header.implicit_confirm
    assert given.header.confirm_wait_time is None
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_cmp_H11_a_profile_that_grants_none_names_the_time_instead() -> None:
    site = await open_site()
    await site.change_policy(bootstrap={"cmp": CMPOptions(implicit_confirm=False)})
    client, ask = await a_client(site)

    given = await client.ask(ask, implicit_confirm=True)

    assert not given.header.implicit_confirm
    assert given.header.confirm_wait_time == site.clock.now() + DAY
    assert (await site.device()).state is DeviceState.ENROLLED


@pytest.mark.parametrize("addressed", [None, "operational"])
async def test_cmp_H11_the_profile_that_issues_says_whether_it_insists(
    addressed: str | None,
) -> None:
    site = await open_site()
    _, held = await site.provision()
    options = {"cmp": CMPOptions(implicit_confirm=False), "confirm_timeout": 2 * DAY}
    await site.change_policy(operational=options)

    answer = await by_held(site, held, addressed).ask(renewal(held), implicit_confirm=True)

    assert not answer.header.implicit_confirm
    assert answer.header.confirm_wait_time == site.clock.now() + 2 * DAY


async def test_a_certificate_that_is_rejected_is_revoked() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    answers = [await client.confirm(status=2) for _ in range(2)]

    assert [each.kind for each in answers] == [BodyType.PKICONF] * 2
    assert await status_of(site) is CertificateStatus.REVOKED
    assert (await site.device()).state is DeviceState.ENROLLED


async def test_an_empty_certconf_rejects() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    answer = await client.send(BodyType.CERT_CONF, sequence())

    assert answer.kind is BodyType.PKICONF
    assert await status_of(site) is CertificateStatus.REVOKED


async def test_a_certificate_that_nobody_confirms_is_revoked_in_time() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    site.clock.advance(DAY)
    early = await site.confirmations.settle()
    site.clock.advance(timedelta(seconds=1))

    late = await client.confirm()
    settled = await site.confirmations.settle()

    assert (early, settled) == (0, 1)
    check_refused(late, BodyType.ERROR, "badRequest")
    assert await status_of(site) is CertificateStatus.REVOKED
    assert (await site.device()).state is DeviceState.ENROLLED


async def test_a_certificate_that_is_not_confirmed_proves_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    given = await client.ask(ask)
    held = Held(der=given.certificate, key=ask.key)

    over_est = await site.be_refused(by_certificate(held, subject=a_name()))
    over_cmp = await by_held(site, held, "operational").ask(by_certificate(held))

    assert over_est.finding == "certificate_unconfirmed"
    check_refused(over_cmp, BodyType.CP, "notAuthorized")


async def test_cmp_H17_a_second_certconf_is_told_that_the_certificate_was_confirmed() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    first = await client.confirm()
    again = [await client.confirm() for _ in range(2)]

    assert first.kind is BodyType.PKICONF
    for answer in again:
        check_refused(answer, BodyType.ERROR, "certConfirmed")
        check_under(ask, answer)
    assert await status_of(site) is CertificateStatus.ACTIVE


async def test_a_hash_of_something_else_confirms_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    answer = await client.confirm(cert_hash=bytes(32))

    check_refused(answer, BodyType.ERROR, "badCertId")
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


async def test_cmp_H10_a_certconf_repeats_the_nonce_of_the_answer() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    answers = [await client.confirm(recip_nonce=each) for each in (None, bytes(32), bytes(16))]

    for answer in answers:
        check_refused(answer, BodyType.ERROR, "badRecipientNonce")
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


async def test_cmp_H8_a_certconf_of_another_transaction_confirms_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    answer = await client.confirm(transaction_id=bytes(16))

    check_refused(answer, BodyType.ERROR, "badRecipientNonce")


async def test_a_certconf_under_another_secret_confirms_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    client.protection = derive_key(pbm(), SECRET)

    answer = await client.confirm()

    check_refused(answer, BodyType.ERROR, "badMessageCheck")
    check_signed(answer)
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


async def test_a_certconf_of_another_device_confirms_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    thief, _ = await a_client(site, "pump-2")
    thief.heard = client.heard

    answer = await thief.confirm(transaction_id=client.header.transaction_id)

    check_refused(answer, BodyType.ERROR, "badRequest")
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


async def test_cmp_P7_an_exchange_keeps_its_kind_of_protection() -> None:
    site = await open_site()
    enrolled = await site.enroll("pump-2")
    client, ask = await a_client(site)
    await client.ask(ask)
    signed = by_held(site, enrolled)
    signed.heard = client.heard

    answer = await signed.confirm(transaction_id=client.header.transaction_id)

    check_refused(answer, BodyType.ERROR, "wrongIntegrity")


@pytest.mark.parametrize(("first", "then"), [(pbm(), pbmac1()), (pbmac1(), pbm())])
async def test_cmp_P7_an_exchange_keeps_its_mac(first: bytes, then: bytes) -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    client = by_secret(site, "pump-1", code, algorithm=first)
    await client.ask(by_code("pump-1", code))

    other = replace(client, protection=derive_key(then, code.encode()))
    refused = await other.confirm()
    confirmed = await client.confirm()

    assert (refused.kind, refused.fail_info) == (BodyType.ERROR, {FAIL_INFO["badMessageCheck"]})
    assert refused.header.protection_alg == then
    assert confirmed.kind is BodyType.PKICONF


@pytest.mark.parametrize(
    ("was", "now"),
    [("a003020102", "a003020130"), ("0603551d0e", "0603551d0f")],
)
async def test_cmp_P4_a_certificate_that_cannot_be_read_signs_nothing(was: str, now: str) -> None:
    site = await open_site()
    held = await site.enroll()
    client = by_held(site, held)
    client.extra_certs = (held.der.replace(bytes.fromhex(was), bytes.fromhex(now), 1),)

    answer = await client.ask(renewal(held))

    check_refused(answer, BodyType.ERROR, "badMessageCheck")


async def test_cmp_P12_a_kur_is_signed() -> None:
    site = await open_site()
    client, _ = await a_client(site)
    ask = renewal(await site.enroll("pump-2"))

    answer = await client.ask(ask)

    check_refused(answer, BodyType.ERROR, "wrongIntegrity")


async def test_the_same_request_again_has_the_same_certificate() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    message = client.message(BodyType.IR, content_of(ask))

    first, second = [await client.post(message) for _ in range(2)]

    found = [decode(each.body).body_octets for each in (first, second)]
    assert found[0] == found[1]
    assert len(await site.certificates()) == 1


async def test_an_exchange_that_begins_anew_can_be_confirmed() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    assert ask.code is not None
    again = by_secret(site, "pump-1", ask.code)
    await again.ask(ask)

    answer = await again.confirm()

    assert answer.kind is BodyType.PKICONF
    assert await status_of(site) is CertificateStatus.ACTIVE


async def test_cmp_H17_who_asks_again_after_its_word_may_give_it_again() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    await client.confirm()
    assert ask.code is not None
    again = by_secret(site, "pump-1", ask.code)
    given = await again.ask(ask)

    answers = [await again.confirm() for _ in range(2)]

    assert [each.kind for each in answers] == [BodyType.PKICONF] * 2
    assert len(await site.certificates()) == 1
    assert given.status == 0
    assert await status_of(site) is CertificateStatus.ACTIVE


async def test_cmp_H8_a_transaction_is_for_one_request() -> None:
    site = await open_site()
    _, operational = await site.provision()
    client = by_held(site, operational)
    await client.ask(renewal(operational))

    answer = await client.ask(renewal(operational, key=a_new_key()))

    check_refused(answer, BodyType.ERROR, "transactionIdInUse")
    assert len(await site.certificates()) == 3


async def test_a_kur_supersedes_when_it_is_confirmed() -> None:
    site = await open_site()
    _, operational = await site.provision()
    client = by_held(site, operational)
    ask = renewal(operational)
    given = await client.ask(ask)
    before = await site.record_of(operational)

    confirmed = await client.confirm()

    assert (given.kind, given.status) == (BodyType.KUP, 0)
    assert before.status is CertificateStatus.ACTIVE
    assert confirmed.kind is BodyType.PKICONF
    check_signed(confirmed)
    assert (await site.record_of(operational)).status is CertificateStatus.SUPERSEDED
    renewed = await site.record_of(Held(der=given.certificate, key=ask.key))
    assert renewed.status is CertificateStatus.ACTIVE


async def test_cmp_P2_a_code_is_taken_exactly_as_it_was_shown() -> None:
    site = await open_site()
    _, ask = await a_client(site)
    assert ask.code is not None

    answer = await by_secret(site, "pump-1", ask.code.replace("-", "")).ask(ask)

    check_refused(answer, BodyType.ERROR, "badMessageCheck")


async def test_cmp_P2_nobody_learns_which_devices_there_are() -> None:
    site = await open_site()
    _, ask = await a_client(site)

    answers = [
        await by_secret(site, each, "AAAA-AAAA-AAAA-AAAA-AAAA").ask(ask)
        for each in ("pump-1", "nobody", "")
    ]

    for answer in answers:
        check_refused(answer, BodyType.ERROR, "badMessageCheck")
        check_signed(answer)
    assert len({bytes(str(each.body), "utf-8") for each in answers}) == 1


@pytest.mark.parametrize(
    ("changes", "fail_info"),
    [
        ({"pvno": 1}, "unsupportedVersion"),
        ({"pvno": 4}, "unsupportedVersion"),
        ({"transaction_id": None}, "badDataFormat"),
        ({"sender_nonce": None}, "badSenderNonce"),
        ({"sender_nonce": bytes(15)}, "badSenderNonce"),
    ],
    ids=str,
)
async def test_cmp_H1_H8_H9_a_header_has_what_it_must(
    changes: dict[str, object], fail_info: str
) -> None:
    site = await open_site()
    client, ask = await a_client(site)

    answer = await client.send(BodyType.IR, content_of(ask), **changes)

    check_refused(answer, BodyType.ERROR, fail_info)
    check_under(ask, answer)
    assert not await site.certificates()


@pytest.mark.parametrize(
    "kind", [each for each in BodyType if each.name not in "IR CR KUR P10CR GENM"]
)
async def test_cmp_H17_a_message_out_of_its_place_is_refused(kind: BodyType) -> None:
    site = await open_site()
    client, _ = await a_client(site)

    answer = await client.send(kind, sequence())

    assert answer.kind is BodyType.ERROR
    assert answer.status == 2
    assert not await site.certificates()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("initialization", 0),
        ("p/bootstrap/initialization", 0),
        ("bootstrap", 0),
        ("certification", 2),
        ("p/bootstrap/keyupdate", 2),
    ],
)
async def test_cmp_T5_an_address_may_name_the_operation(path: str, status: int) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    client.path = path

    answer = await client.ask(ask)

    assert answer.status == status
    assert answer.fail_info == (set() if status == 0 else {FAIL_INFO["badRequest"]})


@pytest.mark.parametrize("path", ["p/nowhere", "nowhere", "p/bootstrap/nothing", "a/b"])
async def test_cmp_T4_an_unknown_name_is_not_found(path: str) -> None:
    site = await open_site()
    client, ask = await a_client(site)

    answer = await client.post(client.message(BodyType.IR, content_of(ask)), path)

    assert answer.status == 404


async def test_cmp_T2_another_media_type_is_refused() -> None:
    site = await open_site()
    endpoint = await an_endpoint(site)

    answer = await endpoint(a_wire(b"", media_type="application/octet-stream"))

    assert answer.status == 415


async def test_a_device_that_was_disabled_meanwhile_confirms_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    await site.lifecycle.disable((await site.device()).device_id, "stolen", actor="cli:operator")

    answer = await client.confirm()

    assert answer.kind is BodyType.ERROR
    assert (await site.device()).state is DeviceState.ENROLLED
    assert (await site.certificates())[0].confirmed_at is None


async def test_a_waiting_request_is_polled_for_and_then_confirmed() -> None:
    site = await open_site(a_policy(a_group(approval=Approval.MANUAL)))
    client, ask = await a_client(site)
    client.heard = waiting = await client.ask(ask, implicit_confirm=True)
    content = sequence(sequence(integer(0)))
    client.heard = still = await client.send(BodyType.POLL_REQ, content)
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor="cli:other")

    client.heard = given = await client.send(BodyType.POLL_REQ, content)
    confirmed = await client.confirm()

    assert (waiting.kind, waiting.status, still.kind) == (BodyType.IP, 3, BodyType.POLL_REP)
    assert not waiting.header.implicit_confirm
    assert (given.kind, given.status) == (BodyType.IP, 0)
    assert confirmed.kind is BodyType.PKICONF
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_another_device_polls_for_nothing() -> None:
    site = await open_site(a_policy(a_group(approval=Approval.MANUAL)))
    client, ask = await a_client(site)
    client.heard = await client.ask(ask)
    thief, _ = await a_client(site, "pump-2")
    thief.heard = client.heard

    answer = await thief.send(
        BodyType.POLL_REQ,
        sequence(sequence(integer(0))),
        transaction_id=client.header.transaction_id,
    )

    check_refused(answer, BodyType.ERROR, "badRequest")
