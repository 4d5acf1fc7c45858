"""Arrangements of certificates that renew, and of what asks for them (see `arrangements`)."""

from dataclasses import replace
from datetime import timedelta

from cryptography import x509

from enroll.request import Operation
from tests.support.csr import a_name
from tests.support.enrollment import Ask, Held, Site, a_new_key, by_certificate, by_code, renewal

DAY = timedelta(days=1)


async def in_time(site: Site) -> Ask:
    return renewal(await site.enroll())


async def without_a_profile(site: Site) -> Ask:
    """Leave the profile to the certificate that is shown."""
    _, operational = await site.provision()
    return renewal(operational)


async def with_the_same_names(site: Site) -> Ask:
    held = await site.enroll()
    names = held.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return renewal(held, names=tuple(names.value))


async def in_other_case(site: Site) -> Ask:
    return renewal(await site.enroll(), subject=a_name("PUMP-1"))


async def with_another_subject(site: Site) -> Ask:
    return renewal(await site.enroll(), subject=a_name("pump-x"))


async def with_more_names(site: Site) -> Ask:
    ask = await with_the_same_names(site)
    return replace(ask, names=(*ask.names, x509.DNSName("pump-1.example")))


async def with_other_names(site: Site) -> Ask:
    return renewal(await site.enroll(), names=(x509.DNSName("pump-1.example"),))


async def changing_its_subject(site: Site) -> Ask:
    return renewal(await site.enroll(), change_subject=a_name("pump-x"))


async def changing_its_names(site: Site) -> Ask:
    return renewal(await site.enroll(), change_names=(x509.DNSName("pump-1.example"),))


async def changing_its_names_to_the_registrys(site: Site) -> Ask:
    held = await site.enroll()
    names = held.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return renewal(held, change_subject=a_name("pump-1"), change_names=tuple(names.value))


async def first_enrollment_changing_its_subject(site: Site) -> Ask:
    await site.register()
    return by_code("pump-1", await site.code(), change_subject=a_name("pump-x"))


async def with_the_same_key(site: Site) -> Ask:
    held = await site.enroll()
    return renewal(held, key=held.key)


async def too_early(site: Site) -> Ask:
    """Renew a certificate of 365 days and 5 minutes just before its last third."""
    ask = await in_time(site)
    site.clock.advance(_until_the_last_third(ask) - timedelta(seconds=1))
    return ask


async def just_in_the_window(site: Site) -> Ask:
    ask = await in_time(site)
    site.clock.advance(_until_the_last_third(ask))
    return ask


async def in_the_last_second(site: Site) -> Ask:
    ask = await in_time(site)
    site.clock.advance(_ends_in(site, ask))
    return ask


async def after_the_end(site: Site) -> Ask:
    ask = await in_time(site)
    site.clock.advance(_ends_in(site, ask) + timedelta(seconds=1))
    return ask


async def by_a_waiting_replacement(site: Site) -> Ask:
    return renewal(await site.obtain(await in_time(site)))


async def by_its_predecessor_while_it_waits(site: Site) -> Ask:
    ask = await in_time(site)
    await site.obtain(ask)
    return replace(ask, key=a_new_key())


async def by_its_predecessor_once_it_was_used(site: Site) -> Ask:
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    await site.obtain(renewal(second))
    return renewal(first)


async def by_its_predecessor_once_time_confirmed_it(site: Site) -> Ask:
    first = await site.enroll()
    await site.obtain(renewal(first))
    site.clock.advance(DAY)
    await site.confirmations.settle()
    return renewal(first)


async def repeated_once_time_confirmed_it(site: Site) -> Ask:
    """Repeat a renewal to the second when time has superseded the certificate that asked."""
    ask = await in_time(site)
    await site.obtain(ask)
    site.clock.advance(DAY)
    await site.confirmations.settle()
    return ask


async def repeated_too_late(site: Site) -> Ask:
    ask = await in_time(site)
    await site.obtain(ask)
    site.clock.advance(DAY + timedelta(seconds=1))
    return ask


async def in_the_slot_of_another_profile(site: Site) -> Ask:
    return renewal(await site.enroll(), profile="operational")


async def with_nothing_shown(site: Site) -> Ask:
    return replace(renewal(await site.enroll()), held=None)


async def by_a_code(site: Site) -> Ask:
    held = await site.enroll()
    return _by_code(held, await site.code())


async def by_a_code_with_another_subject(site: Site) -> Ask:
    return replace(await by_a_code(site), subject=a_name("pump-x"))


async def by_a_code_with_nothing_to_renew(site: Site) -> Ask:
    await site.register()
    ask = by_code("pump-1", await site.code())
    return replace(ask, operation=Operation.RENEWAL)


async def by_a_certificate_beside_a_wrong_code(site: Site) -> Ask:
    return renewal(await site.enroll(), reference="pump-1", code="AAAA-BBBB-CCCC-DDDD-EEEE")


async def first_of_another_slot(site: Site) -> Ask:
    return by_certificate(await site.enroll())


async def another_for_the_other_slot(site: Site) -> Ask:
    bootstrap, _ = await site.provision()
    return by_certificate(bootstrap)


async def the_same_again_for_the_other_slot(site: Site) -> Ask:
    ask = await first_of_another_slot(site)
    await site.obtain(ask)
    return ask


async def by_a_certificate_of_the_wrong_slot(site: Site) -> Ask:
    _, operational = await site.provision()
    return by_certificate(operational)


async def by_a_superseded_certificate(site: Site) -> Ask:
    first = await site.enroll()
    await site.obtain(renewal(await site.obtain(renewal(first))))
    return by_certificate(first)


def _by_code(held: Held, code: str) -> Ask:
    return replace(renewal(held, reference="pump-1", code=code), held=None)


def _until_the_last_third(ask: Ask) -> timedelta:
    assert ask.held is not None
    certificate = ask.held.certificate
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    backdated = timedelta(minutes=5)
    return lifetime - backdated - lifetime / 3


def _ends_in(site: Site, ask: Ask) -> timedelta:
    assert ask.held is not None
    return ask.held.certificate.not_valid_after_utc - site.clock.now()
