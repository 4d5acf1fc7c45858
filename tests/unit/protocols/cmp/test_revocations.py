"""rr and rp in process: who may stop which certificate, and what everybody else is told."""

from asyncio import gather
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import DeviceState
from enroll.events import EventName, Outcome
from enroll.group_secrets import GroupSecrets
from enroll.options import CMPOptions
from enroll.profiles import OnDisable
from protocols import der
from protocols.cmp.messages import BodyType
from tests.support.arrangements import disable
from tests.support.builders import (
    PASSCODE_REFERENCE,
    a_group,
    a_policy,
    an_enrollment_profile,
)
from tests.support.cmp import a_signer, by_signature
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    by_held,
    by_secret,
    content_of,
    read,
)
from tests.support.cmp_revocations import (
    DONE,
    HOLD,
    REMOVE_FROM_CRL,
    Owner,
    details,
    refused,
    statuses,
)
from tests.support.csr import a_name, sequence, tlv
from tests.support.enrollment import (
    OPERATOR,
    Held,
    Site,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.passcodes import a_passcode
from tests.support.registration_authorities import A_RA, RA_KEY, a_site, appoint, factory

ACTIVE, ON_HOLD, REVOKED = (
    CertificateStatus.ACTIVE,
    CertificateStatus.ON_HOLD,
    CertificateStatus.REVOKED,
)
REASONS = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    9: "privilegeWithdrawn",
    10: "aACompromise",
}
DAY = timedelta(days=1)


def check_error(answer: Answered, fail_info: str) -> None:
    assert answer.kind is BodyType.ERROR
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


async def status_of(site: Site, held: Held) -> CertificateStatus:
    return (await site.record_of(held)).status


async def a_provisioned(name: str = "pump-1", **policy: Any) -> tuple[Site, Held, Held]:
    site = await open_site(a_policy(a_group(**policy)))
    bootstrap, operational = await site.provision(name)
    return site, bootstrap, operational


async def test_lifecycle_T24_a_device_revokes_its_certificate_with_its_key() -> None:
    site, _, held = await a_provisioned()

    answer = await Owner(site=site, held=held).stop(held)

    assert statuses(answer) == [DONE]
    record = await site.record_of(held)
    assert (record.status, record.revocation_reason) == (REVOKED, RevocationReason.UNSPECIFIED)
    device = await site.device()
    assert device.state is DeviceState.REGISTERED
    events = {each.name: each for each in await site.events()}
    assert events[EventName.CERTIFICATE_REVOKED].actor == f"device:{device.device_id}"
    assert EventName.DEVICE_DEGRADED in events
    attempt = (await site.attempts())[0]
    assert (attempt.outcome, attempt.operation) == (Outcome.REVOKED, "rr")
    assert attempt.serial_number == record.serial_number
    assert (await site.be_refused(renewal(held))).reason == "certificate_revoked"


@pytest.mark.parametrize(("number", "name"), REASONS.items())
async def test_a_reason_is_kept_as_rfc_5280_names_it(number: int, name: str) -> None:
    site, _, held = await a_provisioned()

    answer = await Owner(site=site, held=held).stop(held, number)

    assert statuses(answer) == [DONE]
    reason = (await site.record_of(held)).revocation_reason
    assert reason is not None
    assert reason.value == name


async def test_security_C5_a_key_that_its_owner_calls_compromised_is_nobodys() -> None:
    site, _, held = await a_provisioned()

    await Owner(site=site, held=held).stop(held, 1)

    refusal = await site.be_refused(by_code("pump-1", await site.code(), key=held.key))
    assert refusal.finding == "key_compromised"


