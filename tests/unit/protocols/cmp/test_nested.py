"""Messages within messages: added protection, and batches, by authorities and by others."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.certificates import CertificateStatus
from enroll.device import DeviceState
from enroll.options import CMPOptions
from protocols import der
from protocols.cmp.decode import decode
from protocols.cmp.messages import BodyType
from protocols.cmp.nested import MAXIMUM_MESSAGES
from protocols.cmp.protection import verify_signature
from protocols.wire import WireResponse
from tests.support.approvals import a_manual_group
from tests.support.builders import a_group
from tests.support.cmp import integer
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
    read,
)
from tests.support.cmp_revocations import DONE, details, refused, statuses
from tests.support.crmf import a_cert_request, vouched
from tests.support.csr import a_key, a_name, sequence, tlv
from tests.support.enrollment import OPERATOR, Held, Site, a_new_key, by_code, renewal
from tests.support.registration_authorities import A_RA, RA_KEY, a_site, appoint, factory

NAMES = ("unit-1", "unit-2", "unit-3")


async def a_line(*parts: Any) -> Site:
    """Open a site with three units that wait to be enrolled."""
    site = await a_site(*parts)
    for each in NAMES:
        await site.register(each)
    return site


def a_station(site: Site, path: str = "") -> Client:
    """Make the client of the registration authority under the anchor."""
    held = Held(der=A_RA.public_bytes(Encoding.DER), key=RA_KEY)
    return replace(by_held(site, held), path=path)


async def an_ir(site: Site, name: str = "unit-1", **changes: object) -> tuple[Client, bytes]:
    """Make a unit's client, and its request."""
    code = await site.code(name)
    client = by_secret(site, name, code)
    return client, client.message(BodyType.IR, content_of(by_code(name, code)), **changes)


async def an_ir_of(site: Site, name: str) -> bytes:
    _, message = await an_ir(site, name)
    return message


def added(station: Client, message: bytes, **changes: object) -> bytes:
    """Add the protection of the station to a message."""
    header = decode(message).header
    ids = {"transaction_id": header.transaction_id, "sender_nonce": header.sender_nonce}
    return station.message(BodyType.NESTED, sequence(message), **{**ids, **changes})


def batch(station: Client, messages: Sequence[bytes], **changes: object) -> bytes:
    return station.message(BodyType.NESTED, sequence(*messages), **changes)


def taken_apart(answer: Answered) -> list[Answered]:
    """Read the answers in the answer to a batch, as pyasn1-modules took them out."""
    assert answer.kind is BodyType.NESTED
    return [
        read(WireResponse(status=200, media_type="application/pkixcmp", body=bytes(each)))
        for each in answer.body
    ]


def check_refused(answer: Answered, fail_info: str) -> None:
    assert (answer.kind, answer.status) == (BodyType.ERROR, 2)
    assert answer.fail_info == {FAIL_INFO[fail_info]}


