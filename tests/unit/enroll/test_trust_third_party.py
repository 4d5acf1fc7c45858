"""A certificate of another CA's through the pipeline: what it proves, and what it does not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.credentials import CredentialKind, TLSClientCertificate
from enroll.device import DeviceState, IdentityKind
from enroll.events import EventName
from enroll.failures import FailureReason, Refused
from enroll.profiles import OnDisable, ReEnrollment
from enroll.request import Operation
from enroll.result import EnrollmentResult, Issued, Rejected
from enroll.trust import TrustAnchor, TrustPurpose
from enroll.trust_administration import TrustAdministration
from tests.support.builders import (
    TENANT,
    a_group,
    a_policy,
    a_tenant,
    a_trust_anchor,
    an_enrollment_profile,
    an_id,
)
from tests.support.chains import Authority, a_dn, a_hardware_module
from tests.support.csr import ECDSA_SHA256, a_key, a_name, sequence, sign, tlv
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
from tests.support.fakes import START
from tests.support.registries import look, store

ROOT = Authority.root()
BETWEEN = ROOT.ca()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def maker(**changes: Any) -> TrustAnchor:
    """Register the maker by its root, with its intermediate at hand."""
    return a_trust_anchor(**{"der": ROOT.der, "intermediates": (BETWEEN.der,), **changes})


def customer(**changes: Any) -> TrustAnchor:
    """Register the same CAs as those of a customer, which vouch for whoever holds them."""
    return maker(purpose=TrustPurpose.AUTH_CA, **changes)


def idevid(serial: str = "SN-1", **changes: Any) -> x509.Certificate:
    return BETWEEN.issue(a_dn("Pump", serial_number=serial), **changes)


async def a_site(*parts: Any, **details: Any) -> Site:
    """Open a site that trusts the maker, or what is given, and knows pump-1 as SN-1."""
    site = await open_site(a_policy(*(parts or (maker(),))))
    await site.register("pump-1", **{"serial_number": "SN-1", **details})
    return site


def ask(**wishes: Any) -> Ask:
    return replace(
        Ask(operation=Operation.INITIAL, key=a_new_key(), subject=a_name("Pump")), **wishes
    )


async def show(
    site: Site, leaf: x509.Certificate, *above: Authority, wish: Ask | None = None
) -> EnrollmentResult:
    """Let a device ask for a certificate, with a chain in its handshake."""
    request = site.request(wish or ask())
    chain = (leaf, *(each.certificate for each in above))
    shown = (*request.credentials, TLSClientCertificate(chain=chain))
    return await site.pipeline.handle(replace(request, credentials=shown))


async def obtain(site: Site, leaf: x509.Certificate, wish: Ask | None = None) -> Issued:
    result = await show(site, leaf, wish=wish)
    assert isinstance(result, Issued), result
    return result


async def refused(
    site: Site, leaf: x509.Certificate, *above: Authority, wish: Ask | None = None
) -> Rejected:
    result = await show(site, leaf, *above, wish=wish)
    assert isinstance(result, Rejected), result
    attempt = (await site.attempts())[0]
    assert (attempt.finding, attempt.reason) == (result.finding, result.reason.value)
    assert not attempt.trace[-1].passed
    return result


def trust(site: Site) -> TrustAdministration:
    return TrustAdministration(site.registry, site.clock)


async def names_of_events(site: Site, name: str = "pump-1") -> list[EventName]:
    return [each.name for each in await site.events(name)]


def fingerprint_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def malleated(certificate: x509.Certificate) -> x509.Certificate:
    """Rewrite the signature as anybody can: of ECDSA's s, n - s is as good."""
    r, s = decode_dss_signature(certificate.signature)
    der = certificate.public_bytes(Encoding.DER)
    other = encode_dss_signature(r, P256_ORDER - s)
    body = certificate.tbs_certificate_bytes
    start = der.index(body) + len(body)
    algorithm = der[start : start + 2 + der[start + 1]]
    content = body + algorithm + bytes([3, len(other) + 1, 0]) + other
    header = b"\x30\x82" + len(content).to_bytes(2)
    return x509.load_der_x509_certificate(header + content)


async def test_without_any_anchor_no_certificate_of_others_is_trusted() -> None:
    site = await open_site()
    await site.register("pump-1", serial_number="SN-1")

    result = await refused(site, idevid(), BETWEEN, ROOT)

    assert (result.reason, result.finding) == (
        FailureReason.SIGNER_NOT_TRUSTED,
        "certificate_not_ours",
    )


@pytest.mark.parametrize("purpose", [TrustPurpose.IMPORT, TrustPurpose.RA])
async def test_an_anchor_of_another_purpose_vouches_for_no_device(purpose: TrustPurpose) -> None:
    site = await a_site(maker(purpose=purpose))

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


async def revoke(site: Site, certificate: x509.Certificate, reason: RevocationReason) -> None:
    """Revoke what the registry keeps of a certificate, as `enroll certificate revoke` does."""
    number = f"{certificate.serial_number:x}"
    (record,) = await look(site.registry, lambda uow: uow.certificates.by_serial(number))
    await site.lifecycle.revoke(record, reason, actor=OPERATOR)


async def test_a_certificate_revoked_in_the_registry_is_refused() -> None:
    site, leaf = await a_site(), idevid()
    await obtain(site, leaf)
    await revoke(site, leaf, RevocationReason.PRIVILEGE_WITHDRAWN)

    result = await refused(site, leaf)

    assert (result.reason, result.finding) == (
        FailureReason.CERTIFICATE_REVOKED,
        "certificate_revoked",
    )


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


def with_serial_number(certificate: x509.Certificate, number: int) -> x509.Certificate:
    """Issue the certificate again under a number that no builder takes."""
    octets = number.to_bytes(21)
    short = b"\x02\x01\x07"
    template = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(7)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .sign(BETWEEN.key, hashes.SHA256())
    )
    whole = template.tbs_certificate_bytes
    content = whole[2 + (whole[1] & 0x7F if whole[1] >= 0x80 else 0) :]
    signed = sequence(content.replace(short, tlv(0x02, octets), 1))
    signature = sign(BETWEEN.key, signed)  # type: ignore[arg-type]  # an EC key
    return x509.load_der_x509_certificate(
        sequence(signed, ECDSA_SHA256, tlv(0x03, b"\0", signature))
    )


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


@pytest.mark.parametrize("policy", ReEnrollment)
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


async def test_est_T19_a_ca_of_this_server_is_no_anchor() -> None:
    site = await a_site()
    ours = maker(name="ours", anchor_id=an_id("ours"))

    with pytest.raises(Refused):
        await trust(site).add(ours, own=(ROOT.certificate,), actor=OPERATOR)
    with pytest.raises(Refused):
        await trust(site).add(ours, own=(BETWEEN.certificate,), actor=OPERATOR)


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


async def test_a_public_key_that_is_pinned_must_be_one_of_those_shown() -> None:
    site = await a_site(identities=((IdentityKind.SPKI_SHA256, "ab" * 32),))

    assert (await refused(site, idevid())).finding == "identity_conflict"


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


def idevid_of(records: Any) -> x509.Certificate:
    (found,) = [each.certificate for each in records if each.profile.startswith("trust:")]
    return found  # type: ignore[no-any-return]  # a certificate of the records


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