async def test_a_certificate_of_the_same_device_holds_and_releases_another() -> None:
    site, bootstrap, held = await a_provisioned()
    owner = Owner(site=site, held=bootstrap)

    on_hold = statuses(await owner.stop(held, HOLD))
    while_held = await status_of(site, held)
    twice = statuses(await owner.stop(held, HOLD))
    by_itself = statuses(await Owner(site=site, held=held).stop(held, REMOVE_FROM_CRL))
    released = statuses(await owner.stop(held, REMOVE_FROM_CRL))

    assert (on_hold, while_held, released) == ([DONE], ON_HOLD, [DONE])
    assert twice == by_itself == [refused("certRevoked")]
    assert await status_of(site, held) is ACTIVE
    await site.obtain(renewal(held))


async def test_what_is_on_hold_is_revoked_for_good() -> None:
    site, bootstrap, held = await a_provisioned()
    owner = Owner(site=site, held=bootstrap)
    await owner.stop(held, HOLD)

    revoked = statuses(await owner.stop(held, 4))
    released = statuses(await owner.stop(held, REMOVE_FROM_CRL))

    assert (revoked, released) == ([DONE], [refused("certRevoked")])


async def test_what_is_not_on_hold_is_not_released() -> None:
    site, bootstrap, held = await a_provisioned()

    answer = await Owner(site=site, held=bootstrap).stop(held, REMOVE_FROM_CRL)

    assert statuses(answer) == [refused("badRequest")]


async def test_what_a_person_holds_a_person_releases() -> None:
    site, bootstrap, held = await a_provisioned()
    await site.lifecycle.hold(await site.record_of(held), actor=OPERATOR)

    answer = await Owner(site=site, held=bootstrap).stop(held, REMOVE_FROM_CRL)

    assert statuses(answer) == [refused("notAuthorized")]
    assert await status_of(site, held) is ON_HOLD


async def test_the_same_request_again_is_answered_alike_and_done_once() -> None:
    site, bootstrap, held = await a_provisioned()
    client = by_held(site, held)
    other = Owner(site=site, held=bootstrap).client()
    revoke = client.message(BodyType.RR, sequence(details(held.certificate, 4)))
    hold = other.message(BodyType.RR, sequence(details(bootstrap.certificate, HOLD)))

    answers = [statuses(read(await client.post(each))) for each in (revoke, revoke, hold, hold)]

    assert answers == [[DONE]] * 4
    names = [each.name for each in await site.events()]
    assert names.count(EventName.CERTIFICATE_REVOKED) == 1
    assert names.count(EventName.CERTIFICATE_HELD) == 1


@pytest.mark.parametrize("first", [HOLD, REMOVE_FROM_CRL])
async def test_what_was_asked_and_undone_is_not_done_when_it_is_sent_again(first: int) -> None:
    site, bootstrap, held = await a_provisioned()
    owner = Owner(site=site, held=bootstrap)
    if first == REMOVE_FROM_CRL:
        await owner.stop(held, HOLD)
    client = owner.client()
    heard = client.message(BodyType.RR, sequence(details(held.certificate, first)))
    assert statuses(read(await client.post(heard))) == [DONE]
    await owner.stop(held, HOLD if first == REMOVE_FROM_CRL else REMOVE_FROM_CRL)
    before = await status_of(site, held)

    answer = read(await client.post(heard))

    assert statuses(answer) == [refused("transactionIdInUse")]
    assert await status_of(site, held) is before


@pytest.mark.parametrize("reason", [HOLD, REMOVE_FROM_CRL])
async def test_what_can_be_undone_is_asked_now_and_not_at_another_time(reason: int) -> None:
    site, bootstrap, held = await a_provisioned()
    owner = Owner(site=site, held=bootstrap)
    if reason == REMOVE_FROM_CRL:
        await owner.stop(held, HOLD)
    before = await status_of(site, held)

    late = await owner.ask(
        details(held.certificate, reason), message_time=site.clock.now() - timedelta(minutes=6)
    )
    never = await owner.ask(details(held.certificate, reason), message_time=None)
    for_good = await owner.ask(details(bootstrap.certificate), message_time=None)

    assert statuses(late) == statuses(never) == [refused("badTime")]
    assert await status_of(site, held) is before
    assert statuses(for_good) == [DONE]


