from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.events import EnrollmentEvent, EventName
from enroll.failures import AlreadyTaken, ConcurrentChange, NotFound
from enroll.policy.profiles import PolicyError
from enroll.retry import TRIES
from registry.memory import MemoryRegistry
from tests.support.builders import (
    GROUP,
    TENANT,
    a_certificate_profile,
    a_group,
    a_policy,
    a_tenant,
    an_enrollment_profile,
)
from tests.support.enrollment import OPERATOR, Site, open_site
from tests.support.interruptions import InterruptedRegistry, another_commit_came_first

Put = Callable[[Site, bool], Awaitable[object]]


def _group(site: Site, new: bool) -> Awaitable[object]:  # noqa: FBT001 - as the table has it
    made = a_group("pumps" if new else "default", group_id="pumps" if new else GROUP)
    return site.administration.put_group(made, new=new, actor=OPERATOR)


def _enrollment(site: Site, new: bool) -> Awaitable[object]:  # noqa: FBT001 - as above
    made = an_enrollment_profile("legacy" if new else "bootstrap")
    return site.administration.put_enrollment_profile(made, new=new, actor=OPERATOR)


def _certificate(site: Site, new: bool) -> Awaitable[object]:  # noqa: FBT001 - as above
    made = a_certificate_profile("short" if new else "bootstrap")
    return site.administration.put_certificate_profile(made, new=new, actor=OPERATOR)


PUTS = pytest.mark.parametrize("put", [_group, _enrollment, _certificate])


@PUTS
async def test_what_is_new_must_not_be_there(put: Put) -> None:
    site = await open_site()
    await put(site, True)
    policy = await site.policy()

    with pytest.raises(AlreadyTaken):
        await put(site, True)

    assert await site.policy() == policy


@PUTS
async def test_what_is_changed_must_be_there(put: Put) -> None:
    site = Site()

    with pytest.raises(NotFound):
        await put(site, False)


@PUTS
async def test_every_change_of_policy_is_told(put: Put) -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    version = (await site.policy()).version

    await put(site, True)

    (told,) = _policy_events(registry)
    assert (told.name, told.actor) == (EventName.POLICY_CHANGED, OPERATOR)
    assert set(told.facts) == {"kind", "name"}
    assert (await site.policy()).version > version


@PUTS
async def test_a_change_of_policy_is_checked_anew_when_another_came_first(put: Put) -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    registry.interruptions += [another_commit_came_first] * (TRIES - 1)

    await put(site, False)

    assert len(_policy_events(registry)) == 1


async def test_a_change_is_given_up_when_it_never_comes_first() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    registry.interruptions += [another_commit_came_first] * TRIES

    with pytest.raises(ConcurrentChange):
        await _group(site, False)


async def test_a_change_replaces_what_was_there() -> None:
    site = await open_site()
    changed = an_enrollment_profile(replay_window=timedelta(hours=1))

    await site.administration.put_enrollment_profile(changed, new=False, actor=OPERATOR)

    assert (await site.policy()).enrollment_profiles["bootstrap"] == changed


async def test_a_changed_certificate_profile_is_the_next_version() -> None:
    site = await open_site()
    changed = a_certificate_profile(validity=timedelta(days=30))

    stored = await site.administration.put_certificate_profile(changed, new=False, actor=OPERATOR)

    assert stored == replace(changed, version=2)
    held = await site.enroll()
    record = await site.record_of(held)
    assert record.certificate_profile_version == 2
    assert record.not_valid_after - record.not_valid_before == timedelta(days=30, minutes=5)


async def test_a_certificate_profile_must_suit_the_profiles_that_use_it() -> None:
    site = await open_site()
    changed = a_certificate_profile(extended_key_usage=("serverAuth",))

    with pytest.raises(PolicyError, match="clientAuth"):
        await site.administration.put_certificate_profile(changed, new=False, actor=OPERATOR)

    assert (await site.policy()).certificate_profiles[TENANT, "bootstrap"].version == 1


async def test_a_certificate_profile_need_not_suit_those_of_another_tenant() -> None:
    other = a_tenant("other")
    site = await open_site(
        a_policy(
            other,
            a_certificate_profile(tenant_id=other.tenant_id),
            an_enrollment_profile("theirs", tenant_id=other.tenant_id),
        )
    )
    changed = a_certificate_profile("operational", extended_key_usage=("codeSigning",))

    with pytest.raises(PolicyError, match="clientAuth"):
        await site.administration.put_certificate_profile(changed, new=False, actor=OPERATOR)
    stored = await site.administration.put_certificate_profile(
        replace(changed, name="unused"), new=True, actor=OPERATOR
    )

    assert stored.version == 1


def _policy_events(registry: MemoryRegistry) -> list[EnrollmentEvent]:
    """Give what is told of no device: here, all of it is about policy."""
    return list(registry.unit_of_work().tables.events_of.of(None))
