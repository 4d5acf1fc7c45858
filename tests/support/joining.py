"""How a request by a passcode comes about: of a device that is registered, or of one that joins."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from enroll.credentials import CredentialKind
from enroll.device import DeviceSource
from enroll.profiles import Approval, DeviceGroup, EnrollmentProfile, RegistrationMode
from tests.support.approvals import approve_device
from tests.support.builders import PASSCODE_REFERENCE as REFERENCE
from tests.support.builders import a_group, an_enrollment_profile
from tests.support.enrollment import Ask, Site, a_new_key, by_code
from tests.support.passcodes import a_passcode

DAY = timedelta(days=1)
BY_PASSCODE = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})


def a_profile_that_asks_names() -> EnrollmentProfile:
    return an_enrollment_profile(initial_credentials=BY_PASSCODE, subject_names_newcomers=True)


def a_group_to_join(**changes: object) -> DeviceGroup:
    """Make a group that devices join at once."""
    made = a_group(
        registration_mode=RegistrationMode.JUST_IN_TIME, group_secret_approval=Approval.AUTO
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's words


def a_group_to_be_let_in() -> DeviceGroup:
    return a_group_to_join(device_approval=frozenset({DeviceSource.AUTO}))


async def _by_passcode(site: Site, **terms: Any) -> Ask:
    made = await a_passcode(site, **terms)
    return by_code("pump-1", made.clear, reference=REFERENCE)


async def registered_before(site: Site) -> Ask:
    await site.register()
    return await _by_passcode(site)


async def by_an_expired_passcode(site: Site) -> Ask:
    await site.register()
    ask = await _by_passcode(site, expires_at=site.clock.now() + DAY)
    site.clock.advance(DAY)
    return ask


async def by_a_passcode_used_up(site: Site) -> Ask:
    await site.register()
    ask = await _by_passcode(site, uses=1)
    await site.obtain(replace(ask, key=a_new_key()))
    return replace(ask, key=a_new_key())


async def the_last_use_repeated(site: Site) -> Ask:
    await site.register()
    ask = await _by_passcode(site, uses=1)
    await site.obtain(ask)
    return ask


async def joins(site: Site) -> Ask:
    return await _by_passcode(site)


async def joins_and_asks_again(site: Site) -> Ask:
    ask = await joins(site)
    await site.obtain(ask)
    return ask


async def another_of_its_name(site: Site) -> Ask:
    return replace(await joins_and_asks_again(site), key=a_new_key())


async def joins_and_waits(site: Site) -> Ask:
    ask = await joins(site)
    await site.wait(ask)
    return ask


async def joins_and_was_let_in(site: Site) -> Ask:
    ask = await joins_and_waits(site)
    await approve_device(site)
    return ask