async def test_what_is_revoked_is_not_revoked_again() -> None:
    site, bootstrap, held = await a_provisioned()
    await Owner(site=site, held=held).stop(held)

    by_itself = await Owner(site=site, held=held).stop(held)
    by_another = await Owner(site=site, held=bootstrap).stop(held, 1)

    assert statuses(by_itself) == statuses(by_another) == [refused("certRevoked")]
    assert (await site.attempts())[0].outcome is Outcome.DENIED


async def test_what_has_expired_is_not_revoked() -> None:
    site, bootstrap, held = await a_provisioned()
    site.clock.advance(timedelta(days=91))

    by_itself = await Owner(site=site, held=held).stop(held)
    await site.change_policy(bootstrap={"expired_grace": timedelta(days=400)})
    of_another = await Owner(site=site, held=held).stop(bootstrap)

    assert statuses(by_itself) == [refused("certRevoked")]
    check_error(of_another, "signerNotTrusted")


async def test_several_certificates_are_judged_one_by_one_in_their_order() -> None:
    site, bootstrap, held = await a_provisioned()
    certificate = held.certificate
    owner = Owner(site=site, held=bootstrap)

    answer = await owner.ask(
        details(certificate, serial_number=0x7777),
        details(None),
        details(certificate, 1, 4),
        details(certificate, 7),
        details(certificate, tlv(0x02, b"\1")),
        details(certificate, b"\x0a"),
        details(certificate, b"\x0a\x00"),
        details(certificate, b"\x0a\x02\x00\x01"),
        details(certificate, b""),
        details(certificate, 4),
        details(certificate, 4),
        details(bootstrap.certificate, 5),
    )

    assert statuses(answer) == [
        refused("badCertId"),
        refused("addInfoNotAvailable"),
        refused("badRequest"),
        *[refused("badDataFormat")] * 6,
        DONE,
        refused("badRequest"),
        DONE,
    ]
    assert {each.status for each in await site.certificates()} == {REVOKED}
    assert (await site.attempts())[0].outcome is Outcome.REVOKED


