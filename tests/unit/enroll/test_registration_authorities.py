"""Registration authorities: what they may enroll on behalf of whom, and what is written of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from enroll.certificates import RevocationReason
from enroll.credentials import CredentialKind, TLSClientCertificate
from enroll.device import DeviceState, IdentityKind
from enroll.events import EventName
from enroll.failures import AlreadyTaken, FailureReason, Refused
from enroll.options import ESTOptions, LinkingRule
from enroll.policy.profiles import PolicyError, check_enrollment_profile
from enroll.policy.trust_anchors import check_trust_anchor
from enroll.profiles import ReEnrollment
from enroll.request import Inquiry
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from enroll.trust import CMC_RA, TrustPurpose
from tests.support.approvals import a_manual_group, approve
from tests.support.builders import a_group, a_policy, an_enrollment_profile
from tests.support.chains import IDEVID_EXTENSIONS, a_ca_extensions, a_dn
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, Ask, Site, a_new_key, open_site, renewal
from tests.support.registration_authorities import (
    A_RA,
    AS_RA,
    BY_RA,
    RA_KEY,
    RENEWED_BY_RA,
    a_site,
    appoint,
    appointed,
    factory,
    purposes,
    wish,
)
from tests.support.registries import look
from tests.support.third_party import BETWEEN, ROOT, fingerprint_of, show, trust


async def refused(site: Site, leaf: x509.Certificate, a_wish: Ask | None = None) -> Rejected:
    result = await show(site, leaf, wish=a_wish or wish())
    assert isinstance(result, Rejected), result
    assert (await site.attempts())[0].finding == result.finding
    return result


async def test_est_T15_an_authority_under_an_anchor_enrolls_the_device_that_its_request_names() -> (
    None
):
    site = await a_site()

    result = await show(site, A_RA, wish=wish())

    assert isinstance(result, Issued)
    assert (await site.device()).state is DeviceState.REGISTERED
    assert "Factory" not in result.record.certificate.subject.rfc4514_string()


async def test_est_T15_an_authority_of_our_own_enrolls_the_device_that_its_request_names() -> None:
    site = await a_site(a_group())
    held = await appoint(site)

    result = await show(site, held.certificate, wish=wish())

    assert isinstance(result, Issued)
    assert (await site.device()).state is DeviceState.REGISTERED
    found = held.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(found) == {ExtendedKeyUsageOID.CLIENT_AUTH, CMC_RA}


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_est_T15_what_an_authority_did_is_written_down(own: bool) -> None:  # noqa: FBT001 - a column of the table above
    site = await a_site(a_group() if own else factory())
    leaf = (await appoint(site)).certificate if own else A_RA
    fingerprint = fingerprint_of(leaf)

    result = await show(site, leaf, wish=wish())

    assert isinstance(result, Issued)
    assert result.record.credential_id == fingerprint
    attempt = (await site.attempts())[0]
    assert (attempt.registration_authority, attempt.device_name) == ("factory", "pump-1")
    issued = [e for e in await site.events() if e.name is EventName.CERTIFICATE_ISSUED]
    assert [(each.actor, each.facts["registration_authority"]) for each in issued] == [
        (f"ra:{fingerprint}", "factory")
    ]
    assert issued[0].facts["credential"] == "ra"


async def test_what_an_authority_was_refused_is_in_the_history_of_the_device() -> None:
    site = await a_site()
    await site.lifecycle.disable((await site.device()).device_id, "stolen", actor=OPERATOR)

    result = await refused(site, A_RA)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "device_disabled")
    (denied,) = [e for e in await site.events() if e.name is EventName.ENROLLMENT_DENIED]
    assert denied.facts["registration_authority"] == "factory"
    assert (await site.attempts())[0].registration_authority == "factory"


@pytest.mark.parametrize(
    "extensions",
    [
        IDEVID_EXTENSIONS,
        purposes(ExtendedKeyUsageOID.CLIENT_AUTH),
        purposes(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        purposes(ExtendedKeyUsageOID.SERVER_AUTH),
    ],
    ids=["none", "clientAuth", "any", "serverAuth"],
)
async def test_est_T15_a_plain_certificate_under_the_anchor_enrolls_nobody(
    extensions: Any,
) -> None:
    site = await a_site()

    result = await refused(site, BETWEEN.issue(a_dn("pump-1"), extensions=extensions))

    assert result.reason is FailureReason.NOT_AUTHORIZED
    assert result.finding in {"credential_not_sufficient", "certificate_purpose"}


@pytest.mark.parametrize(
    ("purpose", "issued"),
    [
        (ExtendedKeyUsageOID.CLIENT_AUTH, False),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, True),
        (CMC_RA, True),
    ],
    ids=["clientAuth", "any", "cmcRA"],
)
async def test_est_T15_a_ca_that_is_limited_to_devices_makes_no_authorities(
    purpose: x509.ObjectIdentifier,
    issued: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    limited = ROOT.ca(
        number=5,
        extensions=a_ca_extensions(None, (x509.ExtendedKeyUsage([purpose]), False)),
    )
    site = await a_site(factory(intermediates=(limited.der,)))

    result = await show(
        site, limited.issue(a_dn("Factory 1"), key=RA_KEY, extensions=AS_RA), wish=wish()
    )

    assert isinstance(result, Issued) is issued


async def test_est_T15_a_device_s_own_certificate_enrolls_no_other_device() -> None:
    site = await a_site(
        factory(),
        an_enrollment_profile(
            initial_credentials=BY_RA | {CredentialKind.OWN_CERTIFICATE},
            own_certificates_of=("bootstrap",),
        ),
    )
    other = await site.enroll("pump-2")

    result = await refused(site, other.certificate)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "identity_conflict")


async def test_est_T15_the_server_s_own_certificate_with_the_purpose_enrolls_nobody() -> None:
    site = await a_site(a_group())
    held = await appoint(site)
    policy = await site.policy()
    (anchor,) = policy.trust_anchors.values()
    await trust(site).remove(anchor, actor=OPERATOR)

    result = await refused(site, held.certificate)

    assert (result.reason, result.finding) == (
        FailureReason.NOT_AUTHORIZED,
        "credential_not_sufficient",
    )


async def test_a_profile_that_does_not_list_authorities_takes_none() -> None:
    site = await open_site(a_policy(factory()))
    await site.register()
    held = await appoint(site, "ours")

    assert (await refused(site, A_RA)).finding == "credential_not_sufficient"
    assert (await refused(site, held.certificate)).finding == "credential_not_sufficient"


async def named_by_nobody(site: Site) -> Ask:
    del site
    return wish(subject=a_name("pump-9"))


async def named_twice(site: Site) -> Ask:
    await site.register("pump-2", serial_number="SN-2")
    return wish(subject=a_dn("pump-1", serial_number="SN-2"))


async def named_ambiguously(site: Site) -> Ask:
    await site.register("pump-2", identities=((IdentityKind.SAN_DNS, "a.example"),))
    await site.register("pump-3", identities=((IdentityKind.SAN_DNS, "b.example"),))
    names = (x509.DNSName("a.example"), x509.DNSName("b.example"))
    return wish(subject=a_name("anything"), names=names)


async def named_by_the_serial_number_of_another(site: Site) -> Ask:
    await site.register("SN-1x", serial_number="pump-1")
    return wish()


async def for_its_own_key(site: Site) -> Ask:
    del site
    return wish(key=RA_KEY)


async def for_the_key_of_another(site: Site) -> Ask:
    other = await site.enroll("pump-2")
    return wish(key=other.key)


async def with_a_key_that_is_not_the_pinned_one(site: Site) -> Ask:
    await site.register("pump-2", identities=((IdentityKind.SPKI_SHA256, "ab" * 32),))
    return wish(subject=a_name("pump-2"))


@pytest.mark.parametrize(
    ("arrange", "reason", "finding"),
    [
        (named_by_nobody, FailureReason.UNKNOWN_DEVICE, "identity_unknown"),
        (named_twice, FailureReason.NOT_AUTHORIZED, "identity_conflict"),
        (named_ambiguously, FailureReason.NOT_AUTHORIZED, "identity_ambiguous"),
        (
            named_by_the_serial_number_of_another,
            FailureReason.NOT_AUTHORIZED,
            "identity_conflict",
        ),
        (for_its_own_key, FailureReason.NOT_AUTHORIZED, "key_reuse"),
        (for_the_key_of_another, FailureReason.NOT_AUTHORIZED, "key_reuse"),
        (
            with_a_key_that_is_not_the_pinned_one,
            FailureReason.NOT_AUTHORIZED,
            "identity_conflict",
        ),
    ],
)
async def test_lifecycle_23_an_authority_names_exactly_one_device(
    arrange: Callable[[Site], Awaitable[Ask]], reason: FailureReason, finding: str
) -> None:
    site = await a_site()
    a_wish = await arrange(site)

    result = await refused(site, A_RA, a_wish)

    assert (result.reason, result.finding) == (reason, finding)


async def test_names_in_the_authority_s_own_certificate_are_those_of_no_device() -> None:
    site = await a_site()
    called_like_a_device = BETWEEN.issue(
        a_dn("pump-1", serial_number="SN-1"), key=RA_KEY, extensions=AS_RA
    )

    result = await refused(site, called_like_a_device, wish(subject=a_name("pump-9")))

    assert result.finding == "identity_unknown"


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_est_T15_an_authority_enrolls_devices_of_its_groups_and_of_no_others(
    own: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    line = a_group("line-2", group_id="00000000-0000-0000-0000-00000000001e")
    site = await a_site(line) if own else await a_site(line, factory(groups=("line-2",)))
    await site.register("pump-2", group="line-2")
    leaf = (await appoint(site, groups=("line-2",))).certificate if own else A_RA

    assert (await refused(site, leaf)).finding == "ra_of_other_groups"
    assert isinstance(await show(site, leaf, wish=wish(subject=a_name("pump-2"))), Issued)


@pytest.mark.parametrize(
    ("reason", "finding"),
    [
        (RevocationReason.KEY_COMPROMISE, "certificate_revoked"),
        (RevocationReason.CESSATION_OF_OPERATION, "certificate_revoked"),
    ],
)
async def test_est_T15_a_revoked_authority_enrolls_nobody(
    reason: RevocationReason, finding: str
) -> None:
    site = await a_site(a_group())
    _, record = await appointed(site)
    await site.lifecycle.revoke(record, reason, actor=OPERATOR)

    result = await refused(site, record.certificate)

    assert (result.reason, result.finding) == (FailureReason.CERTIFICATE_REVOKED, finding)


async def test_est_T15_an_authority_under_an_anchor_is_revoked_by_its_certificate() -> None:
    site = await a_site()
    assert isinstance(await show(site, A_RA, wish=wish()), Issued)
    number = f"{A_RA.serial_number:x}"
    (record,) = await look(site.registry, lambda uow: uow.certificates.by_serial(number))
    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
    again = BETWEEN.issue(a_dn("Factory 1"), key=RA_KEY, extensions=AS_RA)

    assert (await refused(site, A_RA)).finding == "certificate_revoked"
    assert (await refused(site, again)).finding == "key_compromised"


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_est_T15_grace_after_its_end_is_not_for_authorities(own: bool) -> None:  # noqa: FBT001 - a column of the table above
    grace = timedelta(days=30)
    site = await a_site(a_group() if own else factory(), expired_grace=grace)
    ending = BETWEEN.issue(
        a_dn("Factory 1"),
        key=RA_KEY,
        extensions=AS_RA,
        not_after=site.clock.now() + timedelta(days=365),
    )
    leaf = (await appoint(site)).certificate if own else ending
    site.clock.advance(timedelta(days=365, seconds=1))

    result = await refused(site, leaf)

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHORIZED, "certificate_expired")


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_a_blocked_authority_enrolls_nobody(own: bool) -> None:  # noqa: FBT001 - a column of the table above
    site = await a_site(a_group() if own else factory())
    leaf = (await appoint(site)).certificate if own else A_RA
    (anchor,) = (await site.policy()).trust_anchors.values()
    await trust(site).change(replace(anchor, blocked=True), own=(), actor=OPERATOR)

    assert (await refused(site, leaf)).finding == "anchor_blocked"


@pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])
async def test_an_authority_of_another_profile_enrolls_nobody_here(own: bool) -> None:  # noqa: FBT001 - a column of the table above
    site = await a_site(a_group() if own else factory(profiles=("operational",)))
    leaf = (await appoint(site, profiles=("operational",))).certificate if own else A_RA

    assert (await refused(site, leaf)).finding == "credential_not_sufficient"


async def test_est_T15_an_authority_renews_for_a_device_where_the_profile_says_so() -> None:
    site = await a_site()
    held = await site.enroll("pump-2")
    a_wish = replace(renewal(held), held=None)

    result = await show(site, A_RA, wish=a_wish)
    repeated = await show(site, A_RA, wish=a_wish)

    assert isinstance(result, Issued)
    assert isinstance(repeated, Issued)
    assert repeated.record == result.record
    assert result.record.credential_id == fingerprint_of(A_RA)


async def test_est_E6_an_authority_renews_under_the_names_of_the_certificate_only() -> None:
    site = await a_site()
    held = await site.enroll("pump-2")
    subject = a_dn("pump-2", organization="Elsewhere")

    result = await refused(site, A_RA, replace(renewal(held), held=None, subject=subject))

    assert (result.finding, result.field) == ("name_changed", "subject")


async def test_an_authority_begins_a_filled_slot_again_only_where_that_is_allowed() -> None:
    site = await a_site()
    assert isinstance(await show(site, A_RA, wish=wish()), Issued)

    assert (await refused(site, A_RA)).finding == "re_enrollment_refused"
    await site.change_policy(bootstrap={"re_enrollment": ReEnrollment.ALLOW})
    assert isinstance(await show(site, A_RA, wish=wish()), Issued)


@pytest.mark.parametrize("linking", [LinkingRule.ACCEPTED, LinkingRule.REQUIRED])
async def test_est_T15_an_authority_may_bring_the_binding_of_another_session(
    linking: LinkingRule,
) -> None:
    site = await a_site(est=ESTOptions(linking=linking))

    result = await _show_with(site, A_RA, "the binding of the device and its authority")

    assert isinstance(result, Issued)
    assert "linking" in {each.name for each in (await site.attempts())[0].trace}


async def test_est_T11_an_authority_without_any_binding_is_refused_where_one_is_required() -> None:
    site = await a_site(est=ESTOptions(linking=LinkingRule.REQUIRED))

    assert (await refused(site, A_RA)).finding == "linking_required"


async def test_est_E11_what_an_authority_asks_for_may_have_to_wait_for_a_person() -> None:
    site = await a_site(factory(), a_manual_group())
    a_wish = wish()

    waiting = await show(site, A_RA, wish=a_wish)
    (order,) = await site.orders(pending_only=True)
    await approve(site)
    collected = await show(site, A_RA, wish=a_wish)

    assert isinstance(waiting, Pending)
    assert order.requested_by == f"ra:{fingerprint_of(A_RA)}"
    assert isinstance(collected, Issued)
    issued = [e for e in await site.events() if e.name is EventName.CERTIFICATE_ISSUED]
    assert [each.actor for each in issued] == [order.requested_by]
    held = [e for e in await site.events() if e.name is EventName.ENROLLMENT_PENDING]
    assert [each.facts["registration_authority"] for each in held] == ["factory"]


async def test_an_authority_asks_what_to_ask_for_and_is_told_what_all_are_told() -> None:
    site = await a_site()
    origin = site.request(wish()).origin
    shown = (TLSClientCertificate(chain=(A_RA,)),)

    described = await site.pipeline.inquiries(Inquiry(origin=origin, credentials=shown))

    assert described.profile.slug == "bootstrap"
    assert "pump-1" not in repr(described.requirements)


async def test_a_code_beside_an_authority_s_certificate_has_to_be_right() -> None:
    site = await a_site()

    result = await refused(site, A_RA, wish(reference="pump-1", code="AAAA-BBBB"))

    assert (result.reason, result.finding) == (FailureReason.NOT_AUTHENTICATED, "code_wrong")


async def test_another_appointment_under_the_name_ends_the_first() -> None:
    line = a_group("line-2", group_id="00000000-0000-0000-0000-00000000001e")
    site = await a_site(line)
    first = await appoint(site, groups=("default",))
    other_key = a_new_key()

    anchor, second = await appointed(site, key=other_key)

    assert anchor.groups == ("default",)
    assert (await refused(site, first.certificate)).finding == "credential_not_sufficient"
    assert isinstance(await show(site, second.certificate, wish=wish()), Issued)


async def test_the_name_of_a_trusted_ca_is_not_an_authority_s_to_take() -> None:
    site = await a_site()

    with pytest.raises(AlreadyTaken):
        await appoint(site)


async def test_a_certificate_that_is_no_ca_s_and_not_from_here_can_be_no_anchor() -> None:
    site = await a_site(a_group())
    pinned = factory(der=A_RA.public_bytes(Encoding.DER), intermediates=())

    with pytest.raises(Refused, match="none from here"):
        await trust(site).add(pinned, own=(), actor=OPERATOR)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"groups": ("nowhere",)}, "groups"),
        ({"groups": ("default",), "purpose": TrustPurpose.IDEVID}, "groups"),
        ({"der": A_RA.public_bytes(Encoding.DER)}, "certificate"),
        (
            {
                "der": BETWEEN.issue(a_dn("x")).public_bytes(Encoding.DER),
                "intermediates": (),
            },
            "certificate",
        ),
    ],
)
def test_an_authority_that_cannot_be_is_refused_by_the_key_at_fault(
    changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(PolicyError, match=f"^{key}: "):
        check_trust_anchor(factory(**changes), a_policy())


def test_authorities_may_be_listed_for_first_enrollments_and_renewals() -> None:
    profile = an_enrollment_profile(initial_credentials=BY_RA, renewal_credentials=RENEWED_BY_RA)

    check_enrollment_profile(profile, a_policy())


async def _show_with(site: Site, leaf: x509.Certificate, password: str) -> EnrollmentResult:
    request = site.request(wish())
    asked = replace(request.certificate_request, challenge_password=password)
    shown = (TLSClientCertificate(chain=(leaf,)),)
    return await site.pipeline.handle(
        replace(request, certificate_request=asked, credentials=shown)
    )


async def test_security_C5_an_authority_of_a_compromised_key_speaks_for_nobody() -> None:
    site = await a_site(a_group())
    _, record = await appointed(site)
    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
    again = await appoint(site)

    result = await refused(site, again.certificate)

    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "key_compromised",
    )
    assert not await site.certificates()