async def post(station: Client, message: bytes) -> Answered:
    return read(await station.post(message))


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_cmp_N1_under_added_protection_the_answer_is_that_to_the_message(
    own: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await a_line()
    station = by_held(site, await appoint(site, "station")) if own else a_station(site)
    client, message = await an_ir(site, pvno=2)

    client.heard = given = await post(station, added(station, message, pvno=3))
    confirmed = await client.confirm()

    assert (given.kind, given.status) == (BodyType.IP, 0)
    assert (given.header.pvno, given.header.sender_kid) == (2, b"unit-1")
    assert given.header.recip_nonce == decode(message).header.sender_nonce
    assert confirmed.kind is BodyType.PKICONF
    assert (await site.device("unit-1")).state is DeviceState.REGISTERED
    enrolled = (await site.attempts())[1]
    name = "station" if own else "factory"
    assert (enrolled.registration_authority, enrolled.operation) == (name, "ir")


async def test_cmp_N1_a_kur_with_added_protection_is_judged_by_its_own() -> None:
    site = await a_line()
    held = await site.enroll("unit-9")
    client, station = by_held(site, held), a_station(site)
    message = client.message(BodyType.KUR, content_of(renewal(held)))

    client.heard = given = await post(station, added(station, message))
    confirmed = await client.confirm()

    assert (given.kind, given.status, confirmed.kind) == (BodyType.KUP, 0, BodyType.PKICONF)
    assert (await site.record_of(held)).status is CertificateStatus.SUPERSEDED


async def test_cmp_N1_an_rr_with_added_protection_is_judged_by_its_own() -> None:
    site = await a_line()
    held, other = await site.enroll("unit-8"), await site.enroll("unit-9")
    client, station = by_held(site, held), a_station(site)
    own, foreign = details(held.certificate), details(other.certificate)
    message = client.message(BodyType.RR, sequence(own, foreign))

    answer = await post(station, added(station, message))

    assert statuses(answer) == [DONE, refused("badCertId")]
    assert (await site.record_of(held)).status is CertificateStatus.REVOKED
    assert (await site.record_of(other)).status is CertificateStatus.ACTIVE


async def test_cmp_N1_added_protection_helps_no_message_that_proves_nothing() -> None:
    site = await a_line()
    await site.code("unit-1")
    client, station = by_secret(site, "unit-1", "AAAA-AAAA-AAAA-AAAA-AAAA"), a_station(site)
    message = client.message(BodyType.IR, content_of(by_code("unit-1", "")))

    answer = await post(station, added(station, message))

    check_refused(answer, "badMessageCheck")
    assert not await site.certificates("unit-1")


async def test_cmp_N1_added_protection_vouches_for_no_key() -> None:
    site = await a_line()
    client, station = by_secret(site, "unit-1", await site.code("unit-1")), a_station(site)
    request = a_cert_request(a_new_key(), number=0, subject=a_name("unit-1"))

    answer = await post(
        station, added(station, client.message(BodyType.IR, sequence(vouched(request))))
    )

    assert (answer.kind, answer.fail_info) == (BodyType.IP, {FAIL_INFO["notAuthorized"]})


@pytest.mark.parametrize(
    ("changes", "fail_info"),
    [
        ({"sender_nonce": bytes(16)}, "badSenderNonce"),
        ({"transaction_id": bytes(16)}, "badRequest"),
        ({"sender_nonce": None}, "badSenderNonce"),
        ({"transaction_id": None}, "badDataFormat"),
    ],
    ids=["another nonce", "another transactionID", "no nonce", "no transactionID"],
)
async def test_cmp_N1_added_protection_has_the_ids_of_the_message(
    changes: dict[str, object], fail_info: str
) -> None:
    site = await a_line()
    station = a_station(site)

    answer = await post(station, added(station, await an_ir_of(site, "unit-1"), **changes))

    check_refused(answer, fail_info)
    assert not await site.certificates("unit-1")


async def test_cmp_N1_a_nested_message_under_a_mac_is_refused() -> None:
    site = await a_line()
    client, message = await an_ir(site)

    answer = await post(client, added(client, message))

    check_refused(answer, "wrongIntegrity")


async def test_cmp_N1_a_nested_message_whose_signature_fails_is_refused() -> None:
    site = await a_line()
    station = a_station(site)
    message = added(station, await an_ir_of(site, "unit-1"))

    answer = await post(station, message.replace(b"20261125120000Z", b"20261125120001Z", 1))

    check_refused(answer, "badMessageCheck")
    assert not await site.certificates("unit-1")


async def test_cmp_N2_a_batch_is_answered_by_a_batch() -> None:
    site = await a_line()
    station = a_station(site)
    clients, messages = zip(*[await an_ir(site, each) for each in NAMES], strict=True)

    outer = batch(station, messages)
    answer = await post(station, outer)

    assert answer.header.transaction_id == decode(outer).header.transaction_id
    assert answer.header.recip_nonce == decode(outer).header.sender_nonce
    given = taken_apart(answer)
    assert [(each.kind, each.status) for each in given] == [(BodyType.IP, 0)] * 3
    for client, message, each, name in zip(clients, messages, given, NAMES, strict=True):
        sent = decode(message).header
        assert (each.header.transaction_id, each.header.recip_nonce) == (
            sent.transaction_id,
            sent.sender_nonce,
        )
        subject = x509.load_der_x509_certificate(each.certificate).subject
        assert subject.rfc4514_string() == f"CN={name}"
        client.heard = each
    attempts = await site.attempts()
    assert [(each.device_name, each.registration_authority) for each in attempts] == [
        (name, "factory") for name in reversed(NAMES)
    ]
    assert len({each.attempt_id for each in attempts}) == 3

    words = [client.message(BodyType.CERT_CONF, confirmation(client.heard)) for client in clients]
    confirmed = taken_apart(await post(station, batch(station, words, transaction_id=bytes(16))))

    assert [each.kind for each in confirmed] == [BodyType.PKICONF] * 3
    assert {(await site.device(each)).state for each in NAMES} == {DeviceState.REGISTERED}


def confirmation(answer: Answered) -> bytes:
    certificate = x509.load_der_x509_certificate(answer.certificate)
    return sequence(sequence(tlv(0x04, certificate.fingerprint(hashes.SHA256())), integer(0)))


async def test_cmp_N2_a_batch_is_signed_and_no_approval() -> None:
    site = await a_line()
    station = a_station(site)
    stranger = by_secret(site, "unit-2", "AAAA-AAAA-AAAA-AAAA-AAAA")
    wrong = stranger.message(BodyType.IR, content_of(by_code("unit-2", "")))

    answer = await post(station, batch(station, [await an_ir_of(site, "unit-1"), wrong]))

    good, bad = taken_apart(answer)
    verify_signature(decode(answer.octets), a_message_signer().certificate)
    assert (good.kind, good.status) == (BodyType.IP, 0)
    check_refused(bad, "badMessageCheck")
    assert not await site.certificates("unit-2")


async def test_cmp_N2_a_fault_of_one_message_is_told_within() -> None:
    site = await a_line()
    station = a_station(site)
    _, no_nonce = await an_ir(site, "unit-1", sender_nonce=None)
    _, no_transaction = await an_ir(site, "unit-2", transaction_id=None)
    client, _ = await an_ir(site, "unit-3")
    odd = client.message(BodyType.CANN, sequence())

    answers = taken_apart(await post(station, batch(station, [no_nonce, no_transaction, odd])))

    for each, bit in zip(answers, ["badSenderNonce", "badDataFormat", "badRequest"], strict=True):
        check_refused(each, bit)


async def test_cmp_N2_a_message_that_cannot_be_read_is_answered_within() -> None:
    site = await a_line()
    station = a_station(site)
    good, other = await an_ir_of(site, "unit-1"), await an_ir_of(site, "unit-2")
    parts = [each.whole for each in der.split(der.split(other)[0].content)]
    odd = sequence(*parts, sequence())

    given, refused = taken_apart(await post(station, batch(station, [good, odd])))
    alone = await post(station, added(station, other))

    assert (given.kind, given.status) == (BodyType.IP, 0)
    check_refused(refused, "badDataFormat")
    sent = decode(other).header
    assert (refused.header.transaction_id, refused.header.recip_nonce) == (
        sent.transaction_id,
        sent.sender_nonce,
    )
    assert alone.status == 0


async def test_cmp_N2_what_waits_is_polled_for_in_a_batch() -> None:
    site = await a_line(factory(), a_manual_group())
    station = a_station(site)
    client, message = await an_ir(site)
    (client.heard,) = taken_apart(await post(station, batch(station, [message])))
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor=OPERATOR)

    poll = client.message(BodyType.POLL_REQ, sequence(sequence(integer(0))))
    (given,) = taken_apart(await post(station, batch(station, [poll], transaction_id=bytes(16))))

    assert (client.heard.status, given.kind, given.status) == (3, BodyType.IP, 0)