async def test_security_E4_another_devices_certificate_is_told_like_one_that_is_not_there() -> None:
    site, _, held = await a_provisioned()
    other = await site.enroll("pump-2")
    owner = Owner(site=site, held=held)

    of_another = await owner.stop(other)
    of_nobody = await owner.ask(details(other.certificate, serial_number=0x7777))
    of_another_issuer = await owner.ask(
        details(a_signer().certificate, serial_number=held.certificate.serial_number)
    )

    assert statuses(of_another) == statuses(of_nobody) == [refused("badCertId")]
    assert statuses(of_another_issuer) == [refused("badCertId")]
    assert await status_of(site, other) is ACTIVE
    texts = [
        str(each.body["status"][0]["statusString"][0]).partition("Correlation")[0]
        for each in (of_another, of_nobody)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("oid", [b"\x06\x01\x01", b"\x06\x02\x80\x01"])
async def test_cmp_O6_an_extension_that_the_certificate_lacks_is_not_so(oid: bytes) -> None:
    site, _, held = await a_provisioned()
    extension = tlv(0xA9, sequence(oid, tlv(0x04, b"x")))

    answer = await Owner(site=site, held=held).ask(details(held.certificate, more=extension))

    assert statuses(answer) == [refused("badCertId")]


async def test_cmp_O6_all_of_a_certificate_may_be_said() -> None:
    site, _, held = await a_provisioned()
    (signed,) = der.split(held.certificate.tbs_certificate_bytes)
    algorithm = der.split(signed.content)[2]
    names = tlv(0xA5, held.certificate.subject.public_bytes())
    number = held.certificate.serial_number
    octets = number.to_bytes(number.bit_length() // 8 + 1)
    issuer = tlv(0xA3, held.certificate.issuer.public_bytes())
    head = tlv(0x80, b"\x02") + tlv(0x81, octets)

    of_another = sequence(sequence(head, tlv(0xA2, b"\x06\x03\x2b\x65\x70"), issuer, names))
    unique = sequence(sequence(head, issuer, names, tlv(0x87, b"\0\1")))
    right = sequence(sequence(head, tlv(0xA2, algorithm.content), issuer, names))
    answer = await Owner(site=site, held=held).ask(of_another, unique, right)

    assert statuses(answer) == [refused("badCertId"), refused("badCertId"), DONE]


@pytest.mark.parametrize("field", ["subject", "publicKey", "validity", "extension"])
async def test_cmp_O6_what_else_the_template_says_must_be_so(field: str) -> None:
    site, bootstrap, held = await a_provisioned()
    other = await site.enroll("pump-2")
    owner = Owner(site=site, held=held)

    wrong = await owner.ask(details(held.certificate, more=said(other.certificate, field)))
    right = await owner.ask(details(held.certificate, more=said(held.certificate, field)))

    assert (statuses(wrong), statuses(right)) == ([refused("badCertId")], [DONE])
    assert await status_of(site, bootstrap) is ACTIVE


def said(certificate: x509.Certificate, field: str) -> bytes:
    """Word one field of a template as it stands in a certificate."""
    if field == "subject":
        return tlv(0xA5, certificate.subject.public_bytes())
    if field == "publicKey":
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return b"\xa6" + spki[1:]
    if field == "validity":
        ends = certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
        return tlv(0xA4, tlv(0xA1, tlv(0x17, ends)))
    value = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    extension = sequence(bytes.fromhex("0603551d0e"), tlv(0x04, value.public_bytes()))
    return tlv(0xA9, extension)


async def test_a_superseded_certificate_revokes_itself_and_nothing_else() -> None:
    site, first, _ = await a_provisioned()
    second = await site.obtain(renewal(first))
    await site.obtain(renewal(second))
    owner = Owner(site=site, held=first)

    of_another = await owner.stop(second)
    of_itself = await owner.stop(first)

    assert (statuses(of_another), statuses(of_itself)) == ([refused("badCertId")], [DONE])


async def test_a_certificate_that_awaits_certconf_stops_nothing() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    ask = by_code("pump-1", code)
    given = await by_secret(site, "pump-1", code).send(BodyType.IR, content_of(ask))
    held = Held(der=given.certificate, key=ask.key)

    answer = await Owner(site=site, held=held).stop(held)

    check_error(answer, "notAuthorized")
    assert await status_of(site, held) is CertificateStatus.PENDING_CONFIRM


async def test_of_two_requests_at_once_one_is_done() -> None:
    site, bootstrap, held = await a_provisioned()
    asks = [Owner(site=site, held=each).stop(held, 4) for each in (bootstrap, held, bootstrap)]

    answers = [statuses(each) for each in await gather(*asks)]

    assert sorted(answers) == [[DONE], [refused("certRevoked")], [refused("certRevoked")]]
    names = [each.name for each in await site.events()]
    assert names.count(EventName.CERTIFICATE_REVOKED) == 1


async def test_a_revoked_certificate_asks_for_nothing_else() -> None:
    site, bootstrap, held = await a_provisioned()
    await Owner(site=site, held=held).stop(held)

    answer = await Owner(site=site, held=held).stop(bootstrap)

    check_error(answer, "certRevoked")
    assert await status_of(site, bootstrap) is ACTIVE


async def test_security_R1_who_is_not_known_here_learns_nothing() -> None:
    site, _, held = await a_provisioned()
    stranger = a_signer()

    answers = [
        read(
            await by_held(site, held).post(
                by_signature(BodyType.RR, sequence(content), signer=stranger)
            )
        )
        for content in (details(held.certificate), details(None), details(held.certificate, 1, 4))
    ]

    for answer in answers:
        check_error(answer, "signerNotTrusted")
    assert await status_of(site, held) is ACTIVE


@pytest.mark.parametrize("on_disable", [OnDisable.HOLD, OnDisable.NONE])
async def test_lifecycle_T15_a_disabled_device_stops_nothing(on_disable: OnDisable) -> None:
    site, bootstrap, held = await a_provisioned(on_disable=on_disable)
    await disable(site)

    answer = await Owner(site=site, held=bootstrap).stop(held)

    check_error(answer, "certRevoked" if on_disable is OnDisable.HOLD else "notAuthorized")
    assert await status_of(site, held) is (ON_HOLD if on_disable is OnDisable.HOLD else ACTIVE)


async def test_cmp_H8_the_transaction_of_a_certificate_is_not_that_of_its_revocation() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    ask = by_code("pump-1", code)
    client = by_secret(site, "pump-1", code)
    given = await client.send(BodyType.IR, content_of(ask), implicit_confirm=True)
    held = Held(der=given.certificate, key=ask.key)

    answer = await Owner(site=site, held=held).ask(
        details(held.certificate), transaction_id=client.header.transaction_id
    )

    check_error(answer, "transactionIdInUse")
    assert await status_of(site, held) is ACTIVE


@pytest.mark.parametrize("is_right", [True, False])
async def test_cmp_P12_under_a_mac_nothing_is_revoked_right_or_wrong(
    is_right: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site, held, code = await an_enrolled()
    client = by_secret(site, "pump-1", code if is_right else "AAAA-BBBB-CCCC-DDDD-EEEE")

    answer = await client.send(BodyType.RR, sequence(details(held.certificate)))

    check_error(answer, "wrongIntegrity" if is_right else "badMessageCheck")
    assert await status_of(site, held) is ACTIVE


async def test_cmp_P12_a_profile_may_let_a_code_revoke_what_it_got_and_no_more() -> None:
    site, held, code = await an_enrolled(mac_revocation=True)
    other = await site.obtain(by_certificate(held, subject=a_name("pump-1")))
    client = by_secret(site, "pump-1", code)

    of_another = await client.send(BodyType.RR, sequence(details(other.certificate)))
    of_its_own = await client.send(BodyType.RR, sequence(details(held.certificate, 4)))

    assert (statuses(of_another), statuses(of_its_own)) == ([refused("badCertId")], [DONE])
    assert of_its_own.header.sender_kid == b"pump-1"
    assert await status_of(site, held) is REVOKED


@pytest.mark.parametrize(
    ("other", "own", "expected"),
    [(True, False, refused("badCertId")), (True, True, DONE)],
)
async def test_cmp_P12_the_profile_of_a_certificate_lets_a_code_revoke_it(
    other: bool,  # noqa: FBT001 - a column of the table above
    own: bool,  # noqa: FBT001 - a column of the table above
    expected: tuple[int, frozenset[int]],
) -> None:
    another = an_enrollment_profile("other", cmp=CMPOptions(mac_revocation=other))
    site = await open_site(a_policy(another))
    await site.change_policy(bootstrap={"cmp": CMPOptions(mac_revocation=own)})
    await site.register()
    code = await site.code()
    held = await site.obtain(by_code("pump-1", code))
    client = by_secret(site, "pump-1", code, "other")

    answer = await client.send(BodyType.RR, sequence(details(held.certificate)))

    assert statuses(answer) == [expected]


@pytest.mark.parametrize("cause", ["wrong", "unknown", "late", "the group's", "a passcode"])
async def test_cmp_P12_another_secret_revokes_nothing(cause: str) -> None:
    site, held, code = await an_enrolled(mac_revocation=True)
    name = "pump-1"
    if cause == "wrong":
        code = "AAAA-BBBB-CCCC-DDDD-EEEE"
    elif cause == "unknown":
        name = "nobody"
    elif cause == "late":
        site.clock.advance(8 * DAY)
    elif cause == "a passcode":
        name, code = PASSCODE_REFERENCE, (await a_passcode(site)).clear
    else:
        secrets = GroupSecrets(site.registry, site.vault, site.clock, site.randomness)
        group_id = (await site.device()).group_id
        code = (await secrets.add(group_id, actor=OPERATOR)).clear

    answer = await by_secret(site, name, code).send(
        BodyType.RR, sequence(details(held.certificate))
    )

    check_error(answer, "badMessageCheck")
    assert await status_of(site, held) is ACTIVE


async def an_enrolled(**options: Any) -> tuple[Site, Held, str]:
    """Give a site whose bootstrap profile has options of CMP, with a device and its code."""
    site = await open_site()
    await site.change_policy(bootstrap={"cmp": CMPOptions(**options)})
    await site.register()
    code = await site.code()
    return site, await site.obtain(by_code("pump-1", code)), code


async def test_a_strict_profile_revokes_one_certificate_for_one_reason() -> None:
    site, held, _ = await an_enrolled(strict=True)
    owner = Owner(site=site, held=held)
    one = details(held.certificate, 0)

    two = await owner.ask(one, one)
    without = await owner.ask(details(held.certificate))
    right = await owner.ask(one)

    check_error(two, "badRequest")
    assert statuses(without) == [refused("badDataFormat")]
    assert statuses(right) == [DONE]


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_an_authority_stops_what_its_devices_have(
    own: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await a_site()
    held = await site.obtain(by_code("pump-1", await site.code()))
    station = Owner(site=site, held=await a_station(site, own=own), profile="bootstrap")

    on_hold = statuses(await station.stop(held, HOLD))
    released = statuses(await station.stop(held, REMOVE_FROM_CRL))
    revoked = statuses(await station.stop(held, 9))

    assert on_hold == released == revoked == [DONE]
    last = [each for each in await site.events() if each.name is EventName.CERTIFICATE_REVOKED]
    assert last[0].actor == f"ra:{fingerprint(station.held)}"
    attempt = (await site.attempts())[0]
    assert attempt.device_name == "pump-1"
    assert attempt.registration_authority is not None


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
@pytest.mark.parametrize("limit", [{"groups": ("line-2",)}, {"profiles": ("bootstrap",)}])
async def test_an_authority_stops_only_what_it_may_enroll(
    own: bool,  # noqa: FBT001 - a column of the table above
    limit: dict[str, Any],
) -> None:
    site = await a_site(factory(**limit), a_group("line-2"))
    bootstrap = await site.obtain(by_code("pump-1", await site.code()))
    held = await site.obtain(by_certificate(bootstrap, subject=a_name("pump-1")))
    key = await appoint(site, "station", **limit) if own else foreign()

    answer = await Owner(site=site, held=key).stop(held)

    assert statuses(answer) == [refused("badCertId")]
    assert await status_of(site, held) is ACTIVE


async def test_an_authority_stops_nothing_where_none_is_taken() -> None:
    site = await a_site(initial_credentials=frozenset({"one_time_code"}))
    held = await site.obtain(by_code("pump-1", await site.code()))

    own = await Owner(site=site, held=await appoint(site, "station")).stop(held)
    under_an_anchor = await Owner(site=site, held=foreign()).stop(held)

    check_error(own, "notAuthorized")
    check_error(under_an_anchor, "notAuthorized")
    assert await status_of(site, held) is ACTIVE


async def test_a_device_does_not_release_what_an_authority_held() -> None:
    site = await a_site()
    bootstrap = await site.obtain(by_code("pump-1", await site.code()))
    held = await site.obtain(by_certificate(bootstrap, subject=a_name("pump-1")))
    await Owner(site=site, held=await a_station(site, own=True)).stop(held, HOLD)

    answer = await Owner(site=site, held=bootstrap).stop(held, REMOVE_FROM_CRL)

    assert statuses(answer) == [refused("notAuthorized")]


async def a_station(site: Site, *, own: bool) -> Held:
    return await appoint(site, "station") if own else foreign()


def foreign() -> Held:
    return Held(der=A_RA.public_bytes(Encoding.DER), key=RA_KEY)


def fingerprint(held: Held) -> str:
    return held.certificate.fingerprint(hashes.SHA256()).hex()
