"""A certificate of another CA's that does not prove its device is refused, with its finding."""

import pytest
from cryptography import x509

from enroll.certificates import RevocationReason
from enroll.credentials import CredentialKind
from enroll.device import DeviceState, IdentityKind
from enroll.events import EventName
from enroll.failures import FailureReason, Refused
from enroll.profiles import ReEnrollment
from enroll.request import Operation
from enroll.result import Issued, Pending
from enroll.trust import TrustPurpose
from tests.support.approvals import approve
from tests.support.builders import (
    TENANT,
    a_tenant,
    an_enrollment_profile,
    an_id,
)
from tests.support.chains import Authority, a_dn
from tests.support.csr import a_key, a_name
from tests.support.enrollment import (
    OPERATOR,
    open_site,
)
from tests.support.registries import look
from tests.support.third_party import (
    BETWEEN,
    ROOT,
    a_site,
    ask,
    customer,
    fingerprint_of,
    idevid,
    maker,
    malleated,
    names_of_events,
    obtain,
    refused,
    revoke,
    show,
    trust,
    with_serial_number,
)


async def test_without_any_anchor_no_certificate_of_others_is_trusted() -> None:
    site = await open_site()
    await site.register("pump-1", serial_number="SN-1")

    result = await refused(site, idevid(), BETWEEN, ROOT)

    assert (result.reason, result.finding) == (
        FailureReason.SIGNER_NOT_TRUSTED,
        "certificate_not_ours",
    )


async def test_an_anchor_of_another_purpose_vouches_for_no_device() -> None:
    site = await a_site(maker(purpose=TrustPurpose.IMPORT))

    assert (await refused(site, idevid(), BETWEEN)).finding == "certificate_not_ours"


async def test_security_T3_another_tenants_anchor_vouches_for_nobody_here() -> None:
    other = a_tenant("other")
    site = await a_site(other, maker(tenant_id=other.tenant_id))

    assert (await refused(site, idevid(), BETWEEN)).finding == "certificate_not_ours"


async def test_a_chain_that_is_short_or_of_another_maker_is_refused() -> None:
    site = await a_site(maker(intermediates=()))
    stranger = Authority.root(number=9)

    short = await refused(site, idevid())
    other = await refused(site, stranger.issue(a_dn("Pump", serial_number="SN-1")), stranger)

    assert (short.reason, short.finding) == (FailureReason.SIGNER_NOT_TRUSTED, "chain_incomplete")
    assert (other.reason, other.finding) == (FailureReason.SIGNER_NOT_TRUSTED, "signature_wrong")
    assert (await site.device()).state is DeviceState.ENROLLED
    assert await site.certificates() == []


async def test_a_device_that_nobody_registered_is_refused() -> None:
    site = await a_site()

    result = await refused(site, idevid("SN-7"))

    assert (result.reason, result.finding) == (FailureReason.UNKNOWN_DEVICE, "identity_unknown")
    assert "serial_number=SN-7" in result.detail


async def test_a_certificate_cannot_enroll_the_device_that_its_request_names() -> None:
    site = await a_site()
    await site.register("pump-2", serial_number="SN-2")

    result = await refused(site, idevid("SN-1"), wish=ask(subject=a_name("pump-2")))

    assert result.finding == "identity_conflict"
    assert await site.certificates("pump-2") == []


async def test_identifiers_that_point_at_two_devices_are_a_conflict() -> None:
    site = await a_site()
    uri = "urn:dev:ops:1-pump"
    await site.register("pump-2", identities=((IdentityKind.SAN_URI, uri),))

    result = await refused(site, idevid(names=[x509.UniformResourceIdentifier(uri)]))

    assert result.finding == "identity_conflict"


async def test_values_of_one_kind_that_point_at_two_devices_are_ambiguous() -> None:
    site = await a_site()
    await site.register("pump-2", serial_number="SN-2")
    two = x509.Name([*a_dn(serial_number="SN-1"), *a_dn(serial_number="SN-2")])

    result = await refused(site, BETWEEN.issue(two))

    assert result.finding == "identity_ambiguous"


async def test_a_name_does_not_outweigh_the_serial_number_that_is_registered() -> None:
    site = await a_site(maker(patterns=(("CN", "pump-*"),)))

    result = await refused(site, BETWEEN.issue(a_dn("pump-1", serial_number="SN-9")))

    assert result.finding == "identity_conflict"


async def test_a_common_name_proves_nothing_unless_a_pattern_says_so() -> None:
    leaf = BETWEEN.issue(a_dn("pump-1"))
    without = await a_site()
    named = await a_site(maker(patterns=(("CN", "pump-*"),)))

    assert (await refused(without, leaf)).finding == "identity_unknown"
    assert (await obtain(named, leaf)).record.profile == "bootstrap"


