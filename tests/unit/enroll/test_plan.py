from datetime import datetime, timedelta

import pytest
from cryptography import x509

from ca.ceremony import ISSUING
from enroll.failures import AuthorityUnavailable, FailureReason
from enroll.policy.clock import BUILT_AT, TOLERANCE, check_clock
from enroll.policy.keys import algorithm_of
from enroll.profiles import CertificateProfile, KeyUsageBit
from enroll.request import CertificateRequest
from enroll.stages.plan import key_usage_for
from protocols import pkcs10
from tests.support.builders import a_certificate_profile, a_policy, an_enrollment_profile
from tests.support.csr import a_csr, a_key, some_key_usage
from tests.support.enrollment import an_issuer, by_code, open_site, renewal
from tests.support.fakes import START, FixedClock
from tests.support.interruptions import InterruptedRegistry, the_database_is_gone

SIGNS, ENCIPHERS, AGREES = (
    KeyUsageBit.DIGITAL_SIGNATURE,
    KeyUsageBit.KEY_ENCIPHERMENT,
    KeyUsageBit.KEY_AGREEMENT,
)


def a_wish(kind: str, **usages: bool) -> CertificateRequest:
    extensions = (some_key_usage(**usages),) if usages else ()
    return pkcs10.decode(a_csr(a_key(kind), extensions=extensions))


def granted_usage(wish: CertificateRequest, profile: CertificateProfile) -> frozenset[KeyUsageBit]:
    assert wish.public_key is not None
    algorithm = algorithm_of(wish.public_key)
    assert algorithm is not None
    return key_usage_for(algorithm, wish.key_usage, profile)


def test_security_K1_a_clock_before_this_version_was_made_is_not_believed() -> None:
    with pytest.raises(AuthorityUnavailable) as refusal:
        check_clock(BUILT_AT - timedelta(seconds=1), None)

    assert refusal.value.finding == "clock_wrong"
    assert refusal.value.retry_after > 0


def test_security_K1_a_clock_that_went_back_is_not_believed() -> None:
    with pytest.raises(AuthorityUnavailable) as refusal:
        check_clock(START - TOLERANCE - timedelta(microseconds=1), START)

    assert refusal.value.finding == "clock_wrong"


@pytest.mark.parametrize("last", [None, START, START + TOLERANCE, START - timedelta(days=400)])
def test_security_K1_a_clock_that_went_on_is_believed(last: datetime | None) -> None:
    check_clock(START, last)


async def test_security_K1_nothing_is_issued_before_the_build() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    site.clock.advance(BUILT_AT - START - timedelta(days=1))

    refusal = await site.be_refused(by_code("pump-1", code))

    assert (refusal.reason, refusal.finding) == (FailureReason.CA_UNAVAILABLE, "clock_wrong")
    assert refusal.retry_after == 60
    assert await site.certificates() == []


async def test_security_K1_a_restart_does_not_make_a_wrong_clock_right() -> None:
    site = await open_site()
    held = await site.enroll()
    site.clock.advance(timedelta(seconds=-61))
    restarted = site.new_pipeline()

    refused = await site.send(renewal(held), pipeline=restarted)
    site.clock.advance(timedelta(seconds=1))
    issued = await site.send(renewal(held), pipeline=restarted)

    assert refused != issued
    assert [each.finding for each in await site.attempts()][:2] == [None, "clock_wrong"]


async def test_security_K1_what_was_not_recorded_does_not_move_time_on() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    held = await site.enroll()
    site.clock.advance(timedelta(days=10))
    registry.interruptions.append(the_database_is_gone)
    refusal = await site.be_refused(renewal(held))
    site.clock.advance(timedelta(days=-10))

    issued = await site.obtain(renewal(held))

    assert refusal.finding == "registry_unavailable"
    assert issued.certificate.not_valid_before_utc == START - timedelta(minutes=5)


async def test_security_K1_validity_begins_five_minutes_ago_in_whole_seconds() -> None:
    site = await open_site(clock=FixedClock(START + timedelta(microseconds=999_999)))

    held = await site.enroll()

    assert held.certificate.not_valid_before_utc == START - timedelta(minutes=5)
    assert held.certificate.not_valid_after_utc == START + timedelta(days=365)


