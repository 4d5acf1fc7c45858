"""Devices that join at once by one passcode, on every registry: limits hold, a name is one's."""

import asyncio

import pytest

from enroll.ports import Registry
from enroll.profiles import ProtocolName
from enroll.result import Issued, Rejected
from tests.support.builders import a_policy
from tests.support.enrollment import Site, a_new_key, open_site
from tests.support.joining import a_group_to_join, a_profile_that_asks_names
from tests.support.passcodes import a_passcode, ask, secrets_of
from tests.support.registries import look

CMP = ProtocolName.CMP


@pytest.fixture
def site(empty: Registry, runner: asyncio.Runner) -> Site:
    policy = a_policy(a_group_to_join(newcomers_per_day=5), a_profile_that_asks_names())
    return runner.run(open_site(policy, registry=empty))


async def names(site: Site) -> list[str]:
    found = await look(site.registry, lambda uow: uow.devices.list())
    return [each.name for each in found]


async def test_lifecycle_DC16_no_more_are_served_than_a_passcode_has_uses(site: Site) -> None:
    made = await a_passcode(site, uses=3)
    every = [f"dut-{number}" for number in range(12)]

    results = await asyncio.gather(*(ask(site, CMP, made.clear, name=each) for each in every))

    assert sum(isinstance(each, Issued) for each in results) == 3
    assert {each.finding for each in results if isinstance(each, Rejected)} == {
        "passcode_exhausted"
    }
    assert len(await names(site)) == 3
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 3}


async def test_lifecycle_T05_no_more_join_than_the_group_takes_in_a_day(site: Site) -> None:
    made = await a_passcode(site)
    every = [f"dut-{number}" for number in range(12)]

    results = await asyncio.gather(*(ask(site, CMP, made.clear, name=each) for each in every))

    assert sum(isinstance(each, Issued) for each in results) == 5
    assert {each.finding for each in results if isinstance(each, Rejected)} == {"newcomers_limit"}
    assert len(await names(site)) == 5


async def test_lifecycle_T05_of_those_of_one_name_the_first_is_the_device(site: Site) -> None:
    made = await a_passcode(site, uses=9)

    results = await asyncio.gather(*(ask(site, CMP, made.clear) for _ in range(6)))

    assert sum(isinstance(each, Issued) for each in results) == 1
    assert {each.finding for each in results if isinstance(each, Rejected)} == {"clone_suspected"}
    assert await names(site) == ["pump-1"]
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 1}


async def test_lifecycle_T05_one_key_makes_one_device(site: Site) -> None:
    made = await a_passcode(site)
    key = a_new_key()
    every = [f"dut-{number}" for number in range(4)]

    results = await asyncio.gather(
        *(ask(site, CMP, made.clear, name=each, key=key) for each in every)
    )

    assert sum(isinstance(each, Issued) for each in results) == 1
    assert {each.finding for each in results if isinstance(each, Rejected)} == {"key_reuse"}
    assert len(await names(site)) == 1


async def test_lifecycle_T13_one_request_sent_twice_at_once_is_served_once(site: Site) -> None:
    made = await a_passcode(site, uses=1)
    key = a_new_key()

    results = await asyncio.gather(*(ask(site, CMP, made.clear, key=key) for _ in range(3)))

    assert all(isinstance(each, Issued) for each in results)
    assert len(await site.certificates()) == 1
    assert await secrets_of(site).uses([made.secret]) == {made.secret.secret_id: 1}


@pytest.mark.parametrize("name", ["a\0b", "\x1b[31mred", "\u202edut"])
async def test_a_name_that_steers_terminals_is_refused_and_told_without_that(
    site: Site, name: str
) -> None:
    made = await a_passcode(site)

    result = await ask(site, CMP, made.clear, name=name)

    assert isinstance(result, Rejected)
    assert result.finding == "newcomer_name"
    attempt = (await site.attempts())[0]
    assert attempt.device_name is not None
    assert attempt.device_name.isprintable()
    assert await names(site) == []
