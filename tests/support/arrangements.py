"""What happened before the last step of a case, and what that step asks for.

Each function arranges a site in which `pump-1` is known, and gives the request to be judged.
"""

from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enroll.certificates import RevocationReason
from enroll.credentials import CredentialKind
from enroll.device import DeviceState, IdentityKind
from enroll.failures import AuthorityUnavailable
from enroll.ports import UnitOfWork
from enroll.registration import CodeTerms
from enroll.ruling import Ruling
from tests.support.builders import (
    GROUP,
    a_certificate_profile,
    a_device,
    a_tenant,
    an_enrollment_profile,
)
from tests.support.csr import a_name
from tests.support.enrollment import (
    OPERATOR,
    Ask,
    Held,
    Site,
    a_new_key,
    by_certificate,
    by_code,
)
from tests.support.registries import store

WRONG_CODE = "AAAA-BBBB-CCCC-DDDD-EEEE"


async def disable(site: Site, name: str = "pump-1") -> None:
    await site.lifecycle.disable((await site.device(name)).device_id, "stolen", actor=OPERATOR)


async def enable(site: Site, name: str = "pump-1") -> None:
    await site.lifecycle.enable((await site.device(name)).device_id, "found", actor=OPERATOR)


async def put_in_state(site: Site, state: DeviceState, name: str = "pump-1") -> None:
    """Put a device where no use case of this version takes it."""
    device = await site.device(name)
    await store(site.registry, lambda uow: uow.devices.save(replace(device, state=state)))


async def first_enrollment(site: Site) -> Ask:
    await site.register()
    return by_code("pump-1", await site.code())


async def denied_by_a_webhook(site: Site) -> Ask:
    site.decision_maker.ruling = Ruling(allowed=False, reason="not in the inventory")
    return await first_enrollment(site)


async def webhook_away(site: Site) -> Ask:
    site.decision_maker.ruling = AuthorityUnavailable(
        "nobody answers", finding="webhook_unavailable"
    )
    return await first_enrollment(site)


async def allowed_by_a_webhook(site: Site) -> Ask:
    site.decision_maker.ruling = Ruling(allowed=True, attributes={"site": "plant-7"})
    return await first_enrollment(site)


async def repetition_that_a_webhook_would_deny(site: Site) -> Ask:
    ask = await allowed_by_a_webhook(site)
    await site.obtain(ask)
    site.decision_maker.ruling = Ruling(allowed=False)
    return ask


async def code_in_lower_case_without_hyphens(site: Site) -> Ask:
    ask = await first_enrollment(site)
    return replace(ask, code=(ask.code or "").replace("-", "").lower())


async def named_by_serial_number(site: Site) -> Ask:
    await site.register(serial_number="SN-1")
    return by_code("SN-1", await site.code(), subject=a_name("anything at all"))


async def unknown_name(site: Site) -> Ask:
    await site.register()
    return by_code("pump-7", await site.code())


async def wrong_code(site: Site) -> Ask:
    await first_enrollment(site)
    return by_code("pump-1", WRONG_CODE)


async def code_of_another(site: Site) -> Ask:
    await site.register()
    await site.register("pump-2")
    return by_code("pump-1", await site.code("pump-2"))


async def expired_code(site: Site) -> Ask:
    ask = await first_enrollment(site)
    site.clock.advance(timedelta(days=7))
    return ask


async def revoked_code(site: Site) -> Ask:
    await site.enroll()
    code = await site.code()
    await site.lifecycle.reset((await site.device()).device_id, "repair", actor=OPERATOR)
    return by_code("pump-1", code)


async def code_of_a_deleted_device(site: Site) -> Ask:
    ask = await first_enrollment(site)
    await put_in_state(site, DeviceState.DELETED)
    return ask


async def code_at_another_tenant(site: Site) -> Ask:
    other = a_tenant("other")
    stranger = a_device("stranger", tenant_id=other.tenant_id, group_id=GROUP)
    await site.register()
    await store(site.registry, lambda uow: uow.policy.put_tenant(other))
    await store(site.registry, lambda uow: uow.devices.add(stranger))
    _, made = await site.registration.make_code(stranger.device_id, CodeTerms(), actor=OPERATOR)
    return by_code("stranger", made.clear)


