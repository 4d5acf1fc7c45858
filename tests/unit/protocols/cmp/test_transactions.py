"""What keeps transactions apart and brings them to an end, each message at another worker."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import DeviceState
from enroll.profiles import Approval
from protocols import der
from protocols.cmp.decode import decode
from protocols.cmp.messages import BodyType
from tests.support.builders import a_group, a_policy, an_enrollment_profile
from tests.support.cmp import SHA512, integer
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    Client,
    by_held,
    by_secret,
    content_of,
    kind_of,
    read,
)
from tests.support.csr import a_name, sequence, tlv
from tests.support.enrollment import (
    OPERATOR,
    Ask,
    Held,
    Site,
    a_new_key,
    by_certificate,
    by_code,
    open_site,
    renewal,
)

GIVEN_UP = sequence(sequence(integer(2)))
POLL = sequence(sequence(integer(0)))
WAITING = a_policy(a_group(approval=Approval.MANUAL))


async def a_client(site: Site, name: str = "pump-1") -> tuple[Client, Ask]:
    await site.register(name)
    code = await site.code(name)
    return by_secret(site, name, code), by_code(name, code)


def check_refused(answer: Answered, fail_info: str) -> None:
    assert answer.kind is BodyType.ERROR
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


async def status_of(site: Site, name: str = "pump-1") -> CertificateStatus:
    (record,) = await site.certificates(name)
    return record.status


async def test_cmp_H9_a_nonce_that_was_used_in_the_transaction_is_refused() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask, sender_nonce=bytes(16))

    again = await client.confirm(sender_nonce=bytes(16))
    fresh = await client.confirm()

    check_refused(again, "badSenderNonce")
    assert fresh.kind is BodyType.PKICONF


async def test_cmp_H9_nonces_are_told_apart_while_a_request_waits() -> None:
    site = await open_site(WAITING)
    client, ask = await a_client(site)
    first, second = bytes(16), bytes(range(16))
    await client.ask(ask, sender_nonce=first)
    client.heard = await client.send(BodyType.POLL_REQ, POLL, sender_nonce=second)

    answers = [
        await client.send(BodyType.POLL_REQ, POLL, sender_nonce=each) for each in (first, second)
    ]
    fresh = await client.send(BodyType.POLL_REQ, POLL)

    for answer in answers:
        check_refused(answer, "badSenderNonce")
    assert fresh.kind is BodyType.POLL_REP


async def test_cmp_H8_security_P9_a_conversation_that_is_sent_again_changes_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    request = client.message(BodyType.IR, content_of(ask))
    client.heard = given = read(await client.post(request))
    digest = x509.load_der_x509_certificate(given.certificate).fingerprint(hashes.SHA256())
    word = client.message(
        BodyType.CERT_CONF, sequence(sequence(tlv(0x04, digest), integer(given.cert_req_id)))
    )
    first = read(await client.post(word))

    again = [read(await client.post(each)) for each in (request, word)]

    assert first.kind is BodyType.PKICONF
    assert again[0].certificate == given.certificate
    check_refused(again[1], "certConfirmed")
    assert await status_of(site) is CertificateStatus.ACTIVE


@pytest.mark.parametrize("by_mac", [True, False])
async def test_security_P9_a_conversation_that_is_replayed_an_hour_later_gets_nothing(
    *, by_mac: bool
) -> None:
    site = await open_site()
    if by_mac:
        client, ask = await a_client(site)
    else:
        held = await site.enroll("pump-1")
        client = by_held(site, held, "operational")
        ask = by_certificate(held, subject=a_name("pump-1"))
    request = client.message(kind_of(ask), content_of(ask))
    client.heard = given = read(await client.post(request))
    digest = x509.load_der_x509_certificate(given.certificate).fingerprint(hashes.SHA256())
    word = client.message(
        BodyType.CERT_CONF, sequence(sequence(tlv(0x04, digest), integer(given.cert_req_id)))
    )
    await client.post(word)
    before = await site.certificates()
    site.clock.advance(timedelta(hours=1))

    again = [read(await client.post(each)) for each in (request, word)]

    check_refused(again[1], "certConfirmed")
    assert again[0].status == 2 or again[0].certificate == given.certificate
    assert await site.certificates() == before


async def test_cmp_H8_a_transaction_is_for_one_request_of_a_credential() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    client = by_held(site, held, "operational")
    await client.ask(by_certificate(held, subject=a_name("pump-1")))

    answer = await client.ask(by_certificate(held, subject=a_name("pump-1"), key=a_new_key()))

    check_refused(answer, "transactionIdInUse")


async def test_cmp_H8_a_request_that_was_sent_before_takes_nobodys_transaction() -> None:
    site = await open_site(a_policy(replace(an_enrollment_profile("operational"), slug="vpn")))
    held = await site.enroll("pump-1")
    ids = {"operational": bytes(16), "vpn": bytes(range(16))}
    clients = {each: by_held(site, held, each) for each in ids}
    asks = {each: by_certificate(held, subject=a_name("pump-1"), key=a_new_key()) for each in ids}
    given = [
        await clients[each].ask(asks[each], transaction_id=ids[each], implicit_confirm=True)
        for each in ids
    ]

    again = await clients["vpn"].ask(asks["vpn"], transaction_id=ids["vpn"])
    taken = await clients["vpn"].ask(asks["vpn"], transaction_id=ids["operational"])

    assert [each.status for each in given] == [0, 0]
    assert again.certificate == given[1].certificate
    check_refused(taken, "transactionIdInUse")


async def test_cmp_H8_a_transaction_waits_for_one_request() -> None:
    site = await open_site(a_policy(a_group(renewal_approval=Approval.MANUAL)))
    _, held = await site.provision("pump-1")
    client = by_held(site, held, "operational")
    waiting = await client.ask(renewal(held))

    other = await client.ask(renewal(held))

    assert waiting.status == 3
    check_refused(other, "transactionIdInUse")


async def test_cmp_H8_of_two_requests_at_once_one_has_the_transaction() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    client = by_held(site, held, "operational")
    messages = [
        client.message(
            BodyType.CR,
            content_of(by_certificate(held, subject=a_name("pump-1"), key=a_new_key())),
        )
        for _ in range(4)
    ]

    answers = [read(each) for each in await asyncio.gather(*map(client.post, messages))]

    assert sorted(each.status for each in answers) == [0, 2, 2, 2]
    assert {frozenset(each.fail_info) for each in answers if each.status} == {
        frozenset({FAIL_INFO["transactionIdInUse"]})
    }


async def test_cmp_H8_two_credentials_may_use_one_transaction_id() -> None:
    site = await open_site()
    one, first = await a_client(site)
    other, second = await a_client(site, "pump-2")
    shared = one.header.transaction_id
    other.header = replace(other.header, transaction_id=shared)
    await one.ask(first)
    await other.ask(second)

    confirmed = [await each.confirm() for each in (other, one)]

    assert [each.kind for each in confirmed] == [BodyType.PKICONF] * 2
    assert await status_of(site, "pump-2") is CertificateStatus.ACTIVE


async def test_cmp_H2_H16_each_message_has_a_version_of_its_own() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    given = await client.ask(ask, pvno=2)
    digest = x509.load_der_x509_certificate(given.certificate).fingerprint(hashes.SHA512())
    content = sequence(sequence(tlv(0x04, digest), integer(0), tlv(0xA0, SHA512)))

    too_new = await client.send(BodyType.CERT_CONF, content, pvno=4)
    too_old = await client.send(BodyType.CERT_CONF, content, pvno=2)
    confirmed = await client.send(BodyType.CERT_CONF, content, pvno=3)

    check_refused(too_new, "unsupportedVersion")
    check_refused(too_old, "badCertId")
    assert confirmed.kind is BodyType.PKICONF
    assert [each.header.pvno for each in (given, too_new, too_old, confirmed)] == [2, 3, 2, 3]


async def test_cmp_E3_an_error_of_the_clients_rejects_what_it_was_given() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)

    ended = [await client.send(BodyType.ERROR, GIVEN_UP) for _ in range(2)]
    late = await client.confirm()

    assert [each.kind for each in ended] == [BodyType.PKICONF] * 2
    check_refused(late, "badRequest")
    assert await status_of(site) is CertificateStatus.REVOKED
    assert (await site.device()).state is DeviceState.ENROLLED


async def test_cmp_E3_an_error_after_the_end_changes_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    await client.confirm()

    answer = await client.send(BodyType.ERROR, GIVEN_UP)

    assert answer.kind is BodyType.PKICONF
    assert await status_of(site) is CertificateStatus.ACTIVE


async def test_cmp_E3_an_error_while_a_request_waits_is_answered() -> None:
    site = await open_site(WAITING)
    client, ask = await a_client(site)
    await client.ask(ask)

    answer = await client.send(BodyType.ERROR, GIVEN_UP)

    assert answer.kind is BodyType.PKICONF
    assert not await site.certificates()


async def test_cmp_E3_an_error_that_follows_nothing_is_refused() -> None:
    site = await open_site()
    client, _ = await a_client(site)

    answer = await client.send(BodyType.ERROR, GIVEN_UP)

    check_refused(answer, "badRecipientNonce")


async def test_security_P11_an_error_of_another_device_rejects_nothing() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    thief, _ = await a_client(site, "pump-2")
    thief.heard = client.heard

    await thief.send(BodyType.ERROR, GIVEN_UP, transaction_id=client.header.transaction_id)

    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (BodyType.CERT_CONF, sequence()),
        (BodyType.ERROR, GIVEN_UP),
        (BodyType.PKICONF, b"\x05\x00"),
        (BodyType.RR, sequence(sequence(sequence()))),
    ],
    ids=lambda each: each.name if isinstance(each, BodyType) else "",
)
async def test_security_P11_what_is_not_protected_changes_nothing(
    kind: BodyType, content: bytes
) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    whole = decode(client.message(kind, content))
    bare = sequence(_without_algorithm(whole.header_octets), whole.body_octets)

    answers = [
        read(await client.post(each))
        for each in (bare, sequence(whole.header_octets, whole.body_octets))
    ]

    for answer in answers:
        assert answer.kind is BodyType.ERROR
        assert answer.fail_info <= {FAIL_INFO["badMessageCheck"], FAIL_INFO["badRequest"]}
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


def _without_algorithm(header: bytes) -> bytes:
    (outer,) = der.split(header)
    return sequence(*(each.whole for each in der.split(outer.content) if each.tag != 0xA1))


async def test_cmp_E5_a_request_that_waited_too_long_is_closed() -> None:
    site = await open_site(WAITING)
    client, ask = await a_client(site)
    await client.ask(ask)
    site.clock.advance(timedelta(days=7, seconds=1))

    answers = [await client.send(BodyType.POLL_REQ, POLL) for _ in range(2)]

    assert [each.fail_info for each in answers] == [{FAIL_INFO["systemUnavail"]}] * 2
    assert not await site.certificates()


async def test_cmp_E5_a_certificate_is_not_waited_for_longer_than_was_said() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    given = await client.ask(ask)
    assert given.header.confirm_wait_time is not None
    site.clock.advance(given.header.confirm_wait_time - site.clock.now() + timedelta(seconds=1))
    await site.confirmations.settle()

    late = await client.confirm()

    check_refused(late, "badRequest")
    assert await status_of(site) is CertificateStatus.REVOKED


@pytest.mark.parametrize(
    "status",
    [
        sequence(integer(0), tlv(0x03, b"\x06\x40")),
        sequence(integer(1)),
        sequence(integer(3)),
    ],
    ids=["accepted with failInfo", "grantedWithMods", "waiting"],
)
async def test_cmp_H17_a_certconf_accepts_or_rejects(status: bytes) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    given = await client.ask(ask)
    digest = x509.load_der_x509_certificate(given.certificate).fingerprint(hashes.SHA256())
    word = sequence(tlv(0x04, digest), integer(0), status)

    answer = await client.send(BodyType.CERT_CONF, sequence(word))

    check_refused(answer, "badRequest")
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


async def test_cmp_H17_a_certconf_speaks_of_one_certificate() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    given = await client.ask(ask)
    digest = x509.load_der_x509_certificate(given.certificate).fingerprint(hashes.SHA256())
    word = sequence(tlv(0x04, digest), integer(0))

    answer = await client.send(BodyType.CERT_CONF, sequence(word, word))

    check_refused(answer, "badRequest")
    assert await status_of(site) is CertificateStatus.PENDING_CONFIRM


@pytest.mark.parametrize(("by_mac", "fail_info"), [(True, "wrongIntegrity"), (False, "badRequest")])
async def test_cmp_P7_the_new_certificate_does_not_confirm_itself(
    *, by_mac: bool, fail_info: str
) -> None:
    site = await open_site()
    if by_mac:
        client, ask = await a_client(site)
    else:
        bootstrap = await site.enroll("pump-1")
        client = by_held(site, bootstrap, "operational")
        ask = by_certificate(bootstrap, subject=a_name("pump-1"))
    given = await client.ask(ask)
    own = by_held(site, Held(der=given.certificate, key=ask.key))
    own.heard = given

    answer = await own.confirm(transaction_id=client.header.transaction_id)

    check_refused(answer, fail_info)
    records = {each.der: each.status for each in await site.certificates()}
    assert records[given.certificate] is CertificateStatus.PENDING_CONFIRM


@pytest.mark.parametrize("kind", [BodyType.POLL_REQ, BodyType.CERT_CONF])
async def test_security_P8_a_transaction_is_continued_by_who_began_it(kind: BodyType) -> None:
    site = await open_site(WAITING if kind is BodyType.POLL_REQ else None)
    client, ask = await a_client(site)
    await client.ask(ask)
    thief, _ = await a_client(site, "pump-2")
    thief.heard = client.heard
    # An empty certConf rejects whatever there is.
    content = POLL if kind is BodyType.POLL_REQ else sequence()

    answer = await thief.send(kind, content, transaction_id=client.header.transaction_id)

    check_refused(answer, "badRequest")
    assert [each.status for each in await site.certificates()] == (
        [] if kind is BodyType.POLL_REQ else [CertificateStatus.PENDING_CONFIRM]
    )


async def test_cmp_P4_what_follows_may_come_without_the_certificate() -> None:
    site = await open_site(a_policy(a_group(renewal_approval=Approval.MANUAL)))
    _, held = await site.provision("pump-1")
    client = by_held(site, held, "operational")
    client.heard = await client.ask(renewal(held))
    client.extra_certs = ()
    client.heard = still = await client.send(BodyType.POLL_REQ, POLL)
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor="cli:other")

    client.heard = given = await client.send(BodyType.POLL_REQ, POLL)
    confirmed = await client.confirm()

    assert still.kind is BodyType.POLL_REP
    assert (given.kind, given.status) == (BodyType.KUP, 0)
    assert confirmed.kind is BodyType.PKICONF


@pytest.mark.parametrize("what", ["another key", "another name", "another senderKID"])
async def test_cmp_P4_what_follows_without_a_certificate_is_of_who_began(what: str) -> None:
    site = await open_site()
    held, other = await site.enroll("pump-1"), await site.enroll("pump-2")
    client = by_held(site, held, "operational")
    await client.ask(by_certificate(held, subject=a_name("pump-1")))
    client.extra_certs = ()
    thief = by_held(site, other)
    if what == "another key":
        client.protection = thief.protection
    sender = thief.header.sender if what == "another name" else client.header.sender
    kid = b"another" if what == "another senderKID" else client.header.sender_kid

    answer = await client.confirm(sender=sender, sender_kid=kid)

    check_refused(answer, "badMessageCheck")
    assert {each.status for each in await site.certificates()} >= {
        CertificateStatus.PENDING_CONFIRM
    }


async def test_cmp_P4_a_first_message_shows_its_certificate() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    client = by_held(site, held, "operational")
    client.extra_certs = ()

    answer = await client.ask(by_certificate(held, subject=a_name("pump-1")))

    check_refused(answer, "badMessageCheck")


async def test_cmp_P4_a_certificate_that_was_revoked_meanwhile_confirms_nothing() -> None:
    site = await open_site()
    held = await site.enroll("pump-1")
    client = by_held(site, held, "operational")
    await client.ask(by_certificate(held, subject=a_name("pump-1")))
    (record,) = [each for each in await site.certificates() if each.der == held.der]
    await site.lifecycle.revoke(record, RevocationReason.SUPERSEDED, actor=OPERATOR)
    client.extra_certs = ()

    answer = await client.confirm()

    check_refused(answer, "certRevoked")