async def test_a_certificate_outside_the_patterns_is_refused() -> None:
    site = await a_site(maker(patterns=(("serialNumber", "XX-*"),)))

    result = await refused(site, idevid())

    assert (result.reason, result.finding) == (
        FailureReason.NOT_AUTHORIZED,
        "credential_not_sufficient",
    )


async def test_one_maker_does_not_vouch_for_the_devices_of_another() -> None:
    site = await a_site(maker(manufacturer="ACME"), attributes={"manufacturer": "Other"})
    same = await a_site(maker(manufacturer="ACME"), attributes={"manufacturer": "ACME"})

    assert (await refused(site, idevid())).finding == "manufacturer_mismatch"
    await obtain(same, idevid())


async def test_lifecycle_case_f_another_idevid_with_the_same_serial_number_is_a_clone() -> None:
    site = await a_site()
    await obtain(site, idevid())

    result = await refused(site, idevid(key=a_key("p-256", 2)))

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "clone_suspected")
    assert EventName.ENROLLMENT_CLONE_SUSPECTED in await names_of_events(site)
    assert len(await site.certificates()) == 2, "its bootstrap certificate, and its IDevID"


async def test_an_idevid_pinned_beforehand_leaves_no_room_for_another() -> None:
    good, other = idevid(), idevid()
    pin = fingerprint_of(good)
    site = await a_site(identities=((IdentityKind.IDEVID_CERT_SHA256, pin),))

    assert (await refused(site, other)).finding == "clone_suspected"
    await obtain(site, good)


async def test_a_certificate_revoked_in_the_registry_is_refused() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)
    await revoke(site, leaf, RevocationReason.PRIVILEGE_WITHDRAWN)

    result = await refused(site, leaf)

    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "certificate_revoked",
    )


async def test_a_certificate_held_in_the_registry_is_refused_until_it_is_released() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)
    (record,) = [each for each in await site.certificates() if each.profile.startswith("trust:")]
    await site.lifecycle.hold(record, actor=OPERATOR)

    result = await refused(site, leaf)
    await site.lifecycle.release(record, actor=OPERATOR)

    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "certificate_on_hold",
    )
    await obtain(site, leaf)


async def test_a_rewritten_signature_does_not_bring_back_what_was_revoked() -> None:
    site, leaf = await a_site(), idevid()
    other = malleated(leaf)
    assert other.tbs_certificate_bytes == leaf.tbs_certificate_bytes
    await obtain(site, leaf)

    before = await refused(site, other)
    await revoke(site, leaf, RevocationReason.PRIVILEGE_WITHDRAWN)
    after = await refused(site, other)

    assert before.finding == "certificate_altered"
    assert after.finding == "certificate_revoked"


async def test_a_certificate_is_revoked_before_it_was_ever_shown() -> None:
    site, leaf = await a_site(), idevid()
    reason = RevocationReason.PRIVILEGE_WITHDRAWN

    await trust(site).revoke(TENANT, [leaf], reason, actor=OPERATOR)

    assert (await refused(site, leaf)).finding == "certificate_revoked"
    assert (await refused(site, malleated(leaf))).finding == "certificate_revoked"
    with pytest.raises(Refused, match="has been shown"):
        await trust(site).revoke(TENANT, [leaf], reason, actor=OPERATOR)
    with pytest.raises(Refused, match="not under a trust anchor"):
        await trust(site).revoke(TENANT, [Authority.root(number=9).certificate], reason, actor="x")


async def test_security_C5_a_compromised_key_is_refused_in_any_certificate() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)
    await revoke(site, leaf, RevocationReason.KEY_COMPROMISE)
    await site.register("pump-2", serial_number="SN-2")

    result = await refused(site, idevid("SN-2"))

    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "key_compromised",
    )


async def test_lifecycle_case_g_one_key_in_the_idevids_of_two_devices_is_refused() -> None:
    site = await a_site()
    await site.register("pump-2", serial_number="SN-2")
    await obtain(site, idevid("SN-1"))

    result = await refused(site, idevid("SN-2"))

    assert result.finding == "key_reuse"
    for name in ("pump-1", "pump-2"):
        assert EventName.ENROLLMENT_CLONE_SUSPECTED in await names_of_events(site, name)


@pytest.mark.parametrize("number", [1 << 160, (1 << 165) - 1])
async def test_a_serial_number_that_no_certificate_may_have_is_refused(number: int) -> None:
    site = await a_site()
    odd = with_serial_number(idevid(), number)

    assert (await refused(site, odd)).finding == "certificate_serial"