async def test_cmp_N2_a_strict_profile_takes_nested_messages() -> None:
    site = await a_line()
    await site.change_policy(bootstrap={"cmp": CMPOptions(strict=True)})
    station = by_held(site, await appoint(site, "station"))
    now = {"message_time": site.clock.now()}
    client, message = await an_ir(site, "pump-1", **now)

    given = await post(station, added(station, message, recip_nonce=bytes(16), **now))
    (again,) = taken_apart(await post(station, batch(station, [message], **now)))
    by_mac = await post(client, added(client, message, **now))

    assert (given.kind, again.kind) == (BodyType.IP, BodyType.IP)
    assert {given.status, again.status} <= {0, 1}
    check_refused(by_mac, "wrongIntegrity")


async def test_cmp_N2_a_batch_of_one_is_answered_as_a_batch() -> None:
    site = await a_line()
    station = a_station(site)

    answer = await post(station, batch(station, [await an_ir_of(site, "unit-1")]))

    (given,) = taken_apart(answer)
    assert given.status == 0


@pytest.mark.parametrize(
    ("outer", "inner", "fail_info"),
    [
        ({"transaction_id": b"one" * 6}, {"transaction_id": b"one" * 6}, "badRequest"),
        ({}, {"transaction_id": b"two" * 6}, "transactionIdInUse"),
        ({}, {"sender_nonce": b"one" * 6}, "badSenderNonce"),
        ({"sender_nonce": b"one" * 6}, {"sender_nonce": b"one" * 6}, "badSenderNonce"),
    ],
    ids=["the batch's own", "one transactionID", "one nonce", "the batch's nonce"],
)
async def test_cmp_N2_every_message_of_a_batch_has_ids_of_its_own(
    outer: dict[str, object], inner: dict[str, object], fail_info: str
) -> None:
    site = await a_line()
    station = a_station(site)
    _, first = await an_ir(site, "unit-1", **inner)
    _, second = await an_ir(site, "unit-2", **({} if outer else inner))

    answer = await post(station, batch(station, [first, second], **outer))

    check_refused(answer, fail_info)
    for each in NAMES:
        assert not await site.certificates(each)