async def certificate_at_another_tenant(site: Site) -> Ask:
    held = await site.enroll()
    other = a_tenant("other")
    template = a_certificate_profile("theirs", tenant_id=other.tenant_id)
    profile = an_enrollment_profile(
        "theirs",
        tenant_id=other.tenant_id,
        certificate_profile="theirs",
        initial_credentials=frozenset({CredentialKind.OWN_CERTIFICATE}),
        own_certificates_of=("bootstrap",),
    )

    def stage(uow: UnitOfWork) -> None:
        uow.policy.put_tenant(other)
        uow.policy.put_certificate_profile(template)
        uow.policy.put_enrollment_profile(profile)

    await store(site.registry, stage)
    return by_certificate(held, profile="theirs")


async def nothing_shown(site: Site) -> Ask:
    ask = await first_enrollment(site)
    return replace(ask, reference=None, code=None)


async def code_where_none_is_taken(site: Site) -> Ask:
    return replace(await first_enrollment(site), profile="operational")


async def certificate_where_none_is_taken(site: Site) -> Ask:
    held = await site.enroll()
    return by_certificate(held, profile="bootstrap")


async def disabled_with_a_code(site: Site) -> Ask:
    ask = await first_enrollment(site)
    await disable(site)
    return ask


async def code_made_while_disabled(site: Site) -> Ask:
    await site.register()
    await disable(site)
    code = await site.code()
    await enable(site)
    return by_code("pump-1", code)


async def used_code_with_another_key(site: Site) -> Ask:
    ask = await first_enrollment(site)
    await site.obtain(ask)
    return replace(ask, key=a_new_key())


async def used_code_with_its_key(site: Site) -> Ask:
    ask = await first_enrollment(site)
    await site.obtain(ask)
    site.clock.advance(timedelta(hours=24))
    return ask


async def used_code_with_its_key_too_late(site: Site) -> Ask:
    ask = await used_code_with_its_key(site)
    site.clock.advance(timedelta(seconds=1))
    return ask


async def used_code_of_a_disabled_device(site: Site) -> Ask:
    ask = await used_code_with_another_key(site)
    await disable(site)
    return ask


async def used_code_naming_another(site: Site) -> Ask:
    ask = await used_code_with_another_key(site)
    await site.register("pump-2")
    return replace(ask, subject=a_name("pump-2"))


async def repetition_of_a_disabled_device(site: Site) -> Ask:
    ask = await first_enrollment(site)
    await site.obtain(ask)
    await disable(site)
    return ask


async def repetition_of_what_was_revoked(site: Site) -> Ask:
    ask = await first_enrollment(site)
    record = await site.record_of(await site.obtain(ask))
    await site.lifecycle.revoke(record, RevocationReason.SUPERSEDED, actor=OPERATOR)
    return ask


async def repetition_after_the_code_expired(site: Site) -> Ask:
    """Use a code of several uses in its last minute, and repeat that after its end."""
    await site.register()
    ask = by_code("pump-1", await site.code(uses=2))
    site.clock.advance(timedelta(days=7, seconds=-30))
    await site.obtain(ask)
    site.clock.advance(timedelta(minutes=1))
    return ask


async def left_over_code(site: Site) -> Ask:
    await site.register()
    ask = by_code("pump-1", await site.code(uses=2))
    await site.obtain(ask)
    return replace(ask, key=a_new_key())


async def left_over_code_for_a_waiting_replacement(site: Site) -> Ask:
    await site.enroll()
    site.clock.advance(timedelta(minutes=1))
    ask = by_code("pump-1", await site.code(uses=2))
    site.clock.advance(timedelta(minutes=1))
    await site.obtain(ask)
    return replace(ask, key=a_new_key())


async def fresh_code(site: Site) -> Ask:
    await site.enroll()
    site.clock.advance(timedelta(minutes=1))
    return by_code("pump-1", await site.code())


async def reset_after_expiry(site: Site) -> Ask:
    """Let everything expire, reset the device, and use the code that this made."""
    await site.provision()
    site.clock.advance(timedelta(days=400))
    device = await site.device()
    _, made = await site.lifecycle.reset(device.device_id, "found in a drawer", actor=OPERATOR)
    return by_code("pump-1", made.clear)