async def test_security_K1_no_certificate_outlives_its_issuer() -> None:
    forever = a_certificate_profile(validity=timedelta(days=365 * 30))
    site = await open_site(a_policy(forever))

    held = await site.enroll()

    end = an_issuer().certificate.not_valid_after_utc
    assert held.certificate.not_valid_after_utc == end
    assert (await site.record_of(held)).not_valid_after == end


async def test_an_expired_issuer_issues_nothing() -> None:
    site = await open_site()
    await site.register()
    end = an_issuer().certificate.not_valid_after_utc
    site.clock.advance(end - START)
    code = await site.code()

    refusal = await site.be_refused(by_code("pump-1", code))

    assert refusal.reason is FailureReason.CA_UNAVAILABLE
    assert ISSUING in refusal.detail


async def test_names_that_cannot_be_are_refused_as_a_template() -> None:
    site = await open_site(
        a_policy(a_certificate_profile(subject=(("C", "{attribute.country}"), ("CN", "{name}"))))
    )
    await site.register(attributes={"country": "Germany"})

    refusal = await site.be_refused(by_code("pump-1", await site.code()))

    assert refusal.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.field == "subject"
    assert (await site.attempts())[0].trace[-1].passed is False


async def test_alternative_names_that_cannot_be_are_refused_as_a_template() -> None:
    template = a_certificate_profile(subject_alternative_names=(("ip", "{attribute.address}"),))
    site = await open_site(a_policy(template))
    await site.register(attributes={"address": "plant 7"})

    refusal = await site.be_refused(by_code("pump-1", await site.code()))

    assert refusal.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.field == "subjectAltName"


async def test_every_sort_of_name_comes_from_the_registry() -> None:
    template = a_certificate_profile(
        subject=(
            ("C", "DE"),
            ("OU", "{attribute.site} and {attribute.line}"),
            ("CN", "{name}"),
            ("serialNumber", "{serial}"),
            ("UID", "{attribute.unknown}"),
        ),
        subject_alternative_names=(
            ("dns", "{name}.example"),
            ("ip", "{attribute.address}"),
            ("email", "{name}@example.net"),
            ("uri", "urn:uuid:{id}"),
            ("dns", "{attribute.unknown}.example"),
        ),
    )
    site = await open_site(a_policy(template))

    held = await site.enroll(
        serial_number="SN-1",
        attributes={"site": "plant {name}", "line": "2", "address": "192.0.2.9"},
    )

    assert [each.value for each in held.certificate.subject] == [
        "DE",
        "plant {name} and 2",
        "pump-1",
        "SN-1",
    ]
    names = held.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(each.value) for each in names.value] == [
        "pump-1.example",
        "192.0.2.9",
        "pump-1@example.net",
        f"urn:uuid:{(await site.device()).device_id}",
    ]


@pytest.mark.parametrize(
    ("wish", "granted"),
    [
        (a_wish("p-256"), {SIGNS}),
        (a_wish("p-256", key_agreement=True), {AGREES}),
        (a_wish("p-256", key_encipherment=True), {SIGNS}),
        (a_wish("rsa-2048", key_encipherment=True), {ENCIPHERS}),
        (a_wish("rsa-2048", key_encipherment=True, digital_signature=True), {SIGNS, ENCIPHERS}),
        (a_wish("rsa-2048", content_commitment=True), {SIGNS}),
        (a_wish("rsa-2048", key_cert_sign=True, crl_sign=True), {SIGNS}),
        (a_wish("ed25519", key_agreement=True), {SIGNS}),
    ],
    ids=[
        "no wish",
        "agreement alone",
        "impossible",
        "encipherment alone",
        "both",
        "not requestable",
        "of a CA",
        "ed25519",
    ],
)
def test_est_E3_key_usage_is_as_asked_where_it_may_be_asked_for(
    wish: CertificateRequest, granted: set[KeyUsageBit]
) -> None:
    assert granted_usage(wish, a_certificate_profile()) == granted


def test_a_key_that_can_serve_no_usage_of_the_profile_signs() -> None:
    profile = a_certificate_profile(key_usage=frozenset({ENCIPHERS}))

    assert granted_usage(a_wish("p-256"), profile) == {SIGNS}


async def test_est_E3_a_key_usage_without_signature_is_issued_as_asked() -> None:
    site = await open_site(a_policy(an_enrollment_profile()))
    await site.register()
    ask = by_code("pump-1", await site.code(), key_usage=some_key_usage(key_agreement=True))

    held = await site.obtain(ask)

    usage = held.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.digital_signature) == (True, False)