async def test_cmp_N2_a_batch_has_a_bound() -> None:
    site = await a_line()
    station = a_station(site)
    client, _ = await an_ir(site)
    small = [
        client.message(BodyType.CANN, sequence(), transaction_id=os.urandom(16))
        for _ in range(MAXIMUM_MESSAGES + 1)
    ]

    answers = taken_apart(await post(station, batch(station, small[:-1])))
    too_many = await post(station, batch(station, small))

    assert len(answers) == MAXIMUM_MESSAGES
    check_refused(too_many, "badDataFormat")


async def test_cmp_N2_wrong_secrets_in_a_batch_slow_its_sender_down() -> None:
    site = await a_line()
    station = a_station(site)
    guesses = [
        by_secret(site, "unit-1", f"AAAA-AAAA-AAAA-AAAA-AAA{each}").message(
            BodyType.IR, content_of(by_code("unit-1", ""))
        )
        for each in "ABCDE"
    ]
    endpoint = await an_endpoint(site, burst=3)
    wire = replace(a_wire(batch(station, guesses)), received_at=site.clock.now())

    answers = taken_apart(read(await endpoint(wire)))

    assert [each.fail_info for each in answers] == [
        {FAIL_INFO["badMessageCheck"]},
        {FAIL_INFO["badMessageCheck"]},
        {FAIL_INFO["badMessageCheck"]},
        {FAIL_INFO["systemUnavail"]},
        {FAIL_INFO["systemUnavail"]},
    ]
    assert (await endpoint(wire)).status == 429


@pytest.mark.parametrize("path", ["nested", "p/bootstrap/nested"])
async def test_cmp_T5_the_label_nested_is_that_of_a_batch(path: str) -> None:
    site = await a_line()
    station = a_station(site, path)

    answer = await post(station, batch(station, [await an_ir_of(site, "unit-1")]))

    (given,) = taken_apart(answer)
    assert given.status == 0


async def test_cmp_T5_added_protection_goes_to_the_address_of_the_operation() -> None:
    site = await a_line()
    right, wrong = a_station(site, "initialization"), a_station(site, "certification")
    message = await an_ir_of(site, "unit-1")

    refused = await post(wrong, added(wrong, message))
    alone = await post(right, batch(right, [message]))
    given = await post(right, added(right, message))

    check_refused(refused, "badRequest")
    check_refused(alone, "badRequest")
    assert (given.kind, given.status) == (BodyType.IP, 0)