async def subject_of_another(site: Site) -> Ask:
    await site.register("pump-2")
    return replace(await first_enrollment(site), subject=a_name("pump-2"))


async def common_name_with_the_serial_number_of_another(site: Site) -> Ask:
    await site.register("pump-2", serial_number="SN-2")
    return replace(await first_enrollment(site), subject=a_name("SN-2"))


async def serial_number_of_another(site: Site) -> Ask:
    await site.register("pump-2", serial_number="SN-2")
    return replace(await first_enrollment(site), subject=_serial_number("SN-2"))


async def serial_number_with_the_name_of_another(site: Site) -> Ask:
    await site.register("pump-2")
    return replace(await first_enrollment(site), subject=_serial_number("pump-2"))


async def uri_of_another(site: Site) -> Ask:
    other = await site.register("pump-2")
    uri = x509.UniformResourceIdentifier(f"urn:uuid:{other.device_id}")
    return replace(await first_enrollment(site), names=(uri,))


async def dns_name_of_another(site: Site) -> Ask:
    await site.register("pump-2", identities=((IdentityKind.SAN_DNS, "pump-2.example"),))
    return replace(await first_enrollment(site), names=(x509.DNSName("PUMP-2.example"),))


async def key_pinned_to_another(site: Site) -> Ask:
    ask = await first_enrollment(site)
    spki = site.request(ask).certificate_request.spki_sha256
    await site.register("pump-2", identities=((IdentityKind.SPKI_SHA256, spki),))
    return ask


async def names_of_nobody(site: Site) -> Ask:
    names = (x509.DNSName("nobody.example"), x509.UniformResourceIdentifier("urn:uuid:nobody"))
    return replace(await first_enrollment(site), subject=a_name("nobody"), names=names)


async def own_name_that_is_the_serial_number_of_another(site: Site) -> Ask:
    await site.register("pump-2", serial_number="pump-1")
    return await first_enrollment(site)


async def user_name_of_another_beside_a_certificate(site: Site) -> Ask:
    held = await site.enroll()
    await site.register("pump-2")
    return by_certificate(held, reference="pump-2", code=WRONG_CODE)


async def certificate_of_another_beside_a_code(site: Site) -> Ask:
    other = await site.enroll("pump-2")
    return replace(await first_enrollment(site), held=other)


async def certificate_of_nobody_beside_a_code(site: Site) -> Ask:
    other = await site.enroll("pump-2")
    return replace(await first_enrollment(site), held=forged(other))


async def key_of_another(site: Site) -> Ask:
    other = await site.enroll("pump-2")
    return replace(await first_enrollment(site), key=other.key)


async def compromised_key(site: Site) -> Ask:
    held = await site.enroll()
    record = await site.record_of(held)
    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
    return by_code("pump-1", await site.code(), key=held.key)


async def compromised_key_of_another_certificate(site: Site) -> Ask:
    """Show a certificate whose key another one had that was revoked for its compromise."""
    bootstrap = await site.enroll()
    twin = await site.obtain(by_certificate(bootstrap, subject=a_name("pump-1"), key=bootstrap.key))
    record = await site.record_of(twin)
    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
    return by_certificate(bootstrap, subject=a_name("pump-1"))


async def first_enrollment_when_the_clock_went_back(site: Site) -> Ask:
    await site.enroll("pump-2")
    ask = await first_enrollment(site)
    site.clock.advance(-timedelta(seconds=61))
    return ask


def forged(held: Held) -> Held:
    """Copy a certificate, names, number, extensions and all, with keys of a forger's (T3)."""
    original, key = held.certificate, a_new_key()
    builder = (
        x509.CertificateBuilder()
        .issuer_name(original.issuer)
        .subject_name(original.subject)
        .serial_number(original.serial_number)
        .public_key(key.public_key())
        .not_valid_before(original.not_valid_before_utc)
        .not_valid_after(original.not_valid_after_utc)
    )
    for each in original.extensions:
        builder = builder.add_extension(each.value, critical=each.critical)
    signed = builder.sign(a_new_key(), hashes.SHA256())
    return Held(der=signed.public_bytes(Encoding.DER), key=key)


def _serial_number(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, value)])