async def test_lifecycle_27e_for_a_filled_slot_a_shared_certificate_may_wait_for_a_person() -> None:
    site = await a_site(customer(), an_enrollment_profile(re_enrollment=ReEnrollment.APPROVE))
    shared, again = BETWEEN.issue(a_dn("All pumps")), ask(subject=a_name("pump-1"))
    first = await obtain(site, shared, ask(subject=a_name("pump-1")))

    waiting = await show(site, shared, wish=again)
    kept = await site.certificates()
    await approve(site)
    result = await show(site, shared, wish=again)

    assert isinstance(waiting, Pending)
    assert [each.fingerprint for each in kept] == [first.record.fingerprint]
    assert EventName.ENROLLMENT_CLONE_SUSPECTED in await names_of_events(site)
    assert isinstance(result, Issued)


@pytest.mark.parametrize("policy", [each for each in ReEnrollment if each != "approve"])
async def test_lifecycle_rule_5_a_shared_certificate_takes_no_filled_slot(
    policy: ReEnrollment,
) -> None:
    site = await a_site(customer(), an_enrollment_profile(re_enrollment=policy))
    await site.register("pump-2")
    shared = BETWEEN.issue(a_dn("All pumps"))
    first = await obtain(site, shared, ask(subject=a_name("pump-1")))
    second = await obtain(site, shared, ask(subject=a_name("pump-2")))

    result = await refused(site, shared, wish=ask(subject=a_name("pump-1")))

    assert result.finding == "clone_suspected"
    assert first.record.device_id != second.record.device_id
    assert EventName.ENROLLMENT_CLONE_SUSPECTED in await names_of_events(site)
    kept = await look(site.registry, lambda uow: uow.certificates.list())
    assert [each.device_id for each in kept if each.profile == "trust:maker"] == [None]


async def test_a_shared_certificate_that_names_no_device_with_its_request_is_refused() -> None:
    site = await a_site(customer())

    result = await refused(site, BETWEEN.issue(a_dn("All pumps")), wish=ask())

    assert result.finding == "identity_unknown"


async def test_a_shared_certificate_that_names_one_device_is_not_good_for_another() -> None:
    site = await a_site(customer())
    await site.register("pump-2")

    result = await refused(site, idevid("SN-1"), wish=ask(subject=a_name("pump-2")))

    assert result.finding == "identity_conflict"


async def test_est_T19_a_makers_certificate_renews_nothing() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)

    result = await refused(site, leaf, wish=ask(operation=Operation.RENEWAL))

    assert (result.reason, result.finding) == (
        FailureReason.NOT_AUTHORIZED,
        "credential_not_sufficient",
    )


async def test_est_T19_a_profile_may_take_no_makers_certificate() -> None:
    only_codes = frozenset({CredentialKind.ONE_TIME_CODE})
    site = await a_site(maker(), an_enrollment_profile(initial_credentials=only_codes))

    assert (await refused(site, idevid())).finding == "credential_not_sufficient"


async def test_est_T19_a_ca_of_this_server_is_no_anchor() -> None:
    site = await a_site()
    ours = maker(name="ours", anchor_id=an_id("ours"))

    with pytest.raises(Refused):
        await trust(site).add(ours, own=(ROOT.certificate,), actor=OPERATOR)
    with pytest.raises(Refused):
        await trust(site).add(ours, own=(BETWEEN.certificate,), actor=OPERATOR)


async def test_a_public_key_that_is_pinned_must_be_one_of_those_shown() -> None:
    site = await a_site(identities=((IdentityKind.SPKI_SHA256, "ab" * 32),))

    assert (await refused(site, idevid())).finding == "identity_conflict"


async def test_words_of_a_strangers_certificate_do_no_harm_in_records() -> None:
    site = await a_site()
    hostile = Authority.root(a_dn("Root\x1b[2J\n\x00\u202e"), number=9)
    leaf = hostile.issue(a_dn("Pump\x1b]0;\r\n", serial_number="SN-1"))

    result = await refused(site, leaf, hostile)

    attempt = (await site.attempts())[0]
    told = [result.detail, attempt.detail or "", *(each.note for each in attempt.trace)]
    assert result.finding == "issuer_not_trusted"
    assert "Root" in result.detail
    assert all(each.isprintable() for each in told)


async def test_words_of_a_makers_ca_are_fit_to_be_stored() -> None:
    root = Authority.root(a_dn("Maker\x00\x1bRoot " + "\u00fc" * 24))
    site = await a_site(maker(der=root.der, intermediates=()))

    await obtain(site, root.issue(a_dn("Pump", serial_number="SN-1")))

    (kept,) = [each for each in await site.certificates() if each.profile == "trust:maker"]
    assert kept.issuer.isprintable()
    assert len(kept.issuer) <= 64