@pytest.mark.parametrize("many", [False, True], ids=["added protection", "batch"])
async def test_cmp_N5_a_device_brings_no_messages_of_others(
    many: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await a_line()
    device = by_held(site, await site.enroll("unit-9"))
    message = await an_ir_of(site, "unit-1")

    answer = await post(device, batch(device, [message]) if many else added(device, message))

    check_refused(answer, "notAuthorized")
    assert not await site.certificates("unit-1")
    attempt = (await site.attempts())[0]
    assert (attempt.operation, attempt.finding) == ("nested", "relay_not_authorized")
    assert attempt.device_name == "unit-9"


@pytest.mark.parametrize("blocked", [True, False], ids=["blocked", "of another profile"])
async def test_cmp_N5_an_authority_that_may_not_brings_no_messages(
    blocked: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    conditions = {"blocked": True} if blocked else {"profiles": ("operational",)}
    site = await a_line(factory(**conditions))
    station = a_station(site)

    answer = await post(station, batch(station, [await an_ir_of(site, "unit-1")]))

    check_refused(answer, "signerNotTrusted" if blocked else "notAuthorized")
    assert not await site.certificates("unit-1")


async def test_cmp_N5_an_authority_that_was_appointed_anew_counts_by_its_new_certificate() -> None:
    site = await a_line(a_group())
    old = by_held(site, await appoint(site))
    await appoint(site, key=a_key("p-256", 8))

    answer = await post(old, batch(old, [await an_ir_of(site, "unit-1")]))

    check_refused(answer, "notAuthorized")


async def test_cmp_N6_a_batch_holds_messages_with_added_protection() -> None:
    site = await a_line()
    station, other = a_station(site), by_held(site, await appoint(site, "station"))
    messages = [added(other, await an_ir_of(site, each)) for each in NAMES[:2]]

    answer = await post(station, batch(station, messages))

    given = taken_apart(answer)
    assert [(each.kind, each.status) for each in given] == [(BodyType.IP, 0)] * 2
    assert (await site.attempts())[0].registration_authority == "station"


async def test_cmp_N6_messages_lie_no_deeper_in_one_another() -> None:
    site = await a_line()
    station = a_station(site)
    message = await an_ir_of(site, "unit-1")
    deep = added(station, added(station, message))

    for each in (batch(station, [deep]), added(station, deep)):
        check_refused(await post(station, each), "badRequest")
    assert not await site.certificates("unit-1")
    taken = await post(station, deep)
    assert (taken.kind, taken.status) == (BodyType.IP, 0)


async def test_cmp_N6_the_bound_counts_at_every_depth() -> None:
    site = await a_line()
    station = a_station(site)
    client, _ = await an_ir(site)
    small = [
        client.message(BodyType.CANN, sequence(), transaction_id=os.urandom(16)) for _ in range(22)
    ]
    halves = [
        batch(station, each, transaction_id=os.urandom(16)) for each in (small[:11], small[11:])
    ]

    answer = await post(station, batch(station, halves))

    check_refused(answer, "badRequest")


async def test_cmp_N4_a_batch_shows_the_originals_in_its_order() -> None:
    site = await a_line()
    station = a_station(site)
    messages = [await an_ir_of(site, each) for each in NAMES]

    turned = await post(station, batch(station, messages, originals=sequence(*messages[::-1])))
    short = await post(station, batch(station, messages, originals=sequence(*messages[:2])))
    right = await post(station, batch(station, messages, originals=sequence(*messages)))

    check_refused(turned, "badDataFormat")
    check_refused(short, "badDataFormat")
    assert len(taken_apart(right)) == 3


@pytest.mark.parametrize("content", [sequence(), b"\x05\x00", sequence(b"\x05\x00")])
async def test_cmp_N2_what_holds_no_messages_is_refused(content: bytes) -> None:
    site = await a_line()
    station = a_station(site)

    check_refused(await station.send(BodyType.NESTED, content), "badDataFormat")
